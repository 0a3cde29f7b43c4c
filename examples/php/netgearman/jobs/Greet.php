<?php
/** Shows init parameters, and a job that gives its result or fails by itself. */
class Net_Gearman_Job_Greet extends Net_Gearman_Job_Common
{
    public function run($arg)
    {
        if ($arg === 'nobody') {
            $this->fail();
            return;
        }
        if ($arg === 'bug') {
            throw new LogicException('a bug');
        }
        $this->complete(['text' => $this->initParams['greeting'] . ' ' . $arg]);
    }
}
