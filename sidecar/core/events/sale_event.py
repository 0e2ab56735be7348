"""The fields of a sale announcement: its action, and the id that a sale may have."""

import re
from typing import Literal

Action = Literal["start", "stop"]
ACTIONS: tuple[Action, ...] = ("start", "stop")
CURRENT = "current"  # the present sale, instead of an id
ID_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$"
ID_RULE = "at most 63 characters of a-z, 0-9, dot, underscore and hyphen, a letter or digit first, other than `current`"


def is_id(text: str) -> bool:
    """Return whether a sale may have this id."""
    return bool(re.fullmatch(ID_PATTERN, text)) and not text.endswith("\n") and text != CURRENT
