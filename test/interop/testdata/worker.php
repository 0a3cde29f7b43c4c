<?php
// A worker on php-gearman, for the interop tests: worker.php HOST PORT
$worker = new GearmanWorker();
$worker->addServer($argv[1], (int) $argv[2]);
$worker->addFunction('reverse', fn(GearmanJob $job) => strrev($job->workload()));
$worker->addFunction('unique', fn(GearmanJob $job) => $job->unique());
$worker->addFunction('progress', function (GearmanJob $job) {
    $job->sendStatus(1, 3);
    $job->sendData("part\0of");
    $job->sendWarning('careful');
    return 'done';
});
$worker->addFunction('fail', function (GearmanJob $job) {
    $job->sendFail();
});
$worker->addFunction('except', function (GearmanJob $job) {
    $job->sendException('boom');
});
while ($worker->work());
fwrite(STDERR, $worker->error() . "\n");
exit(1);
