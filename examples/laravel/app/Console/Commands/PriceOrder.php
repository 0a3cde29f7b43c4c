<?php

namespace App\Console\Commands;

use App\Services\Prices;
use Illuminate\Console\Command;
use Symfony\Component\Console\Output\OutputInterface;

/** One job for each run: the workload is standard input, the result is standard output. */
class PriceOrder extends Command
{
    protected $signature = 'shop:price-order';

    public function handle(Prices $prices): int
    {
        $this->output->write($prices->total(stream_get_contents(STDIN)), false, OutputInterface::OUTPUT_RAW);

        return 0;
    }
}
