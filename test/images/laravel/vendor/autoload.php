<?php
// Stands for Composer's: Debian's Laravel, and the classes of the application.
error_reporting(E_ALL & ~E_DEPRECATED); // Debian 12 has Laravel 8 with PHP 8.2
require_once 'Illuminate/autoload.php';
spl_autoload_register(function (string $class): void {
    $file = dirname(__DIR__) . '/app/' . strtr(substr($class, 4), '\\', '/') . '.php';
    if (str_starts_with($class, 'App\\') && is_file($file)) {
        require $file;
    }
});
