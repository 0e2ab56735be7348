"""A JSON array -> its elements, as bytes: one bad event costs that event, not its neighbours."""

import json
import re
from typing import NoReturn

import msgspec

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_GAP = re.compile(r"[ \t\r\n]*")


def elements(payload: bytes) -> list[bytes]:
    """Return the elements of an array, not decoded. Raises ValueError or RecursionError if it is no array."""
    try:
        return list(map(bytes, _split(payload)))
    except msgspec.DecodeError:
        # Lone surrogates, as of a text cut within an emoji, are the only valid JSON that msgspec rejects.
        if b"\\u" not in payload:
            raise
        return _split_slowly(payload.decode("utf-8", "surrogateescape"))


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_read = json.JSONDecoder(parse_constant=_no_json).raw_decode


def _split_slowly(text: str) -> list[bytes]:
    found: list[bytes] = []
    at = _after_gap(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("there is no array")
    while not found or text[at : at + 1] == ",":
        at = _after_gap(text, at + 1)
        _, end = _read(text, at)
        found.append(text[at:end].encode("utf-8", "surrogateescape"))
        at = _after_gap(text, end)
    if text[at : at + 1] != "]" or _after_gap(text, at + 1) < len(text):
        raise ValueError(f"the array does not end properly (character {at})")
    return found


def _after_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    assert found is not None  # the gap may be empty
    return found.end()
