"""The manifest of a sale: YAML -> Manifest, or ConfigError with line, key and what to write instead."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from sidecar.config.structs import Seconds
from sidecar.config.tree import Tree, YamlList, YamlSection, YamlText, build, fail, tree
from sidecar.config.values import SCALARS
from sidecar.config.yaml_file import compose_text
from sidecar.core.counts.manifest import Manifest
from sidecar.core.events.sale_event import ID_RULE, is_id
from sidecar.core.sale.thresholds import expression, subject
from sidecar.errors import ConfigError

UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]+)?")
MOST_BYTES = 1_000_000
SLO_BAD = re.compile(r"fault|latency_ms > [0-9]+(\.[0-9]+)?")


def read_manifest(path: str) -> Manifest:
    """Return the manifest in a file. Raises ConfigError for its first problem."""
    try:
        text = Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"cannot read the manifest {path}: {exc.strerror}; name a file that can be read") from exc
    return parse_manifest(text, path)


def parse_manifest(text: bytes, path: str) -> Manifest:
    """Return the manifest in a text, which messages call `path`. Raises ConfigError for its first problem."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{path}: a manifest has at most {MOST_BYTES:,} bytes")
    try:
        root = compose_text(text.decode(), path)
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8 text") from exc
    if root is None:
        raise ConfigError(f"{path}: is empty: a manifest needs at least `version`, `sale` and `starts_at`")
    found = tree(root, path)
    if not isinstance(found, YamlSection):
        raise fail(found, "manifest", "consists of settings: write `name: value` lines")
    for name in ("version", "sale", "starts_at"):
        if not found.get(name):
            raise fail(found, "manifest", f"needs {name}")
    _read_times(found)
    manifest: Manifest = build(Manifest, found, "manifest")
    for keys, problem in _problems(manifest):
        raise fail(_at(found, keys), ".".join(map(str, keys)), problem)
    return manifest


def _read_times(found: YamlSection) -> None:
    """Replace times and durations by seconds, and `duration` by `ends_at`."""
    _replace(found, "starts_at", "starts_at", _moment)
    _replace(found, "ends_at", "ends_at", _moment)
    for name in ("duration", "warm_up", "drain"):
        _replace(found, name, name, _duration)
    if "duration" in found:
        if "ends_at" in found:
            raise fail(found["duration"], "duration", "and ends_at are both set: leave one out")
        duration = found.pop("duration")
        _put(found, "ends_at", float(found["starts_at"]) + float(duration), duration)
    phases = found.get("phases")
    rush = phases.get("rush") if isinstance(phases, YamlSection) else None
    if isinstance(rush, YamlSection):
        _replace(rush, "for", "phases.rush.for", _duration)
    start = float(found["starts_at"])
    for at, marker in enumerate(_parts(found.get("markers"))):
        _replace(marker, "at", f"markers[{at}].at", lambda text: _mark(text, start))
    thresholds = found.get("thresholds")
    for name, lines in thresholds.items() if isinstance(thresholds, YamlSection) else ():
        for at, line in enumerate(_parts(lines)):
            _replace(line, "delayAbortEval", f"thresholds.{name}[{at}].delayAbortEval", _duration)


def _parts(found: Tree | None) -> list[YamlSection]:
    return [part for part in found if isinstance(part, YamlSection)] if isinstance(found, YamlList) else []


def _replace(section: YamlSection, key: str, name: str, convert: Callable[[str], float]) -> None:
    value = section.get(key)
    if isinstance(value, YamlText) and value:
        try:
            _put(section, key, convert(value), value)
        except ValueError as exc:
            raise fail(value, name, str(exc)) from None


def _put(section: YamlSection, key: str, value: float, origin: Tree) -> None:
    found = YamlText(repr(value))
    found.origin = origin.origin
    section[key] = found


def _moment(text: str) -> float:
    if UNIX.fullmatch(text):
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-27T09:00:00+01:00") from None
    if found.tzinfo is None:
        raise ValueError("needs an offset, as in 2026-11-27T09:00:00+01:00: nobody knows whose clock it means")
    return found.timestamp()


def _duration(text: str) -> float:
    if not text.strip()[-1:].isalpha():
        raise ValueError("needs a unit, as in 60s, 10m or 2h")
    return float(SCALARS[Seconds](text))


def _mark(text: str, start: float) -> float:
    return start + _duration(text[1:]) if text.startswith("+") else _moment(text)


def _at(found: Tree, keys: tuple[str | int, ...]) -> Tree:
    """Return the part that keys lead to, or the last one on the way."""
    for key in keys:
        if isinstance(found, YamlSection) and key in found:
            found = found[str(key)]
        elif isinstance(found, YamlList) and isinstance(key, int):
            found = found[key]
    return found


def _problems(manifest: Manifest) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not is_id(manifest.sale):
        yield ("sale",), f"has {ID_RULE}"
    if manifest.baseline and not is_id(manifest.baseline):
        yield ("baseline",), f"is the id of a sale: {ID_RULE}"
    if manifest.ends_at is not None and manifest.ends_at <= manifest.starts_at:
        yield ("ends_at",), "must be after starts_at"
    names = Counter(one.id for one in manifest.products)
    for at, one in enumerate(manifest.products):
        if names[one.id] > 1:
            yield ("products", at, "id"), f'"{one.id}" is there {names[one.id]} times'
        if (one.stock or 0) < 0 or one.safety_stock < 0 or (one.price or 0) < 0:
            yield ("products", at), "has a number below 0"
        if one.stock is not None and one.safety_stock > one.stock:
            yield ("products", at, "safety_stock"), "is more than the stock"
    for name, value in (("orders", manifest.expected.orders), ("peak_per_second", manifest.expected.peak_per_second)):
        if value is not None and value <= 0:
            yield ("expected", name), "must be above 0"
    if sum(one.slow_ms is not None for one in manifest.slo if SLO_BAD.fullmatch(one.bad)) > 1:
        yield ("slo",), "has two rules for the latency: one is counted exactly, leave the other out"
    for name, thresholds in manifest.thresholds.items():
        for at, threshold in enumerate(thresholds):
            try:
                expression(threshold.threshold, subject(name).metric)
            except ValueError as exc:
                yield ("thresholds", name, at), str(exc)
    slos = Counter(one.name for one in manifest.slo)
    for at, slo in enumerate(manifest.slo):
        if slos[slo.name] > 1:
            yield ("slo", at, "name"), f'"{slo.name}" is there {slos[slo.name]} times'
        if not 0 < slo.target < 1:
            yield ("slo", at, "target"), "must be between 0 and 1, as in 0.99"
        if not SLO_BAD.fullmatch(slo.bad):
            yield ("slo", at, "bad"), "must be `fault`, or a latency such as `latency_ms > 800`"
