"""Keys pressed while a command shows a live view."""

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEY = re.compile(rb"\x1b[\[O]\d?[A-H~]|.", re.DOTALL)
NAMES = {"A": "up", "B": "down", "5~": "page up", "6~": "page down", "H": "home", "F": "end"}
READ_BYTES = 256

# Wait at most this many seconds; return the keys pressed, if any.
Pressed = Callable[[float], list[str]]


@contextmanager
def keys() -> Iterator[Pressed]:
    """Read single keys while the context is open; Ctrl-C still interrupts."""
    if not sys.stdin.isatty():
        yield _no_keys
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield lambda seconds: _pressed(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def read_keys(data: bytes) -> list[str]:
    """Return the names of the keys that a terminal sent: `up`, `page down`, or the character itself."""
    found = [one.decode(errors="replace") for one in KEY.findall(data)]
    return [NAMES.get(one[2:], "") if one.startswith("\x1b") else one for one in found]


def _pressed(terminal: int, seconds: float) -> list[str]:
    ready, _, _ = select.select([terminal], [], [], seconds)
    return read_keys(os.read(terminal, READ_BYTES)) if ready else []


def _no_keys(seconds: float) -> list[str]:
    time.sleep(seconds)
    return []
