<?php

class Everything
{
    private $runs = 0;

    public function run($job, &$log)
    {
        $this->runs++;
        switch ($job->workload()) {
            case 'who':
                return implode(' ', [$job->functionName(), $job->handle(), $job->unique(), $this->runs]);
            case 'progress':
                $job->sendData('part');
                $job->sendWarning('careful');
                $job->sendComplete('by hand');
                return;
            case 'fail':
                $job->sendFail();
                return 'nobody sees this';
            case 'exception':
                $job->sendException('no such image');
                return;
            case 'throw':
                throw new RuntimeException('out of order');
        }
        return 42;
    }
}
