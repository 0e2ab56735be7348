"""Findings of `check`, and the judgements that need no Redis."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct

from sidecar.cli.view.terminal import counted
from sidecar.core.counts.understanding import HALF
from sidecar.core.events.currencies import ALL_WHOLE, ENOUGH, looks_minor
from sidecar.core.events.event import FIELDS, Decoded, Event
from sidecar.core.events.source import as_java_writes
from sidecar.core.mapping.mapping import Chain
from sidecar.core.sequence.shared_names import MIN_REPEATS, QUESTION
from sidecar.core.snapshot.snapshot import JOB_STATES, Completeness, ProducerCompleteness
from sidecar.errors import UnavailableError
from sidecar.redis.info import ServerInfo
from sidecar.sources.queues.reader import QueueAnswer
from sidecar.sources.queues.system import NoSuchQueueError

# Names this similar are probably meant to be the same: `flash-sale:events`, `flash_sale:event`.
SIMILAR = 0.75


class Finding(Struct, frozen=True):
    """One line of `check`; `fix` says what to do. A problem keeps events from being counted, or counts from Redis."""

    level: Literal["ok", "warning", "problem"]
    text: str
    fix: str = ""


def near_spellings(name: str) -> list[str]:
    """Return spellings that a backend may have used: other separators, singular and plural."""
    separators = ":._-/"
    words = "".join(" " if character in separators else character for character in name).split()
    found = {separator.join(words) for separator in separators}
    for inner in ("", *separators):
        for outer in separators:
            if len(words) > 1:
                found.add(inner.join(words[:-1]) + outer + words[-1])
    found |= {name.removesuffix("s"), name + "s", name.lower(), name.upper()}
    found |= {one.removesuffix("s") for one in found}
    return sorted(one for one in found if one and one != name)


def common_names(name: str) -> list[str]:
    """Return names that a backend may use by default: without the prefix, with a framework's, or a common name."""
    last = re.split(r"[:._/-]", name)[-1]
    found = {last, "events", "orders", "order:events", "order_events", "order-events", "orders:events"}
    found |= {f"{prefix}{name}" for prefix in ("laravel_database_", "laravel-database-")}
    return sorted(found - {name, ""} - set(near_spellings(name)))


def similar(name: str, others: Iterable[str]) -> list[str]:
    """Return the other names that are similar to `name`."""

    def likeness(other: str) -> float:
        return SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return sorted(other for other in others if other != name and likeness(other) >= SIMILAR)


def about_server(server: ServerInfo, policy: str) -> list[Finding]:
    """Judge the server and its `maxmemory-policy`."""
    findings = [Finding("ok", ", ".join(filter(None, (server.display, server.role))))]
    if server.too_old:
        findings = [Finding("problem", f"{server.display} is too old", "use Redis 6.2 or newer, or Valkey")]
    try:
        server.require_primary()
    except UnavailableError as exc:
        fix = "point redis.url at the primary, or at the Sentinels"
        findings.append(Finding("problem", f"{exc}; it takes no writes", fix))
    if server.role == "active-replica":
        text = "active replicas do not merge writes that both took at the same time"
        findings.append(Finding("warning", text, "let backend and sidecar use the same one of them"))
    if policy.startswith("allkeys-"):
        findings.append(
            Finding(
                "warning",
                f"maxmemory-policy is {policy}: Redis may evict the sidecar's state when memory is short",
                "set maxmemory-policy to volatile-lru or noeviction",
            )
        )
    return findings


def about_sample(source: str, decoded: Decoded, unknown: Set[str], currency: str = "XXX") -> list[Finding]:
    """Judge the newest decoded events of `stream NAME` or `channel NAME`, and their unknown fields."""
    findings = []
    rejected = Counter(rejection.reason for rejection in decoded.rejections)
    if rejected:
        last = decoded.rejections[-1]
        reasons = ", ".join(f"{number} {reason}" for reason, number in rejected.most_common())
        of = len(decoded.rejections) + len(decoded.events)
        findings.append(
            Finding(
                "problem" if not decoded.events else "warning",
                f"{source}: {len(decoded.rejections)} of the newest {of} events are rejected ({reasons})",
                f"the last one: {last.detail}; `sidecar rejected` shows them",
            )
        )
    if unknown:
        names = ", ".join(sorted(unknown))
        findings.append(
            Finding("warning", f"{source}: unknown fields are ignored: {names}", "look for misspelled names")
        )
    return [*findings, *_about_ignored(source, decoded), *_about_amounts(source, decoded.events, currency)]


def about_rules(source: str, chain: Chain) -> list[Finding]:
    """Say what the mappings of a source made of the newest payloads, rule by rule."""
    by_mapping: dict[str, list[str]] = {}
    for (mapping, rule, outcome), number in chain.counts.items():
        by_mapping.setdefault(mapping, []).append(f"{rule or 'not decoded'} {outcome} {number}")
    return [Finding("ok", f"{source}: mapping {name}: {', '.join(rules)}") for name, rules in by_mapping.items()]


