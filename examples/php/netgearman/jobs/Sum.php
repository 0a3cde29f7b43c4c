<?php
require_once 'Net/Gearman/Job/Common.php';

/** Adds numbers up: a job as Net_Gearman's users write it. */
class Net_Gearman_Job_Sum extends Net_Gearman_Job_Common
{
    public function run($arg)
    {
        if (!is_array($arg)) {
            throw new Net_Gearman_Job_Exception('send a list of numbers');
        }
        $sum = 0;
        foreach (array_values($arg) as $i => $number) {
            $sum += $number;
            $this->status($i + 1, count($arg));
        }
        return $sum;
    }
}
