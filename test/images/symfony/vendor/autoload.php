<?php
// Stands for Composer's: Debian's Symfony, and the classes of the application.
foreach (['Bundle/FrameworkBundle', 'Component/Console', 'Component/Messenger'] as $part) {
    require_once "Symfony/$part/autoload.php";
}
spl_autoload_register(function (string $class): void {
    $file = dirname(__DIR__) . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    if (str_starts_with($class, 'App\\') && is_file($file)) {
        require $file;
    }
});
