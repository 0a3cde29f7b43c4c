<?php
/**
 * Runs existing Net_Gearman_Job_* classes, unchanged, under `gearman-worker stream`:
 *
 *     gearman-worker stream --server gearmand:4730 --function Sum --function Scale -- \
 *         php loader.php --path /app/jobs --bootstrap /app/vendor/autoload.php --init /app/init.php
 *
 *   --path DIR          where the job of function F is DIR/F.php (NET_GEARMAN_JOB_PATH otherwise)
 *   --prefix PREFIX     the class of function F is PREFIX followed by F (Net_Gearman_Job_)
 *   --bootstrap FILE    PHP file to load first, an autoloader say
 *   --init FILE         PHP file that returns the init parameters: ['Sum' => ['dsn' => '...', 'path' => '...', 'class_name' => '...']]
 *
 * Arguments and results are encoded as Net_Gearman does: the workload is decoded as JSON, or passed on raw if it isn't JSON. The return value of
 * run() is encoded as JSON, within {"result": ...} if it is not an array. Net_Gearman_Job_Exception fails the job. Any other exception ends the
 * process, and the worker's --on-crash decides: fail (default), or requeue, as Net_Gearman did in effect.
 */
require_once __DIR__ . '/../GearmanStream.php';
// First in the include path, so that `require_once 'Net/Gearman/Job/Common.php'` in a job finds the class of this directory.
set_include_path(__DIR__ . PATH_SEPARATOR . get_include_path());
require_once 'Net/Gearman/Job/Common.php';
require_once 'Net/Gearman/Job/Exception.php';

final class NetGearmanLoader
{
    /** @var array<string, class-string> */
    private array $classes = [];

    /** @param array<string, array<string, mixed>> $init */
    public function __construct(private string $path, private string $prefix, private array $init)
    {
    }

    /** Finds the class of a function, or reports what is missing. */
    public function load(string $function): string
    {
        if (isset($this->classes[$function])) {
            return $this->classes[$function];
        }
        $params = $this->init[$function] ?? [];
        $class = $params['class_name'] ?? $this->prefix . $function;
        if (!class_exists($class)) {
            $file = $params['path'] ?? $this->path . '/' . $function . '.php';
            if (!is_file($file)) {
                throw new RuntimeException("function $function: there is no file $file; see --path and the init parameter path");
            }
            require_once $file;
            if (!class_exists($class, false)) {
                throw new RuntimeException("function $function: $file does not define the class $class; see --prefix and the init parameter class_name");
            }
        }
        if (!is_subclass_of($class, Net_Gearman_Job_Common::class)) {
            throw new RuntimeException("function $function: class $class does not extend Net_Gearman_Job_Common");
        }
        return $this->classes[$function] = $class;
    }

    public function run(GearmanStreamJob $job): string
    {
        $class = $this->load($job->function);
        $connection = new NetGearmanConnection($job);
        $instance = new $class($connection, $job->handle, $this->init[$job->function] ?? []);
        $argument = [];
        if ($job->workload !== '') {
            $argument = json_decode($job->workload, true) ?? $job->workload;
        }
        try {
            $result = $instance->run($argument);
        } catch (Net_Gearman_Job_Exception $e) {
            throw new GearmanStreamFailure($e->getMessage(), 0, $e);
        }
        if ($connection->failed) {
            throw new GearmanStreamFailure('the job called fail()');
        }
        if ($connection->result === null) { // the job may have called complete() itself
            $instance->complete(is_array($result) ? $result : ['result' => $result]);
        }
        return $connection->result;
    }
}

/** What a job has in place of Net_Gearman's connection. */
final class NetGearmanConnection
{
    public bool $failed = false;
    public ?string $result = null;

    public function __construct(public readonly GearmanStreamJob $job)
    {
    }
}

(function (): void {
    $options = getopt('', ['path:', 'prefix:', 'bootstrap:', 'init:']);
    if (isset($options['bootstrap'])) {
        require_once $options['bootstrap'];
    }
    $path = $options['path'] ?? (defined('NET_GEARMAN_JOB_PATH') ? NET_GEARMAN_JOB_PATH : getcwd());
    $prefix = $options['prefix'] ?? (defined('NET_GEARMAN_JOB_CLASS_PREFIX') ? NET_GEARMAN_JOB_CLASS_PREFIX : 'Net_Gearman_Job_');
    defined('NET_GEARMAN_JOB_PATH') || define('NET_GEARMAN_JOB_PATH', $path);
    defined('NET_GEARMAN_JOB_CLASS_PREFIX') || define('NET_GEARMAN_JOB_CLASS_PREFIX', $prefix);
    $init = isset($options['init']) ? require $options['init'] : [];
    $loader = new NetGearmanLoader(rtrim($path, '/'), $prefix, $init);
    GearmanStream::run(
        fn (GearmanStreamJob $job): string => $loader->run($job),
        function (array $functions) use ($loader): void { // a missing class ends the start, not the first job
            array_walk($functions, fn (string $f) => $loader->load($f));
        },
        fn (Throwable $e): bool => $e instanceof GearmanStreamFailure,
    );
})();
