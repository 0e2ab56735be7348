"""The protocol of live clients: plain functions from a message, or an event, to a decision.

A decision has the answer to send, and what else to do. Nothing here waits or sends.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sidecar.core.snapshot.snapshot import Scope
from sidecar.exposition.documents import DEFAULT_TOPICS, HEALTH, PRODUCTS, TOPICS

# An eye can follow ten updates a second; one a minute keeps a dashboard alive.
SHORTEST_MS, LONGEST_MS = 100, 60_000
# A message with a thousand products has 100 KB.
SHORTEST_WITH_PRODUCTS_MS = 1000

EVENTS = ("subscribe-metrics", "unsubscribe-metrics", "get-benchmark-report", "authenticate", "ping")

T = TypeVar("T")
RequestId = msgspec.Raw | None  # the JSON of the client's value, `None` for null


class Subscription(Struct, frozen=True):
    """What a client gets, and how often."""

    interval_ms: int | float = 1000
    topics: frozenset[str] = DEFAULT_TOPICS
    scope: Scope = "instance"

    @property
    def products(self) -> bool:
        """Whether its updates have all products."""
        return PRODUCTS in self.topics

    @property
    def health(self) -> bool:
        """Whether its updates say how the sidecar is, also while there are no numbers."""
        return HEALTH in self.topics

    @property
    def line(self) -> tuple[Scope, bool]:
        """What decides when its updates are available."""
        return self.scope, self.health


class Answer(Struct, frozen=True):
    """A message of the server; `id` is that of the message it answers."""

    event: str
    data: Any
    id: RequestId = None


class Reply(Struct, frozen=True):
    """Send the answer."""

    answer: Answer


class Subscribe(Struct, frozen=True):
    """Send the answer, then updates."""

    answer: Answer
    subscription: Subscription


class Unsubscribe(Struct, frozen=True):
    """End the updates, then send the answer."""

    answer: Answer


class ReportRequest(Struct, frozen=True):
    """Send the report in answer to the message with this id."""

    id: RequestId


class Authenticate(Struct, frozen=True):
    """Compare the token; answer the message with this id."""

    id: RequestId
    token: str


Decision = Reply | Subscribe | Unsubscribe | ReportRequest | Authenticate


class _Token(Struct, frozen=True):
    token: str


class _SubscribeRequest(Struct, frozen=True):
    interval_ms: int | float = 1000
    topics: list[str] | UnsetType = UNSET
    scope: Scope = "instance"


class _BadRequest(Exception):
    """The text of a `bad_request` answer."""


def decide(message: str | bytes, *, authorized: bool) -> Decision:
    """Decide about one message of a WebSocket client."""
    if isinstance(message, bytes):
        return Reply(error("bad_request", "send JSON in text frames, not in binary ones"))
    try:
        request = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError) as exc:
        return Reply(error("not_json", f"the message is not JSON: {exc}"))
    if not isinstance(request, dict):
        return Reply(error("bad_request", 'send an object: {"event": name, "data": {...}}'))
    # Encode it now: deep JSON that could just be decoded might fail to encode some calls deeper.
    id = None if request.get("id") is None else msgspec.Raw(msgspec.json.encode(request["id"]))
    return decide_event(request.get("event"), request.get("data"), id, authorized=authorized)


def decide_event(event: Any, data: Any, id: RequestId, *, authorized: bool) -> Decision:
    """Decide about one event; before authorization only `authenticate` is accepted."""
    if not authorized and event != "authenticate":
        return Reply(error("unauthorized", 'send {"event":"authenticate","data":{"token":...}} first', id))
    try:
        return _obey(event, data, id)
    except _BadRequest as exc:
        return Reply(error("bad_request", str(exc), id))


def _obey(event: Any, data: Any, id: RequestId) -> Decision:
    match event:
        case "subscribe-metrics":
            subscription = _subscription(_convert(data, _SubscribeRequest))
            return Subscribe(Answer("subscribed", _describe(subscription), id), subscription)
        case "unsubscribe-metrics":
            return Unsubscribe(Answer("unsubscribed", {}, id))
        case "get-benchmark-report":
            return ReportRequest(id)
        case "authenticate":
            return Authenticate(id, _convert(data, _Token).token)
        case "ping":
            return Reply(Answer("pong", {}, id))
        case str():
            return Reply(error("unknown_event", f"there is no event {event!r}; there is {', '.join(EVENTS)}", id))
    raise _BadRequest(f"event must be a string: one of {', '.join(EVENTS)}")


def _convert(data: Any, type: type[T]) -> T:
    try:
        return msgspec.convert({} if data is None else data, type)
    except msgspec.ValidationError as exc:
        raise _BadRequest(f"data: {exc}") from exc


def _subscription(wish: _SubscribeRequest) -> Subscription:
    """Check a request and fill in defaults."""
    interval, topics = wish.interval_ms, DEFAULT_TOPICS if wish.topics is UNSET else frozenset(wish.topics)
    if not SHORTEST_MS <= interval <= LONGEST_MS:
        raise _BadRequest(f"interval_ms must be from {SHORTEST_MS} to {LONGEST_MS}, not {interval}")
    if not topics or topics - TOPICS:
        raise _BadRequest(f"topics must be some of {', '.join(sorted(TOPICS))}, not {sorted(topics)}")
    if PRODUCTS in topics and interval < SHORTEST_WITH_PRODUCTS_MS:
        raise _BadRequest(f"interval_ms must be {SHORTEST_WITH_PRODUCTS_MS} or more with the topic {PRODUCTS}")
    return Subscription(interval, topics, wish.scope)


def _describe(subscription: Subscription) -> dict[str, Any]:
    return {
        "interval_ms": subscription.interval_ms,
        "topics": sorted(subscription.topics),
        "scope": subscription.scope,
    }


def head(event: str, id: RequestId = None) -> bytes:
    """Return the JSON of a message before its data; `}` comes after them."""
    return msgspec.json.encode({"event": event, **({} if id is None else {"id": id})})[:-1] + b',"data":'


def error(code: str, message: str, id: RequestId = None) -> Answer:
    """Return an `error` message."""
    return Answer("error", {"code": code, "message": message}, id)
