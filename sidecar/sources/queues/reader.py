"""Reads all queues of one Redis in one transaction; a second write asks what depends on the first replies, such as
the time of the oldest job.

On a Cluster there is a transaction for each slot. A queue whose keys are in several slots is read key by key.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from redis.exceptions import AskError, ClusterDownError, NoPermissionError

from sidecar.config.queues import ALL
from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.counts.rules import Rules
from sidecar.core.events.event import MAX_ID_BYTES
from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.redis.link import Link, reading_reply
from sidecar.redis.servers import Servers
from sidecar.redis.slots import slot_of
from sidecar.sources.queues.system import Asked, NoSuchQueueError, QueueSystem, ReadCommand, key_of
from sidecar.sources.queues.systems import LISTINGS, SYSTEMS

LIST_SECONDS = 10.0  # how old the names of listed queues may be
APART = "its keys are in several slots of the Cluster: they are read one by one, and may not fit together"


class QueueAnswer(Struct, frozen=True):
    """What came of reading a queue: a reading, or a problem. `note` is worth knowing about the reading."""

    reading: QueueReading | None = None
    problem: SidecarError | None = None
    note: str = ""


class _Sent(Struct):
    """Commands of one queue to one node."""

    queue: str
    commands: Asked


class QueueReader:
    """One task reads. A queue that cannot be read is a problem of that queue alone."""

    def __init__(self, servers: Servers, queues: Iterable[QueueConfig]) -> None:
        self._servers = servers
        self._systems: dict[str, QueueSystem] = {}
        self._listings: list[QueueConfig] = []
        for queue in queues:
            if queue.queue == ALL:
                self._listings.append(queue)
            else:
                self._systems[queue.name] = SYSTEMS[queue.system](queue)
        self._listed: dict[str, QueueSystem] = {}
        self._of_lists: dict[str, QueueAnswer] = {}  # what the newest listing said
        self._listed_at = -inf
        self._links: dict[int, Link] = {}  # by slot; 0 where there are none

    @property
    def names(self) -> frozenset[str]:
        """The configured names."""
        return frozenset(self._systems)

    async def read(self, now: float) -> dict[str, QueueAnswer]:
        """Read every queue at `now` (Unix seconds), by its name here."""
        found: dict[str, QueueAnswer] = {}
        try:
            if self._listings and not 0 <= now - self._listed_at < LIST_SECONDS:
                self._of_lists = await self._list(now)
            found |= self._of_lists
            systems = {**self._listed, **self._systems}
            asked = {name: system.ask(now) for name, system in systems.items()}
            replies, apart = await self._ask(asked, found, together=True)
            lasting = set(self._links)
            more = {name: self._then(systems[name], given, found) for name, given in replies.items()}
            further, _ = await self._ask(more, found, together=False)
            for slot in self._links.keys() - lasting:  # that of a job, which the next read may not ask for
                await self._links.pop(slot).close()
            for name in replies.keys() - found.keys():
                found[name] = _answer(systems[name], {**replies[name], **further.get(name, {})}, now)
                if name in apart and found[name].reading:
                    found[name] = replace(found[name], note=APART)
        except (UnavailableError, AccessError) as exc:
            await self.close()
            names = [*self._listed, *self._systems, *map(_listing_name, self._listings)]
            found |= {name: QueueAnswer(problem=exc) for name in names}
        return found

    async def close(self) -> None:
        """Close the connections; the next read opens new ones."""
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()

    async def _list(self, now: float) -> dict[str, QueueAnswer]:
        """Find the queues of the systems that list theirs; return what is wrong with that."""
        listed: dict[str, QueueSystem] = {}
        found: dict[str, QueueAnswer] = {}
        for config in self._listings:
            listing, name = LISTINGS[config.system], _listing_name(config)
            replies, _ = await self._ask({name: {"names": listing.command(config)}}, found, together=False)
            if name in found:
                continue
            with reading_reply(name):
                every = sorted(map(listing.queue, replies[name]["names"]))
            names = [one for one in every if len(one.encode()) <= MAX_ID_BYTES]
            room = Rules().max_queues - len(listed) - len(self._systems)
            for queue in names[: max(room, 0)]:
                listed.setdefault(queue, SYSTEMS[config.system](replace(config, name=queue, queue=queue)))
            if len(names) < len(every):
                problem = CommandError(f"{len(every) - len(names)} names have more than {MAX_ID_BYTES} bytes")
                found[name] = QueueAnswer(problem=problem)
            elif len(names) > room:
                problem = CommandError(f"there are {len(names)} queues, room for {room}: name those that matter")
                found[name] = QueueAnswer(problem=problem)
            elif not names:
                found[name] = QueueAnswer(note=f"{key_of(listing.command(config))} lists no queue yet")
        self._listed, self._listed_at = listed, now
        return found

    def _then(self, system: QueueSystem, replies: Mapping[str, Any], found: dict[str, QueueAnswer]) -> Asked:
        try:
            with reading_reply(system.config.queue):
                return system.then(replies)
        except SidecarError as exc:
            found[system.config.name] = QueueAnswer(problem=exc)
            return {}

    async def _ask(
        self, asked: Mapping[str, Asked], found: dict[str, QueueAnswer], *, together: bool
    ) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Send the commands of every queue, in a transaction if `together`; return the replies, and who has none.

        Problems go to `found`. The second value are queues whose keys are in several slots of a Cluster.
        """
        replies: dict[str, dict[str, Any]] = {}
        by_slot, apart = self._by_slot(asked)
        for slot, sent in by_slot.items():
            link = await self._link(slot, sent)
            for one, given in zip(sent, await _exchange(link, sent, together=together), strict=True):
                if problem := _problem(one.commands, given):
                    found[one.queue] = QueueAnswer(problem=problem)
                else:
                    replies.setdefault(one.queue, {}).update(zip(one.commands, given, strict=True))
        return {name: given for name, given in replies.items() if name not in found}, apart

    def _by_slot(self, asked: Mapping[str, Asked]) -> tuple[dict[int, list[_Sent]], set[str]]:
        """Sort the commands by the slots of their keys."""
        found: dict[int, list[_Sent]] = {}
        apart = set()
        for name, commands in asked.items():
            parts: dict[int, dict[str, ReadCommand]] = {}
            for slot_name, command in commands.items():
                parts.setdefault(self._slot(command), {})[slot_name] = command
            for slot, part in parts.items():
                found.setdefault(slot, []).append(_Sent(name, part))
            if len(parts) > 1:
                apart.add(name)
        return found, apart

    def _slot(self, command: ReadCommand) -> int:
        return slot_of(key_of(command)) if self._servers.target.kind == "cluster" else 0

    async def _link(self, slot: int, sent: list[_Sent]) -> Link:
        if slot not in self._links or self._links[slot].closed:
            self._links[slot] = await self._servers.open(key_of(next(iter(sent[0].commands.values()))))
        return self._links[slot]


