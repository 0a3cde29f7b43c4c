<?php

namespace App\Services;

final class Prices
{
    private const PRICES = ['apple' => 40, 'pear' => 55];

    /** Prices an order that comes as JSON: {"apple": 2, "pear": 1}. */
    public function total(string $order): string
    {
        $total = 0;
        foreach (json_decode($order, true, 8, JSON_THROW_ON_ERROR) as $article => $quantity) {
            $total += (self::PRICES[$article] ?? throw new \DomainException("there is no article $article")) * $quantity;
        }
        return json_encode(['total' => $total]);
    }
}
