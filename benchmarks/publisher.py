"""Publish events as fast as Redis takes them, or at a rate: a program of its own, `python -m benchmarks.publisher`.

Three producers, each on its own connection, take turns, and send a heartbeat a second each. Commands are pipelined;
replies are read and counted.
Ends with one line of JSON: how many events and orders there were, in how many seconds, and each producer's last number.
"""

import argparse
import json
import socket
import time

from benchmarks.events import CHANNEL, CHUNK, FIRST_SEQ, Chunk, Wanted, chunks, command

PRODUCERS = 3
WINDOW = 40 * CHUNK  # commands under way on a connection: enough to keep Redis busy
BEAT_SECONDS = 1.0
LOSSES = 5  # if numbers are to be lost, one is left out after so many chunks of a producer
REPLY_LINES = {"pubsub": 1, "stream": 2}  # :1 and $15 with the id


class Producer:
    """One producer on one connection."""

    def __init__(self, port: int, name: str, wanted: Wanted, *, threads: bool = False, losing: bool = False) -> None:
        """Connect and prepare the chunks. `threads`: numbers come out of order; `losing`: some never come."""
        self.name = name
        self._threads, self._losing = threads, losing
        self._beat_at = time.perf_counter() + BEAT_SECONDS
        self.seq = FIRST_SEQ
        self.orders = 0
        self._wanted = wanted
        self._chunks: list[Chunk] = chunks(name, wanted)
        self._lines = REPLY_LINES[wanted.transport]
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._sent = self._open = 0

    def send(self) -> None:
        """Send the next chunk; wait for replies where too many are open."""
        chunk = self._chunks[self._sent % len(self._chunks)]
        self._socket.sendall(chunk.render(self.seq, time.time(), threads=self._threads))
        self._sent += 1
        self.seq += chunk.counted
        self.orders += chunk.orders
        self._open += CHUNK * self._lines
        if time.perf_counter() >= self._beat_at:
            self._beat_at += BEAT_SECONDS
            self._beat()
        if self._losing and self._sent % LOSSES == 0:
            self.seq += 1
        self.settle(WINDOW * self._lines)

    def settle(self, open_lines: int = 0) -> None:
        """Read replies until at most so many lines of them are missing."""
        while self._open > open_lines:
            data = self._socket.recv(1 << 18)
            if not data or data.startswith(b"-"):
                raise SystemExit(f"Redis ended the publisher: {data[:100]!r}")
            self._open -= data.count(b"\n")

    def heartbeat(self) -> None:
        """Tell the last number, so that a hole at the very end shows."""
        self._beat()
        self.settle()

    def _beat(self) -> None:
        beat = {"type": "heartbeat", "producer": self.name, "epoch": 1_790_000_000, "seq": self.seq - 1}
        self._socket.sendall(command(self._wanted, json.dumps(beat).encode()))
        self._open += self._lines


def publish(producers: list[Producer], count: int, rate: float) -> float:
    """Send about `count` events, `rate` a second (0: as fast as Redis takes them); return the seconds it took."""
    began = time.perf_counter()
    for number in range(count // CHUNK):
        if rate and (early := began + number * CHUNK / rate - time.perf_counter()) > 0.001:
            time.sleep(early)
        producers[number % len(producers)].send()
    for producer in producers:
        producer.settle()
    return time.perf_counter() - began


def main() -> None:
    """Publish what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--transport", choices=REPLY_LINES, default="pubsub")
    parser.add_argument("--channel", default=CHANNEL)
    parser.add_argument("--products", type=int, default=300)
    parser.add_argument("--invalid", type=float, default=0.0)
    parser.add_argument("--maxlen", type=int, default=2_000_000)
    parser.add_argument("--plain", type=int, default=0, help="1: orders alone, no other types")
    parser.add_argument("--threads", type=int, default=0, help="1: numbers out of order, as threads send them")
    parser.add_argument("--losing", type=int, default=0, help="1: a number in some hundreds never comes")
    parser.add_argument("--name", default="shop", help="prefix of the producers' names; new ones start new sequences")
    given = parser.parse_args()
    wanted = Wanted(given.transport, given.channel, given.products, given.invalid, given.maxlen, bool(given.plain))
    kind = {"threads": bool(given.threads), "losing": bool(given.losing)}
    producers = [Producer(given.port, f"{given.name}-{number}", wanted, **kind) for number in range(PRODUCERS)]
    seconds = publish(producers, given.count, given.rate)
    for producer in producers:
        producer.heartbeat()
    print(
        json.dumps(
            {
                "events": given.count // CHUNK * CHUNK,
                "orders": sum(producer.orders for producer in producers),
                "seconds": seconds,
                "last": {producer.name: producer.seq - 1 for producer in producers},
            }
        )
    )


if __name__ == "__main__":
    main()