async def _exchange(link: Link, sent: Sequence[_Sent], *, together: bool) -> list[list[Any]]:
    """Send the commands of several queues; return the replies to those of each.

    Redis refuses the whole transaction if it refuses one command of it: then the other queues are read without that
    one's, and the replies to its commands are the errors.
    """
    commands = [command for one in sent for command in one.commands.values()]
    if not (together and commands):
        return _parts(sent, await link.calls(commands))
    _, *queued, replies = await link.calls([("MULTI",), *commands, ("EXEC",)])
    if not isinstance(replies, Exception):
        return _parts(sent, replies)
    parts = _parts(sent, queued)
    good = [one for one, given in zip(sent, parts, strict=True) if _problem(one.commands, given) is None]
    if len(good) == len(sent):
        return [[replies] * len(one.commands) for one in sent]
    again = iter(await _exchange(link, good, together=True))
    return [next(again) if one in good else given for one, given in zip(sent, parts, strict=True)]


def _parts(sent: Iterable[_Sent], replies: list[Any]) -> list[list[Any]]:
    """Divide replies among those who asked."""
    rest = iter(replies)
    return [list(islice(rest, len(one.commands))) for one in sent]


def _problem(commands: Asked, given: list[Any]) -> SidecarError | None:
    """Return what is wrong with a queue if Redis answered a command with an error.

    Raises UnavailableError if another node must be asked.
    """
    for command, reply in zip(commands.values(), given, strict=True):
        if isinstance(reply, (AskError, ClusterDownError)):
            raise UnavailableError(f"the Cluster moved {key_of(command)}: {reply}")
        if isinstance(reply, Exception):
            return _explained(command, reply)
    return None


def _explained(command: ReadCommand, reply: Exception) -> SidecarError:
    what, reason = f"{command[0]} {key_of(command)}", str(reply)
    if isinstance(reply, NoPermissionError) or "no permissions" in reason:
        return AccessError(f"{what}: this user may not; give it the rights of config/redis-acl.conf for queues")
    if "WRONGTYPE" in reason:
        return CommandError(f"{what}: the key is of another type: is `system` right, and `queue`?")
    if "no such key" in reason:
        return NoSuchQueueError(f"there is no {key_of(command)}: check `queue`")
    return CommandError(f"{what}: {reason}")


def _answer(system: QueueSystem, replies: Mapping[str, Any], now: float) -> QueueAnswer:
    try:
        with reading_reply(system.config.queue):
            return QueueAnswer(system.reading(replies, now), note=system.note(replies))
    except SidecarError as exc:
        return QueueAnswer(problem=exc)


def _listing_name(config: QueueConfig) -> str:
    return f"{config.system}:{ALL}"
