#!/usr/bin/env bash
# What one would guess: an error that Redis answers is a RedisException.
# Versions: phpredis 5.3.7 on PHP 8.2 (Debian 12); Redis as on PATH.
# What happens: some errors are exceptions (OOM), others are not: for WRONGTYPE and ERR the call
# returns false, and only getLastError() has the text. A try/catch alone loses events in silence,
# for example when the stream's name is already a string.
# Seen on 2026-11-30: the lines under EXPECTED.
# What to do: check each xAdd and publish for `=== false`, too.
# Needs: php with the extension redis, redis-server.
set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" >/dev/null &
until redis-cli -s "$dir/redis.sock" PING >/dev/null 2>&1; do sleep 0.1; done

cat >"$dir/EXPECTED" <<'END'
a string in its place: false, WRONGTYPE
an id that is not higher: false, ERR
no memory: exception, OOM
END

cat >"$dir/try.php" <<'END'
<?php
$client = new Redis();
$client->connect($argv[1]);
function attempt(string $name, callable $call): void {
    global $client;
    $client->clearLastError();
    try {
        $found = var_export($call(), true);
        $error = $client->getLastError();
    } catch (RedisException $exception) {
        [$found, $error] = ['exception', $exception->getMessage()];
    }
    echo "$name: $found, ", strtok($error ?? 'no error', ' '), "\n";
}
$client->set('name', 'x');
attempt('a string in its place', fn () => $client->xAdd('name', '*', ['e' => '1']));
$client->xAdd('stream', '5-0', ['e' => '1']);
attempt('an id that is not higher', fn () => $client->xAdd('stream', '4-0', ['e' => '1']));
$client->config('SET', 'maxmemory', '1');
attempt('no memory', fn () => $client->xAdd('stream', '*', ['e' => '1']));
END

php "$dir/try.php" "$dir/redis.sock" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: other errors are exceptions than on 2026-11-30" >&2; exit 1; }
