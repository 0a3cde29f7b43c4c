<?php
/** Thrown by a job to fail. */
class Net_Gearman_Job_Exception extends Exception
{
}
