<?php
/**
 * Runs GearmanManager's pecl workers, unchanged, under `gearman-worker stream`:
 *
 *     gearman-worker stream --server gearmand:4730 --function resize --function mail -- \
 *         php loader.php --path /app/workers --bootstrap /app/vendor/autoload.php
 *
 *   --path DIR[,DIR]     directories in which the worker of function F is F.php (GearmanManager's worker_dir)
 *   --prefix PREFIX      the PHP function or class of function F is PREFIX followed by F
 *   --include F[,F]      functions that may be served; others are refused at the start
 *   --exclude F[,F]      functions that may not
 *   --bootstrap FILE     PHP file to load first, an autoloader say
 *
 * F.php has `function F($job, &$log)` or `class F { public function run($job, &$log) }`. $job has the methods of the gearman
 * extension's GearmanJob. What is returned is the result; sendFail() and sendException() fail the job; what is put into $log
 * goes to the worker's log. An exception ends the process, as in GearmanManager: the worker runs the job again, three times in
 * all.
 */
require_once __DIR__ . '/../GearmanStream.php';

/** What a worker has in place of the extension's GearmanJob. */
final class GearmanManagerJob
{
    public ?string $result = null;
    public ?string $failure = null;
    private int $returned = 0;

    public function __construct(private readonly GearmanStreamJob $job)
    {
    }

    public function workload(): string
    {
        return $this->job->workload;
    }

    public function workloadSize(): int
    {
        return strlen($this->job->workload);
    }

    public function handle(): string
    {
        return $this->job->handle;
    }

    public function unique(): string
    {
        return $this->job->unique;
    }

    public function functionName(): string
    {
        return $this->job->function;
    }

    public function sendStatus(int $numerator, int $denominator): bool
    {
        $this->job->status($numerator, $denominator);
        return true;
    }

    public function sendData(string $data): bool
    {
        $this->job->data($data);
        return true;
    }

    public function sendWarning(string $text): bool
    {
        $this->job->warning($text);
        return true;
    }

    public function sendComplete(string $result): bool
    {
        $this->result = $result;
        return true;
    }

    public function sendFail(): bool
    {
        $this->failure ??= 'the worker called sendFail()';
        return true;
    }

    public function sendException(string $exception): bool
    {
        $this->failure = $exception;
        return true;
    }

    public function setReturn(int $code): bool
    {
        $this->returned = $code;
        if ($code !== 0) {
            $this->failure ??= "the worker called setReturn($code)";
        }
        return true;
    }

    public function returnCode(): int
    {
        return $this->returned;
    }
}

final class GearmanManagerLoader
{
    /** @var array<string, callable> */
    private array $workers = [];

    /**
     * @param list<string> $paths
     * @param list<string> $include
     * @param list<string> $exclude
     */
    public function __construct(
        private array $paths,
        private string $prefix,
        private array $include,
        private array $exclude,
    ) {
    }

    /** Finds the worker of a function, or reports what is missing. */
    public function load(string $function): callable
    {
        if (isset($this->workers[$function])) {
            return $this->workers[$function];
        }
        if (($this->include !== [] && !in_array($function, $this->include, true)) || in_array($function, $this->exclude, true)) {
            throw new RuntimeException("function $function: it is left out by --include or --exclude");
        }
        $name = $this->prefix . $function;
        if (!function_exists($name) && !class_exists($name)) {
            require_once $this->file($function);
        }
        if (class_exists($name, false) && method_exists($name, 'run')) {
            return $this->workers[$function] = [new $name(), 'run'];
        }
        if (function_exists($name)) {
            return $this->workers[$function] = $name;
        }
        throw new RuntimeException("function $function: its file has neither a function $name nor a class $name with run(); see --prefix");
    }

    private function file(string $function): string
    {
        foreach ($this->paths as $path) {
            $file = rtrim($path, '/') . "/$function.php";
            if (is_file($file)) {
                return $file;
            }
        }
        throw new RuntimeException("function $function: there is no $function.php in " . implode(', ', $this->paths) . '; see --path');
    }

    public function run(GearmanStreamJob $message): string
    {
        $worker = $this->load($message->function);
        $job = new GearmanManagerJob($message);
        $log = [];
        $result = is_array($worker) ? $worker[0]->run($job, $log) : $worker($job, $log);
        foreach ((array) $log as $line) {
            echo is_scalar($line) ? $line : print_r($line, true), "\n";
        }
        if ($job->failure !== null) {
            throw new GearmanStreamFailure($job->failure);
        }
        return $job->result ?? (is_array($result) ? 'Array' : (string) $result); // as the extension makes a string of it
    }
}

(function (): void {
    $options = getopt('', ['path:', 'prefix:', 'include:', 'exclude:', 'bootstrap:']);
    $list = fn (string $name): array => array_values(array_filter(explode(',', implode(',', (array) ($options[$name] ?? [])))));
    if (isset($options['bootstrap'])) {
        require_once $options['bootstrap'];
    }
    $loader = new GearmanManagerLoader($list('path') ?: [getcwd()], $options['prefix'] ?? '', $list('include'), $list('exclude'));
    GearmanStream::run(
        fn (GearmanStreamJob $job): string => $loader->run($job),
        function (array $functions) use ($loader): void { // what is missing ends the start, not the first job
            array_walk($functions, fn (string $f) => $loader->load($f));
        },
        fn (Throwable $e): bool => $e instanceof GearmanStreamFailure,
    );
})();