def _about_ignored(source: str, decoded: Decoded) -> list[Finding]:
    """Judge whether at least half of the events have unknown types."""
    types = Counter(event.type for event in decoded.events if event.type not in FIELDS)
    of = len(decoded.events) + len(decoded.rejections) - sum(event.type == "heartbeat" for event in decoded.events)
    if not types or types.total() < HALF * of:
        return []
    text = f"{source}: {types.total()} of the newest {of} events are ignored, most as type {types.most_common(1)[0][0]}"
    return [Finding("warning", text, "give orders the type order, or send the others elsewhere")]


def _about_amounts(source: str, events: Sequence[Event], currency: str) -> list[Finding]:
    """Judge whether all amounts may be cents."""
    amounts = [looks_minor(one.amount, one.currency or currency) for one in events if one.amount is not None]
    if amounts.count(True) < ENOUGH or False in amounts:
        return []
    return [Finding("warning", f"{source}: {ALL_WHOLE}", "send 19.90, not 1990")]


def about_counted(completeness: Completeness, reasons: Mapping[str, int], types: Mapping[str, int]) -> list[Finding]:
    """Judge how many of the received events were counted."""
    lost = completeness.invalid + completeness.ignored
    if not lost or lost < HALF * completeness.received:
        return []
    reason = f" (most as {max(reasons, key=lambda name: reasons[name])})" if reasons else ""
    kind = f" (most as type {max(types, key=lambda name: types[name])})" if types else ""
    text = (
        f"of {counted(completeness.received, 'event')} since counting began, {completeness.invalid} were "
        f"rejected{reason} and {completeness.ignored} ignored{kind}"
    )
    advice = ["`sidecar rejected` shows what was rejected"] if completeness.invalid else []
    if completeness.ignored:
        advice.append("give orders the type order, or send the others elsewhere")
    return [Finding("warning", text, "; ".join([*advice, "after the fix start from 0 with `sidecar clear`"]))]


def about_shared(by_producer: Mapping[str, ProducerCompleteness]) -> list[Finding]:
    """Judge whether several processes use one producer name, by the duplicates that were counted."""
    return [
        Finding(
            "warning",
            f"most events of {name} are duplicates ({one.duplicates} of {one.received + one.duplicates}): {QUESTION}",
            "give each a producer of its own",
        )
        for name, one in sorted(by_producer.items())
        if one.duplicates >= MIN_REPEATS and one.duplicates >= one.received
    ]


def about_heard(name: str, heard: Mapping[str, int], within: float) -> list[Finding]:
    """Judge the messages that the check received on other channels."""
    return [
        Finding(
            "warning",
            f"{counted(number, 'message')} on channel {other} within {within:.0f} s, but {name} is configured",
            "use the same name in both, or list both in sources.pubsub",
        )
        for other, number in sorted(heard.items())
    ]


def about_queues(answers: Mapping[str, QueueAnswer]) -> list[Finding]:
    """Say what the queues that are read hold. One that is not there may come with its first job."""
    findings = []
    for name, answer in sorted(answers.items()):
        what = f"queue {name}"
        if answer.problem is not None:
            missing = isinstance(answer.problem, NoSuchQueueError)
            findings.append(Finding("warning" if missing else "problem", f"{what}: {answer.problem}"))
            continue
        if answer.reading is not None:
            pairs = zip(JOB_STATES, answer.reading.numbers, strict=True)
            jobs = ", ".join(f"{number} {state}" for state, number in pairs if number is not None)
            findings.append(Finding("ok", f"{what}: {jobs}{' (paused)' if answer.reading.paused else ''}"))
        if answer.note:
            findings.append(Finding("warning", f"{what}: {answer.note}"))
    return findings


def about_elsewhere(name: str, db: int, found: Iterable[tuple[int, str]], *, in_use: bool) -> list[Finding]:
    """Judge other streams, as (database, name): a problem if this one has no events and the other a similar name.

    `in_use`: this stream has events, so the others may be for something else.
    """
    near = {name, as_java_writes(name), *near_spellings(name)}
    findings = []
    for other_db, other in found:
        also = "also " if in_use else ""
        stream = f"{other} in database {other_db}" if other_db != db else other
        text = f"there is {also}a stream {stream}, but {name} is configured"
        fix = "use the same name in both, or list both in sources.streams"
        if other_db != db:
            text += f" in database {db}"
            fix = f"end redis.url with /{other_db}, or let the backend use database {db}"
        findings.append(Finding("warning" if in_use or other not in near else "problem", text, fix))
    return findings
