"""The name that a mistyped one probably stands for."""

from collections.abc import Iterable
from difflib import get_close_matches

# Less similar guesses confuse more than they help; difflib's own default.
CUTOFF = 0.6


def nearest(typed: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to what was typed, if any is similar."""
    return next(iter(get_close_matches(typed, list(names), 1, CUTOFF)), None)


def did_you_mean(name: str | None) -> str:
    """Return the guess as the end of a message, "" without one."""
    return f'; did you mean "{name}"?' if name else ""


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown dotted name; guess from its own section first, then from all settings."""
    section, _, last = name.rpartition(".")
    names = list(known)
    beside = section + "." if section else ""
    siblings = sorted({other.removeprefix(beside).partition(".")[0] for other in names if other.startswith(beside)})
    elsewhere = {other.rpartition(".")[2]: other for other in names}
    guess = nearest(last, siblings) or elsewhere.get(nearest(last, elsewhere) or "")
    location = f'"{section}"' if section else "the top level"
    return f'unknown setting "{last}" under {location}{did_you_mean(guess)}'
