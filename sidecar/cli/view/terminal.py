"""Numbers, times and names as text for people. Unknown is a dash, never 0."""

import shutil
import textwrap
from datetime import UTC, datetime
from typing import TextIO

UNKNOWN = "-"


def plain(text: object) -> str:
    """Replace control characters in a text from outside: it must not control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


def folded(text: str, stream: TextIO, indent: str = "") -> str:
    """Wrap a line at spaces on a terminal, which would break words; leave it whole when piped."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def count(value: float | None) -> str:
    """Format a number with separators, and a fraction only if it is small. Only 0 looks like 0."""
    if value is None:
        return UNKNOWN
    if 0 < value < 0.1:
        return f"{max(value, 0.01):.2f}"
    return f"{value:,.1f}" if isinstance(value, float) and value < 100 else f"{value:,.0f}"


def counted(number: float | None, thing: str, things: str = "") -> str:
    """Format a number of things: `1 order`, `2 orders`, `- orders`."""
    return f"{count(number)} {thing if number == 1 else things or f'{thing}s'}"


def milliseconds(value: float | None) -> str:
    """Format milliseconds in the unit that fits."""
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value * 1000:.0f} µs"
    if value < 1000:
        return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
    return f"{value / 1000:.2f} s" if value < 60_000 else seconds(value / 1000)


def seconds(value: float | None) -> str:
    """Format seconds: `45 s`, `2 min 12 s`, `1 min`, `3 h 5 min`."""
    if value is None:
        return UNKNOWN
    if value < 60:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60:,} h"


def share(value: float | None) -> str:
    """Format a ratio in percent. Only 0 looks like 0 %, only 1 like 100 %."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if 10 <= percent < 99 else f"{min(max(percent, 0.01), 99.99):.2f} %"


def moment(ts: float | None) -> str:
    """Format a Unix time in UTC."""
    try:
        return UNKNOWN if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return UNKNOWN
