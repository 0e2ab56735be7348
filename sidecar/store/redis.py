"""The store in Redis: the scripts, and the reads of clients."""

import asyncio
import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec.structs import replace
from redis.exceptions import AskError, ClusterDownError, MasterDownError, NoScriptError, ReadOnlyError

from sidecar.core.checkpoint.codec import field
from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.commit import POSITION, START, Commit, CommitAnswer, CommitOutcome, owner_of
from sidecar.core.commit.ledger import LONGEST_NUMBER
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Announcement, Sale
from sidecar.core.counts.state import State
from sidecar.core.events.event import STATUSES
from sidecar.core.events.source import raw_key
from sidecar.errors import CheckpointError, CommandError, UnavailableError
from sidecar.redis.info import ServerInfo, read_info
from sidecar.redis.link import Link, converted, parse_info, reading_reply
from sidecar.redis.servers import Servers
from sidecar.store import Aside, Taken, keys

FLEET_SECONDS = 60  # a sidecar that has not registered for this long has left its fleet
FLEET_KEY = "flash_sale_fleet:"
SCRIPTS = ("commit", "take", "clear", "clear_metric", "release", "set_aside", "probe", "announce")
ELSEWHERE = (ReadOnlyError, MasterDownError, AskError, ClusterDownError)  # MOVED is an AskError to redis-py


_ScriptReply = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]  # of commit.lua


