<?php
/** The base class of Net_Gearman's jobs, with the same methods; the packets go through the worker. */
abstract class Net_Gearman_Job_Common
{
    /** @var NetGearmanConnection */
    protected $conn;
    /** @var string */
    protected $handle;
    /** @var array */
    protected $initParams;

    public function __construct($conn, $handle, array $initParams = [])
    {
        $this->conn = $conn;
        $this->handle = $handle;
        $this->initParams = $initParams;
    }

    /** Runs the job. The argument is the client's; the return value is the result. */
    abstract public function run($arg);

    /** Reports the progress of the job to the client. */
    public function status($numerator, $denominator)
    {
        $this->conn->job->status((int) $numerator, (int) $denominator);
    }

    /** Gives the result. The first one counts. */
    public function complete(array $result)
    {
        $this->conn->result ??= json_encode($result, JSON_THROW_ON_ERROR);
    }

    /** Fails the job. */
    public function fail()
    {
        $this->conn->failed = true;
    }
}
