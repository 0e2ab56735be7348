<?php
// Publish a backend's events to the sidecar. Copy this file; it needs the extension redis, and APCu under FPM.
//
//   $emitter = new Emitter();
//   $emitter->report(['status' => 'success', 'order_id' => '1001', 'product_id' => 'sku-1', 'latency_ms' => 42.5]);
//
// Under FPM, `report` only adds to a buffer, which is published when the response has been sent. On the command line (a
// queue worker, cron) it publishes at once. Either way it never throws. It waits for Redis for 0.2 s at most, and then
// leaves it alone for a second. A worker meanwhile keeps its newest 10,000 events; a request has to drop its own. What is
// dropped leaves a hole in the numbers, which the sidecar shows as missed.

final class Emitter
{
    private const NAME = 'flash_sale:events'; // of the stream, or of the channel
    private const BUFFER_EVENTS = 10_000;
    private const BATCH_EVENTS = 100; // published at once
    private const HEARTBEAT_SECONDS = 2;
    private const TIMEOUT_SECONDS = 0.2;
    private const RETRY_SECONDS = 1;
    private const CLOSE_SECONDS = 5; // how long the end of a worker may wait for Redis

    private ?int $pid = null;
    private array $producer;
    private int $seq;
    private array $buffer;
    private int $dropped;
    private ?Redis $client;
    private array $until = []; // when what was begun ends: a pause between heartbeats, an outage of Redis

    public function __construct(private string $transport = 'stream')
    {
        register_shutdown_function(function (): void {
            if (function_exists('fastcgi_finish_request')) {
                fastcgi_finish_request();
            }
            $end = microtime(true) + (PHP_SAPI === 'cli' ? self::CLOSE_SECONDS : 0);
            while (!$this->flush() && microtime(true) < $end) {
                usleep(100_000);
            }
        });
    }

    public function report(array $event): void
    {
        if ($this->pid !== getmypid()) { // at first, and in a forked process
            $this->start();
        }
        $text = json_encode($this->number() + $event + ['ts' => microtime(true)], JSON_INVALID_UTF8_SUBSTITUTE);
        if ($text === false) {
            error_log('An event is no JSON, and is missed: ' . json_last_error_msg());
            return;
        }
        $this->buffer[] = $text;
        if (count($this->buffer) > self::BUFFER_EVENTS) {
            array_shift($this->buffer);
            $this->dropped++;
        }
        if (PHP_SAPI === 'cli') {
            $this->flush();
        }
    }

    // Publish what is in the buffer, and a heartbeat every few seconds; a worker calls this while it has no orders, too. Return
    // whether all is published.
    public function flush(): bool
    {
        if ($this->pid !== getmypid()) {
            return true;
        }
        do {
            $beat = $this->begin('heartbeat', self::HEARTBEAT_SECONDS);
            $batch = array_slice($this->buffer, 0, self::BATCH_EVENTS);
            $payload = [...$batch];
            if ($beat) { // the numbers begin at 1, and so far go up to the last
                $payload = [$this->heartbeat(0), ...$batch, $this->heartbeat($this->last(count($batch)))];
            }
            if ($payload && !$this->published('[' . implode(',', $payload) . ']')) {
                $this->end('heartbeat');
                return false;
            }
            array_splice($this->buffer, 0, count($batch));
        } while ($this->buffer);
        return true;
    }

    private function start(): void
    {
        [$this->pid, $this->seq, $this->dropped] = [getmypid(), 0, 0];
        [$this->client, $this->buffer, $this->until] = [null, [], []];
        $started = ['producer' => gethostname() . ":$this->pid", 'epoch' => (int) (microtime(true) * 1e6)];
        // With APCu, as under FPM, all requests are one producer and share a counter; else each process has its own.
        $this->producer = $this->shared() ? apcu_entry('flash_sale:producer', fn () => $started) : $started;
    }

    private function shared(): bool
    {
        return function_exists('apcu_enabled') && apcu_enabled();
    }

    private function number(): array
    {
        $seq = $this->shared() ? apcu_inc("flash_sale:seq:{$this->producer['epoch']}") : ++$this->seq;
        return [...$this->producer, 'seq' => $seq];
    }

    // The last number given, without those that wait behind what is published now.
    private function last(int $published): int
    {
        $seq = $this->shared() ? (int) apcu_fetch("flash_sale:seq:{$this->producer['epoch']}") : $this->seq;
        return $seq - count($this->buffer) + $published;
    }

    private function heartbeat(int $seq): string
    {
        return json_encode(['type' => 'heartbeat', ...$this->producer, 'seq' => $seq]);
    }

    // Publish once. What arrives twice (an answer was lost) has the same numbers, and counts once.
    private function published(string $payload): bool
    {
        if ($this->lasts('outage')) {
            return false;
        }
        try {
            $this->client ??= $this->connect();
            $done = $this->transport === 'pubsub'
                ? $this->client->publish(self::NAME, $payload)
                : $this->client->xAdd(self::NAME, '*', ['e' => $payload], 1_000_000, true);
            if ($done !== false) {
                return true;
            }
            $problem = $this->client->getLastError();
        } catch (RedisException $error) {
            $problem = $error->getMessage();
        }
        error_log("Redis is away: $problem; $this->dropped events were dropped so far");
        $this->client = null;
        $this->begin('outage', self::RETRY_SECONDS);
        return false;
    }

    private function connect(): Redis
    {
        $url = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379/0');
        $client = new Redis();
        $client->connect($url['host'], $url['port'] ?? 6379, self::TIMEOUT_SECONDS, null, 0, self::TIMEOUT_SECONDS);
        if (isset($url['pass'])) {
            $client->auth(array_values(array_filter([$url['user'] ?? '', $url['pass']])));
        }
        $client->select((int) trim($url['path'] ?? '0', '/'));
        return $client;
    }

    // Begin something that lasts for some seconds, for all requests if they share memory; false if it lasts already.
    private function begin(string $what, int $seconds): bool
    {
        if ($this->shared()) {
            return apcu_add("flash_sale:$what", true, $seconds);
        }
        if ($this->lasts($what)) {
            return false;
        }
        $this->until[$what] = microtime(true) + $seconds;
        return true;
    }

    private function lasts(string $what): bool
    {
        return $this->shared() ? apcu_exists("flash_sale:$what") : microtime(true) < ($this->until[$what] ?? 0);
    }

    private function end(string $what): void
    {
        if ($this->shared()) {
            apcu_delete("flash_sale:$what");
        }
        unset($this->until[$what]);
    }
}

// As a program, an event a line: echo '{"status":"success"}' | php emitter.php pubsub
if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    $emitter = new Emitter(...array_slice($argv, 1));
    while (!feof(STDIN)) {
        [$ready, $none] = [[STDIN], null];
        if (stream_select($ready, $none, $none, 1) === 0) {
            $emitter->flush();
        } elseif (($line = fgets(STDIN)) !== false) {
            $emitter->report(json_decode($line, true));
        }
    }
}
