<?php
// gearman-worker stream --function reverse -- php examples/php/reverse.php
require __DIR__ . '/GearmanStream.php';

GearmanStream::run(function (GearmanStreamJob $job): string {
    if ($job->workload === '') {
        throw new InvalidArgumentException('nothing to reverse');
    }
    echo "reversing ", strlen($job->workload), " bytes\n"; // goes to the worker's log
    $job->status(1, 2);
    return strrev($job->workload);
});
