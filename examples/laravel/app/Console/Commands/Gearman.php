<?php

namespace App\Console\Commands;

use App\Services\Prices;
use Illuminate\Console\Command;

require_once __DIR__ . '/../../../GearmanStream.php';

/** Keeps running and calls a service for each job; started by `gearman-worker stream`. */
class Gearman extends Command
{
    protected $signature = 'shop:gearman';

    public function handle(): int
    {
        \GearmanStream::run(fn (\GearmanStreamJob $job): string => $this->laravel->make(Prices::class)->total($job->workload));

        return 0;
    }
}
