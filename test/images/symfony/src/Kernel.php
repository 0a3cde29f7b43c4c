<?php

namespace App;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;

/** The application of symfony/skeleton, with its configuration in PHP, as Debian packages no YAML component with it. */
class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle()];
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', ['secret' => 'test', 'http_method_override' => false, 'messenger' => ['enabled' => true]]);
        $container->services()->defaults()->autowire()->autoconfigure()
            ->load('App\\', __DIR__ . '/*')->exclude([__DIR__ . '/Kernel.php', __DIR__ . '/Message']);
    }

    public function getCacheDir(): string
    {
        return sys_get_temp_dir() . '/symfony-' . md5(__DIR__) . '/cache';
    }

    public function getLogDir(): string
    {
        return sys_get_temp_dir() . '/symfony-' . md5(__DIR__) . '/log';
    }
}
