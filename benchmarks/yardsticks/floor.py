"""The floor: the least a Python process on redis-py can do with the events, and nothing else.

One redis-py connection whose hiredis reader is drained: one await, then every reply that is already there, taken
without awaiting. hiredis is fed in slices of 16 KiB, since it moves what it holds unread with every kilobyte it parses.
Each payload is decoded into a typed msgspec struct and thrown away. Streams: XREAD COUNT 500 on the same kind of
connection, with a pause of 20 ms after a read that was not full, so that entries gather.
"""

import asyncio
import sys
from typing import Any

import msgspec
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Connection

from benchmarks.events import CHANNEL
from benchmarks.yardsticks.order import Event

decode = msgspec.json.Decoder(Event).decode
ENTRIES = 500
SLICE_BYTES = 1 << 14
PAUSE_SECONDS = 0.02


async def read_pubsub(connection: Any, count: int) -> None:
    """Take messages, and say so after every `count` of them."""
    await connection.send_command("SUBSCRIBE", CHANNEL)
    await connection.read_response()
    print("ready", flush=True)
    taken = 0
    while True:
        reply = await connection.read_response(disable_decoding=True)
        gets = connection._parser._reader.gets
        while reply is not NOT_ENOUGH_DATA:
            if not is_heartbeat(reply[2]):
                taken += 1
                if taken % count == 0:
                    print("done", flush=True)
            reply = gets()


def is_heartbeat(payload: bytes) -> bool:
    """Decode an event; heartbeats at the end of a run are not counted."""
    return decode(payload).type == "heartbeat"


async def read_stream(connection: Any, count: int) -> None:
    """Take entries, and say so after every `count` of them."""
    print("ready", flush=True)
    taken, last = 0, b"0-0"
    while True:
        await connection.send_command("XREAD", "COUNT", ENTRIES, "BLOCK", 1000, "STREAMS", CHANNEL, last)
        reply = await connection.read_response(disable_decoding=True)
        if not reply:
            continue
        entries = reply[0][1]
        last = entries[-1][0]
        for _, fields in entries:
            if not is_heartbeat(fields[1]):
                taken += 1
                if taken % count == 0:
                    print("done", flush=True)
        if len(entries) < ENTRIES:
            await asyncio.sleep(PAUSE_SECONDS)


async def main(transport: str, port: int, count: int) -> None:
    """Connect and read for ever."""
    connection: Any = Connection(port=port, protocol=2, socket_timeout=None, socket_read_size=SLICE_BYTES)
    await connection.connect()
    await (read_pubsub if transport == "pubsub" else read_stream)(connection, count)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
