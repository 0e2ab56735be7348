"""What somebody who mistyped a name probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

# Below this likeness a guess confuses more than it helps; difflib's own default.
CUTOFF = 0.6


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like the word, if one is."""
    return next(iter(get_close_matches(word, list(names), 1, CUTOFF)), None)


def did_you_mean(name: str | None) -> str:
    """Return the end of a message: the guess, if there is one."""
    return f'; did you mean "{name}"?' if name else ""


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """Say that a dotted name is no setting: look first beside it, then everywhere."""
    section, _, word = name.rpartition(".")
    names = list(known)
    beside = section + "." if section else ""
    siblings = sorted({other.removeprefix(beside).partition(".")[0] for other in names if other.startswith(beside)})
    elsewhere = {other.rpartition(".")[2]: other for other in names}
    guess = nearest(word, siblings) or elsewhere.get(nearest(word, elsewhere) or "")
    place = f'"{section}"' if section else "the top level"
    return f'unknown setting "{word}" under {place}{did_you_mean(guess)}'
