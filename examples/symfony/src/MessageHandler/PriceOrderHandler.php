<?php

namespace App\MessageHandler;

use App\Message\PriceOrder;
use Symfony\Component\Messenger\Attribute\AsMessageHandler;

#[AsMessageHandler]
final class PriceOrderHandler
{
    private const PRICES = ['apple' => 40, 'pear' => 55];

    /** The result of the job. */
    public function __invoke(PriceOrder $message): string
    {
        $total = 0;
        foreach (json_decode($message->order, true, 8, JSON_THROW_ON_ERROR) as $article => $quantity) {
            $total += (self::PRICES[$article] ?? throw new \DomainException("there is no article $article")) * $quantity;
        }
        return json_encode(['total' => $total]);
    }
}