class RedisStore:
    """One connection to the Redis with the prefix. It connects on first use, and again after a failure."""

    def __init__(
        self, servers: Servers, prefix: str, *, lease: float, keep_rejected: bool, apart: bool = False
    ) -> None:
        """`lease` is in seconds; `apart`: the streams are on another Redis."""
        self.server = ServerInfo()  # as of the last connect
        self._servers = servers
        self._prefix = prefix
        self._lease_ms = round(lease * 1000)
        self._keep_rejected = keep_rejected
        self._apart = apart
        self._link: Link | None = None
        self._scripts: dict[str, tuple[str, str]] = {}
        _texts()
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Connect now. Raises UnavailableError, or AccessError if user or password are wrong."""
        await self._connected()

    async def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def take(self, owner: str, token: str, *, dead: str, create: bool) -> Taken:
        arguments = [owner, token, self._lease_ms, dead, int(create)]
        outcome, found = await self._run("take", self._own_keys(), arguments, form=tuple[bytes, bytes | list[bytes]])
        if outcome == b"DAMAGED":
            raise CheckpointError("it is no hash with a number")
        if outcome == b"OK":
            return Taken(_fields(found))
        return Taken(None, converted(found, bytes, "take").decode("utf-8", "replace"))

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        if self._apart:  # the script cannot check streams on another Redis: store their positions like counts
            fields = {**fields, **{POSITION + s: p.dump(s) for s, p in commit.positions.items()}}
            commit = replace(commit, positions={}, replid="")
        streams = [raw_key(stream) for stream in commit.positions]
        arguments = self._arguments(commit, fields, committed, now)
        with _no_other_key():
            reply = await self._run("commit", [*self._own_keys(), *streams], arguments, form=_ScriptReply)
        answer = _answer(reply)
        if answer.outcome == "RESET" and answer.stream not in commit.positions:
            raise UnavailableError(f"commit: an answer that Redis does not give (about the stream {answer.stream!r})")
        return answer

    async def load(self) -> dict[str, bytes]:
        with _no_other_key():
            return _fields(await self._call("HGETALL", self._key("checkpoint"), form=list[bytes]))

    async def set_aside(self, owner: str) -> Aside | None:
        kept = self._key(keys.DAMAGED)
        arguments = [owner, self._lease_ms, keys.DAMAGED_KEPT_SECONDS]
        reply = await self._run("set_aside", [*self._own_keys(), kept], arguments, form=bytes)
        return None if reply == b"LOST" else Aside(kept, reply == b"DROPPED")

    async def release(self, owner: str) -> None:
        await self._run("release", [self._key("lease")], [owner], form=Any)

    async def clear(self, generation: str) -> bytes:
        arguments = [generation, self._prefix, f"{time.time():.3f}"]
        return await self._run("clear", [self._key("checkpoint")], arguments, form=bytes | None) or b""

    async def clear_metric(self, name: str, id: str) -> bool:
        arguments = [id, self._prefix, name]
        return bool(await self._run("clear_metric", [self._key("checkpoint")], arguments, form=int))

    async def announce(self, said: Announcement) -> bool:
        text = msgspec.json.encode(said)
        return bool(await self._run("announce", [self._key("checkpoint")], [text], form=int))

    async def sale(self) -> tuple[Sale, str]:
        """Return the committed sale, and the `unique_id` of the last announcement that the owner applied."""
        stored = await self._call("HGET", self._key("checkpoint"), field("totals", ""), form=bytes | None)
        total = load_state({field("totals", ""): stored} if stored else {}).total
        return total.sale, total.announced

    async def history(self, metric: str, start: int, end: int) -> dict[int, int]:
        """Return the values of one of `keys.HISTORY` by Unix second, from `start` to `end` inclusive."""
        seconds = range(start, end + 1)
        names = [self._key(f"{metric}:{second}") for second in seconds]
        values = await self._call("MGET", *names, form=list[bytes | None])
        # What is no number of the sidecar, somebody else wrote: unknown.
        pairs = ((second, value or b"") for second, value in zip(seconds, values, strict=False))
        return {second: int(value) for second, value in pairs if value.isdigit() and len(value) <= LONGEST_NUMBER}

    async def exists(self) -> bool:
        """Return whether there is a checkpoint or a lease under the prefix."""
        return bool(await self._call("EXISTS", *self._own_keys(), form=int))

    async def is_owned(self) -> bool:
        """Return whether a sidecar owns the prefix now."""
        return bool(await self._call("EXISTS", self._key("lease"), form=int))

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        """Return the newest rejected payloads, newest first; entries that the sidecar did not write are left out."""
        found = []
        for entry in await self._call("LRANGE", self._key("rejected"), 0, limit - 1, form=list[bytes]):
            with suppress(ValueError):
                found.append(msgspec.json.decode(entry, type=RejectedEvent))
        return found

    async def now(self, local: float) -> float:
        """Return the time of Redis in Unix seconds, which members of a fleet share; `local` if INFO lacks it."""
        usec = parse_info(await self._call("INFO", "server", form=bytes)).get("server_time_usec", "")
        return int(usec) / 1e6 if usec.isdigit() else local

    async def register(self, fleet: str, instance: str, now: float) -> None:
        """Register this prefix and its instance as a live member of the fleet."""
        key = FLEET_KEY + fleet
        await self._call("ZADD", key, now, f"{self._prefix} {instance}", form=int)
        await self._call("ZREMRANGEBYSCORE", key, "-inf", now - FLEET_SECONDS, form=int)
        await self._call("EXPIRE", key, FLEET_SECONDS, form=int)

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        """Return the instance of every live member by prefix, the newest one of each prefix."""
        oldest = now - FLEET_SECONDS
        listed = await self._call("ZRANGEBYSCORE", FLEET_KEY + fleet, oldest, "+inf", form=list[bytes])
        return dict(member.decode("utf-8", "replace").partition(" ")[::2] for member in listed)

    async def state(self, prefix: str) -> State | None:
        """Return the state committed under a prefix, `None` if there is none.

        Raises CheckpointError if it is damaged, AccessError if this user may not read it.
        """
        with _no_other_key():
            fields = _fields(await self._call("HGETALL", prefix + "checkpoint", form=list[bytes]))
        return load_state(fields) if fields else None

    async def facts(self) -> dict[str, str]:
        """Return the memory section of INFO: `used_memory`, `maxmemory_policy` and so on."""
        return parse_info(await self._call("INFO", "memory", form=bytes))

    async def probe(self, fleet: str) -> list[str]:
        """Try every command that a sidecar needs here, and leave nothing behind; return the errors."""
        key, other, group = self._key("check"), self._key("check:other"), FLEET_KEY + fleet
        found = await self._run("probe", [key], [other], form=list[bytes])
        commands: list[tuple[Any, ...]] = [("MGET", key), ("HGET", key, "n"), ("HGETALL", key), ("EXISTS", key)]
        commands += [("LRANGE", key, 0, 0), ("INFO", "memory")]
        if fleet:
            commands += [("ZADD", group, "XX", 0, ""), ("ZREMRANGEBYSCORE", group, "-inf", "-inf")]
            commands += [("ZRANGEBYSCORE", group, "+inf", "+inf"), ("EXPIRE", f"{group}:check", 1)]
        replies = await (await self._connected()).calls(commands)
        outside = [
            f"{c[0]}: {reply}" for c, reply in zip(commands, replies, strict=True) if isinstance(reply, Exception)
        ]
        return [text.decode("utf-8", "replace") for text in found] + outside

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _own_keys(self) -> list[str]:
        return [self._key("checkpoint"), self._key("lease")]

    def _arguments(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> list[Any]:
        """Lay out the arguments of commit.lua."""
        flight = commit.flight
        removed = keys.removed(flight)
        strings = keys.values(flight, committed, everything=commit.full, now=now)
        lists = keys.listings(flight, keep_rejected=self._keep_rejected)
        head = [commit.number, commit.expected, commit.generation, commit.replid, commit.token]
        head += [owner_of(commit.token), self._lease_ms, int(commit.full), self._prefix]
        head += [keys.RENEWAL_SECONDS, len(fields), len(removed), len(strings), len(lists)]
        ids = {s: START if s in commit.unchecked else p.id for s, p in commit.positions.items()}
        positions = [item for stream, p in commit.positions.items() for item in (ids[stream], stream, p.dump(stream))]
        return [
            *head,
            *positions,
            *(item for pair in fields.items() for item in pair),
            *removed,
            *(item for value in strings for item in (value.key, value.value, value.expiry_seconds)),
            *(item for one in lists for item in _listed(one)),
        ]

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.closed:
                await self.close()
                self._link = await self._open()
            return self._link

    async def _open(self) -> Link:
        link = await self._servers.open(self._key("checkpoint"))
        try:
            await link.replid()
            with reading_reply("INFO"):
                self.server = read_info(parse_info(await link.call("INFO", "server")))
            self.server.require_primary()
            self._scripts = {}  # this may be another server
        except BaseException:
            await link.close()
            raise
        return link

    async def _call(self, *command: Any, form: Any) -> Any:
        """Return the reply, of the type `form`."""
        link = await self._connected()
        try:
            return converted(await link.call(*command), form, command[0])
        except UnavailableError as exc:
            if not isinstance(exc, CommandError) or isinstance(exc.__cause__, ELSEWHERE):
                link.cut()  # not Redis; or a replica now, or the slot moved: the next call finds the right server
            raise

    async def _run(self, name: str, key_names: Sequence[str | bytes], arguments: Sequence[Any], *, form: Any) -> Any:
        """Run a script by its digest; send its text if Redis does not know it yet."""
        link = await self._connected()
        if not self._scripts:
            self._scripts = _scripts(lua_line=await _takes_lua_line(link))
        text, digest = self._scripts[name]
        try:
            return await self._call("EVALSHA", digest, len(key_names), *key_names, *arguments, form=form)
        except CommandError as exc:
            if isinstance(exc.__cause__, NoScriptError):
                return await self._call("EVAL", text, len(key_names), *key_names, *arguments, form=form)
            raise


def cleared_report(totals: bytes) -> dict[str, Any]:
    """Return the orders that `clear` returned: by status, and in total.

    Raises CheckpointError if the totals were damaged; they are cleared nevertheless.
    """
    orders = load_state({field("totals", ""): totals} if totals else {}).total.tallies["orders"]
    by_status = {status: orders.get(status, 0) for status in STATUSES}
    total = by_status["success"] + by_status["failed"]
    return {"orders": {**by_status, "total": total, "by_status": by_status}}


def _scripts(*, lua_line: bool) -> dict[str, tuple[str, str]]:
    """Return the scripts and their digests, with or without their first line."""
    found = {}
    for name, text in _texts().items():
        text = text if lua_line else text.removeprefix("#!lua")
        found[name] = (text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    return found


async def _takes_lua_line(link: Link) -> bool:
    """Return whether scripts may begin with `#!lua`, by which a server can reject them before they write anything.

    Redis 6 rejects the line itself, and so do some servers that claim to be Redis 7.
    """
    try:
        await link.call("EVAL", "#!lua flags=no-writes,allow-stale\nreturn 1", 0)
    except CommandError as exc:
        if re.match("[A-Z]+ ", str(exc.__cause__)):  # any code but ERR, such as LOADING
            raise
        return False
    return True


@cache
def _texts() -> dict[str, str]:
    """Read the scripts once: a process without free file descriptors must be able to reconnect."""
    folder = resources.files("sidecar.store")
    return {name: folder.joinpath(f"{name}.lua").read_text() for name in SCRIPTS}


def _fields(flat: list[bytes]) -> dict[str, bytes]:
    """Read the reply of HGETALL. Raises CheckpointError if it is not a checkpoint."""
    with reading_reply("HGETALL"):
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
    try:
        return {name.decode(): value for name, value in pairs}
    except UnicodeDecodeError as exc:
        raise CheckpointError(f"the name of a checkpoint field is damaged: {exc}") from exc


def _answer(reply: tuple[bytes, ...]) -> CommitAnswer:
    """Read the reply of commit.lua. Raises CheckpointError if it returns what no sidecar wrote."""
    try:
        outcome, number, token, generation, replid, stream, said = (text.decode() for text in reply)
        if len(number) > LONGEST_NUMBER:
            raise ValueError("the number is too long")
        return CommitAnswer(
            outcome=msgspec.convert(outcome, CommitOutcome),
            number=int(number),
            token=token,
            generation=generation,
            replid=replid,
            stream=stream,
            said=said,
        )
    except ValueError as exc:
        raise CheckpointError(f"its number, owner or generation is damaged: {exc}") from exc


@contextmanager
def _no_other_key() -> Iterator[None]:
    """Raise CheckpointError if the key of the checkpoint has another type."""
    try:
        yield
    except CommandError as exc:
        if "WRONGTYPE" in str(exc):
            raise CheckpointError("it is no hash") from exc
        raise


def _listed(listing: keys.Listing) -> list[Any]:
    return [listing.key, listing.kept, keys.EXPIRY_SECONDS, len(listing.entries), *listing.entries]
