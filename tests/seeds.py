"""Seeds of random tests: another one for every run, or the one that TEST_SEED names, which replays a failure."""

import os
import random

VARIABLE = "TEST_SEED"


def fresh_seed() -> int:
    """Return a seed; the fixture `seed` also prints it."""
    return int(os.environ.get(VARIABLE) or random.getrandbits(32))
