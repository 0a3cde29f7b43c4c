<?php

namespace App\Command;

use App\Message\PriceOrder;
use App\MessageHandler\PriceOrderHandler;
use Symfony\Component\Console\Attribute\AsCommand;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** One job for each run: the workload is standard input, the result is standard output. */
#[AsCommand(name: 'app:price-order')]
final class PriceOrderCommand extends Command
{
    public function __construct(private readonly PriceOrderHandler $handler)
    {
        parent::__construct();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $output->write(($this->handler)(new PriceOrder(stream_get_contents(STDIN))), false, OutputInterface::OUTPUT_RAW);

        return Command::SUCCESS;
    }
}
