"""Stream entries -> payloads."""

from collections.abc import Callable, Sequence

import msgspec

from sidecar.core.events.values import decode_plainly
from sidecar.core.mapping.definition import ONLY_FIELD, WHOLE_ENTRY
from sidecar.core.mapping.payloads import JAVA, text_of

# The fields of an entry, names and values in turn -> the payload, `None` if the entry holds none.
PayloadOf = Callable[[Sequence[bytes]], bytes | None]


def payload_of(entry: Sequence[str], values: str) -> PayloadOf:
    """Return the function that finds the payload; `entry` and `values` are those of a definition."""
    if WHOLE_ENTRY in entry:
        return _as_json if values == "json" else _as_text
    if ONLY_FIELD in entry:
        return lambda pairs: pairs[1] if len(pairs[::2]) == 1 else None
    names = [name.encode() for name in entry]

    def find(pairs: Sequence[bytes]) -> bytes | None:
        by_name = {text_of(name): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
        return next((by_name[name] for name in names if name in by_name), None)

    return find


def _as_text(pairs: Sequence[bytes]) -> bytes | None:
    """Return the fields as a JSON object of texts."""
    texts = [text_of(part).decode("utf-8", "replace") for part in pairs]
    if (serialised := _java_object(pairs)) is not None:
        return serialised
    return msgspec.json.encode(dict(zip(texts[::2], texts[1::2], strict=True))) if texts else None


def _as_json(pairs: Sequence[bytes]) -> bytes | None:
    """Return the fields as a JSON object; a value that is no JSON is a text."""
    named = {
        text_of(name).decode("utf-8", "replace"): _value(text_of(value))
        for name, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    return msgspec.json.encode(named) if named else None


def _java_object(pairs: Sequence[bytes]) -> bytes | None:
    """Return the first value that is a serialised Java object: as a payload, it is rejected with that reason."""
    return next((part for part in pairs if part[:4] == JAVA and text_of(part) is part), None)


def _value(value: bytes) -> msgspec.Raw | str:
    try:
        decode_plainly(value)
    except (ValueError, RecursionError):
        return value.decode("utf-8", "replace")
    return msgspec.Raw(value)
