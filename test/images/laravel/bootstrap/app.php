<?php
// The application of laravel/laravel 8, with its storage in a directory that any user can write.
use App\Console\Kernel;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Foundation\Application;

$app = new Application(dirname(__DIR__));
$storage = sys_get_temp_dir() . '/laravel-' . md5(__DIR__);
foreach (["$storage/logs", "$storage/cache"] as $dir) {
    is_dir($dir) || @mkdir($dir, 0700, true);
}
$app->useStoragePath($storage);
foreach (['SERVICES', 'PACKAGES', 'CONFIG', 'ROUTES', 'EVENTS'] as $cache) {
    $_ENV["APP_{$cache}_CACHE"] = $_SERVER["APP_{$cache}_CACHE"] = "$storage/cache/" . strtolower($cache) . '.php';
}
$app->singleton(Illuminate\Contracts\Console\Kernel::class, Kernel::class);
$app->singleton(ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
return $app;
