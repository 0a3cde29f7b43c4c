<?php
/**
 * Takes jobs from `gearman-worker stream`: one message for each on descriptor 3, the answer on descriptor 4 (docs/stream.md).
 *
 *     require 'GearmanStream.php';
 *     GearmanStream::run(function (GearmanStreamJob $job): string {
 *         $job->status(1, 2);
 *         return strrev($job->workload);
 *     });
 *
 * An exception fails the job with its message. Standard output and standard error go to the worker's log.
 */
final class GearmanStreamJob
{
    public function __construct(
        public readonly string $function,
        public readonly string $handle,
        public readonly string $unique,
        public readonly string $workload,
        private readonly int $id,
        private readonly GearmanStream $stream,
    ) {
    }

    /** Reports the progress of the job to the client. */
    public function status(int $numerator, int $denominator): void
    {
        $this->stream->send(['type' => 'status', 'id' => $this->id, 'numerator' => $numerator, 'denominator' => $denominator]);
    }

    /** Sends a part of the result now. */
    public function data(string $part): void
    {
        $this->stream->send(['type' => 'data', 'id' => $this->id], $part);
    }

    /** Sends a warning now. */
    public function warning(string $text): void
    {
        $this->stream->send(['type' => 'warning', 'id' => $this->id], $text);
    }
}

/** Fails a job with its message. */
final class GearmanStreamFailure extends RuntimeException
{
}

final class GearmanStream
{
    /** @var resource */
    private $in;
    /** @var resource */
    private $out;

    private function __construct()
    {
        $this->in = fopen('php://fd/3', 'rb');
        $this->out = fopen('php://fd/4', 'wb');
        if ($this->in === false || $this->out === false) {
            fwrite(STDERR, "descriptors 3 and 4 are not open: start this by gearman-worker stream -- php ...\n");
            exit(1);
        }
    }

    /**
     * Runs jobs until the worker has no more.
     *
     * @param callable      $handler gets a GearmanStreamJob and returns the result
     * @param callable|null $begin   gets the names of the functions before the first job; what it throws ends the start
     * @param callable|null $fails   says of a Throwable whether it fails the job (all do, by default) or ends the process
     */
    public static function run(callable $handler, ?callable $begin = null, ?callable $fails = null): void
    {
        $stream = new self();
        [$hello] = $stream->read();
        if ($begin !== null) {
            $begin($hello['functions'] ?? []);
        }
        $stream->send(['type' => 'ready', 'version' => 1]);
        while (($message = $stream->read()) !== null) {
            [$header, $body] = $message;
            if ($header['type'] === 'ping') {
                $stream->send(['type' => 'pong', 'id' => $header['id']]);
                continue;
            }
            $job = new GearmanStreamJob($header['function'], $header['handle'], $header['unique'], $body, $header['id'], $stream);
            try {
                $result = (string) $handler($job);
                $stream->send(['type' => 'complete', 'id' => $header['id']], $result);
            } catch (Throwable $e) {
                if ($fails !== null && !$fails($e)) {
                    throw $e;
                }
                $stream->send(['type' => 'fail', 'id' => $header['id']], $e->getMessage());
            }
        }
    }

    /** @return array{array<string,mixed>, string}|null */
    private function read(): ?array
    {
        $line = fgets($this->in);
        if ($line === false) {
            return null; // the worker wants no more of this process
        }
        $header = json_decode($line, true, 16, JSON_THROW_ON_ERROR);
        $left = $header['bytes'] ?? 0;
        $body = '';
        while ($left > 0) {
            $part = fread($this->in, min($left, 1 << 20));
            if ($part === false || $part === '') {
                return null;
            }
            $body .= $part;
            $left -= strlen($part);
        }
        return [$header, $body];
    }

    /** @param array<string,mixed> $header */
    public function send(array $header, string $body = ''): void
    {
        $header['bytes'] = strlen($body);
        $message = json_encode($header, JSON_THROW_ON_ERROR) . "\n" . $body;
        while ($message !== '') {
            $written = fwrite($this->out, $message);
            if ($written === false || $written === 0) {
                fwrite(STDERR, "descriptor 4 is closed\n");
                exit(1);
            }
            $message = substr($message, $written);
        }
        fflush($this->out);
    }
}
