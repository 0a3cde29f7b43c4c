<?php

namespace App\Message;

/** An order as JSON: {"apple": 2, "pear": 1}. */
final class PriceOrder
{
    public function __construct(public readonly string $order)
    {
    }
}
