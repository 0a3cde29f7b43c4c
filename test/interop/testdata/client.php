<?php
// A client on php-gearman, for the interop tests: client.php HOST PORT KIND FUNCTION UNIQUE <payload >result
// Events go to stderr, one in a line.
[, $host, $port, $kind, $function, $unique] = $argv;
$payload = stream_get_contents(STDIN);
$client = new GearmanClient();
$client->addServer($host, (int) $port);
$client->setTimeout(60000);
// What a callback returns is taken for one of libgearman's return codes, so it returns nothing.
$say = function (string ...$words): void {
    fwrite(STDERR, implode(' ', array_map(rawurlencode(...), $words)) . "\n");
};
if (in_array($kind, ['background', 'high-background', 'low-background'])) {
    $method = ['background' => 'doBackground', 'high-background' => 'doHighBackground', 'low-background' => 'doLowBackground'][$kind];
    $handle = $client->$method($function, $payload, $unique ?: null);
    if ($client->returnCode() !== GEARMAN_SUCCESS) {
        $say('error', $client->error());
        exit(1);
    }
    echo $handle;
    exit(0);
}
$client->enableExceptionHandler();
$client->setStatusCallback(fn(GearmanTask $t) => $say('status', $t->taskNumerator(), $t->taskDenominator()));
$client->setDataCallback(fn(GearmanTask $t) => $say('data', $t->data()));
$client->setWarningCallback(fn(GearmanTask $t) => $say('warning', $t->data()));
$client->setExceptionCallback(fn(GearmanTask $t) => $say('exception', $t->data()));
$client->setFailCallback(fn(GearmanTask $t) => $say('fail'));
$client->setCompleteCallback(function (GearmanTask $t) use ($say) {
    $say('complete');
    echo $t->data();
});
$method = ['foreground' => 'addTask', 'high' => 'addTaskHigh', 'low' => 'addTaskLow'][$kind];
$client->$method($function, $payload, null, $unique ?: null);
if (!$client->runTasks()) {
    $say('error', $client->error());
}
