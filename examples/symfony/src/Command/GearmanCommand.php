<?php

namespace App\Command;

use App\Message\PriceOrder;
use Symfony\Component\Console\Attribute\AsCommand;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;
use Symfony\Component\Messenger\MessageBusInterface;
use Symfony\Component\Messenger\Stamp\HandledStamp;

require_once __DIR__ . '/../../GearmanStream.php';

/** Keeps running and dispatches a message for each job; started by `gearman-worker stream`. */
#[AsCommand(name: 'app:gearman')]
final class GearmanCommand extends Command
{
    public function __construct(private readonly MessageBusInterface $bus)
    {
        parent::__construct();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        \GearmanStream::run(function (\GearmanStreamJob $job): string {
            $envelope = $this->bus->dispatch(new PriceOrder($job->workload));

            return (string) $envelope->last(HandledStamp::class)?->getResult();
        });

        return Command::SUCCESS;
    }
}
