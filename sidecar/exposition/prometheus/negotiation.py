"""What a client asks for in `Accept` and `Accept-Encoding` (RFC 9110, section 12.5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

# Ignores separators within quotes. The closing quote is optional, so that no input causes backtracking.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_SEPARATORS = re.compile(r"[,;]")
_QVALUE = re.compile(r"(?:0(?:\.\d*)?|1(?:\.0*)?)\Z")

OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_VERSIONS = ("", "1.0.0")
PROTOBUF = "application/vnd.google.protobuf"
PROTOBUF_MESSAGES = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}
SCRAPED = (OPENMETRICS, PROTOBUF)


class Format(Enum):
    """The three expositions, each with its `Content-Type`; of formats that are equally welcome the first is sent."""

    PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Range:
    """One element of an `Accept` header."""

    name: str
    parameters: dict[str, str]
    q: float

    @property
    def version(self) -> str:
        """The version, empty if it names none."""
        return self.parameters.get("version", "")


def ranges(header: str) -> list[Range]:
    """Parse `Accept` or `Accept-Encoding`; an invalid weight counts as 0."""
    plain = _QUOTED.sub(lambda match: _SEPARATORS.sub(" ", match[1]), header)
    return [_range(element) for element in plain.split(",") if element.strip()]


def _range(element: str) -> Range:
    name, *rest = element.split(";")
    parameters = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
    weight = parameters.get("q", "1")
    q = float(weight) if _QVALUE.match(weight) else 0.0
    return Range(name.strip().lower(), parameters, q)


def exposition_format(accept: str) -> Format:
    """Choose the format that is named with the highest weight; without any, the text format."""
    asked = ranges(accept)
    protobuf = [r.q for r in asked if r.name == PROTOBUF and r.parameters.items() >= PROTOBUF_MESSAGES.items()]
    openmetrics = [r.q for r in asked if r.name == OPENMETRICS and r.version in OPENMETRICS_VERSIONS]
    text = [r.q for r in asked if r.name == "text/plain"]
    weights = dict(zip(Format, map(_best, (protobuf, openmetrics, text)), strict=True))
    return max(Format, key=lambda format: weights[format]) if any(weights.values()) else Format.TEXT


def wants_exposition(accept: str) -> bool:
    """Return whether a type that only scrapers name has a higher weight than JSON.

    These are OpenMetrics, text/plain with a version, and protobuf.
    """
    asked = ranges(accept)
    exposition = _best(r.q for r in asked if r.name in SCRAPED or (r.name == "text/plain" and r.version))
    return exposition > _json_weight(asked)


def wants_markdown(accept: str) -> bool:
    """Return whether Markdown is named, with no lower weight than JSON."""
    asked = ranges(accept)
    markdown = _best(r.q for r in asked if r.name == "text/markdown")
    return markdown > 0 and markdown >= _json_weight(asked)


def wants_html(accept: str) -> bool:
    """Return whether HTML is named, as browsers do for what a person opens."""
    return _best(r.q for r in ranges(accept) if r.name == "text/html") > 0


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether gzip is named with a weight above 0."""
    return _best(r.q for r in ranges(accept_encoding) if r.name == "gzip") > 0


def _json_weight(asked: list[Range]) -> float:
    if not asked:
        return 1.0
    for name in ("application/json", "application/*", "*/*"):
        if any(r.name == name for r in asked):
            return _best(r.q for r in asked if r.name == name)
    return 0.0


def _best(weights: Iterable[float]) -> float:
    return max(weights, default=0.0)
