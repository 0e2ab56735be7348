"""What an operator could have seen, second by second, and the first of it that was not there before. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

FAULT_RATE, P99_MS, SLOWER, WAITING, SILENCE = 0.05, 1000.0, 1.5, 50, 0.1


class Sample(Struct, frozen=True):
    """One look at a sidecar. `health` is empty and `document` is None where it did not answer."""

    at: float
    health: str = ""
    unwell: tuple[str, ...] = ()
    document: dict[str, Any] | None = None


def first_sign(samples: Sequence[Sample], fault_at: float) -> tuple[float, str] | None:
    """Return when, in seconds after the fault, something showed that did not before it, and what."""
    before = [one for one in samples if one.at <= fault_at]
    if not before:
        return None
    usual = set(_signs(before[-1], before[-1]))
    for sample in samples[len(before) :]:
        if found := [one for one in _signs(sample, before[-1]) if one not in usual]:
            return sample.at - fault_at, ", ".join(found)
    return None


def _signs(sample: Sample, before: Sample) -> Iterator[str]:
    if sample.document is None:
        yield "no answer"
        return
    if sample.health != "ok":
        yield f"health {sample.health}"
    yield from sample.unwell
    if sample.document.get("stale"):
        yield "STALE"
    yield from _of_orders(sample.document, before.document or sample.document)
    if any(one["stock"] < 0 for one in sample.document["inventory"].values()):
        yield "stock below 0"


def _of_orders(now: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    if (now["orders"]["fault_rate"]["10s"] or 0) > FAULT_RATE:
        yield "fault rate"
    if (now["latency_ms"]["10s"]["p99"] or 0) > max(P99_MS, SLOWER * (before["latency_ms"]["10s"]["p99"] or 0)):
        yield "p99"
    if sum(one["waiting"] for one in now["queues"].values()) > WAITING:
        yield "queue"
    if (now["orders"]["per_second"]["now"] or 0) < SILENCE * (before["orders"]["per_second"]["10s"] or 0):
        yield "rate"
    if now["completeness"]["missed"] > before["completeness"]["missed"]:
        yield "missed"
