"""Names in a message: the first few, and how many more there are."""

from collections.abc import Sequence


def first_few(names: Sequence[str], most: int) -> str:
    """Return at most so many of the names, and how many are left out."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
