<?php

function reverse_string($job, &$log)
{
    $workload = $job->workload();
    $log[] = "Success";
    $log[] = ['size' => $job->workloadSize()];
    for ($x = 1; $x <= 2; $x++) {
        $job->sendStatus($x, 2);
    }
    return strrev($workload);
}
