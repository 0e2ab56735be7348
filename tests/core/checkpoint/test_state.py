"""A State as entries of the checkpoint: every section is in the one table, and a new counter needs nothing else."""

import subprocess
import sys

from sidecar.core.checkpoint.sections import SECTIONS
from sidecar.core.counts.state import State

NEW_COUNTER = """
from sidecar.core.counts import tallies
tallies.TALLIES += ("gifts",)  # the table
from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.state import State
pending, committed = State(), State()
pending.total.tallies["gifts"]["wrapped"] += 2  # the place that counts
committed.merge(pending)
committed.merge(pending)
loaded = load_state(dump_state(committed))
print(loaded.total.tallies["gifts"]["wrapped"])
"""


def test_every_section_of_the_state_is_in_the_table() -> None:
    assert {name for name, _ in State().sections()} == set(SECTIONS)


def test_a_new_counter_touches_one_table_and_the_place_that_counts_it() -> None:
    """In a process of its own: the table is read when the forms of stored parts are made."""
    found = subprocess.run([sys.executable, "-c", NEW_COUNTER], capture_output=True, text=True, timeout=60, check=False)
    assert (found.stdout, found.stderr) == ("4\n", "")
