"""Who may take over, and when."""

import builtins
import os
from typing import Any

import pytest

from sidecar.daemon import candidacy
from sidecar.daemon.candidacy import Candidacy, is_dead

T0 = 1_790_000_000.0
NO_PID = 2**30  # beyond what the kernel gives out


@pytest.mark.parametrize(
    ("met", "waited", "may_create"),
    [
        # a process that never saw an owner: two commit intervals
        ([], 0.0, False),
        ([""], 0.9, False),
        ([""], 1.0, True),
        (["", ""], 1.0, True),
        # one that did: a lease
        (["somebody"], 100.0, False),
        (["somebody", ""], 4.9, False),
        (["somebody", ""], 5.0, True),
        (["", "somebody"], 100.0, False),
    ],
)
def test_a_checkpoint_is_created_where_nobody_showed_up_for_long_enough(
    met: list[str], waited: float, may_create: bool
) -> None:
    candidacy = Candidacy(patience=1.0, lease=5.0)
    for found in met:
        candidacy.saw(found, T0)
    assert candidacy.may_create(T0 + waited) is may_create


def test_the_wait_counts_from_the_first_time_that_nobody_was_found() -> None:
    candidacy = Candidacy(patience=1.0, lease=5.0)
    candidacy.saw("", T0)
    candidacy.saw("", T0 + 0.9)
    assert candidacy.may_create(T0 + 1)


def test_who_was_the_owner_waits_a_lease_for_its_successor() -> None:
    candidacy = Candidacy(patience=1.0, lease=5.0)
    candidacy.owned()
    candidacy.saw("", T0)
    assert not candidacy.may_create(T0 + 4.9)
    assert candidacy.may_create(T0 + 5)


def test_a_dead_holder_is_known_until_another_one_is_met() -> None:
    standby = Candidacy(patience=1.0, lease=5.0)
    dead = f"{candidacy.machine()}:{NO_PID}:x"
    standby.saw(dead, T0)
    assert standby.dead == dead
    standby.saw("elsewhere:1:x", T0)
    assert standby.dead == ""
    standby.saw(dead, T0)
    standby.owned()
    assert standby.dead == ""


def test_a_name_tells_machine_and_process_and_is_new_each_time() -> None:
    first, second = candidacy.name(), candidacy.name()
    assert first != second
    assert first.split(":")[:2] == [candidacy.machine(), str(os.getpid())]
    assert " " not in first


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        (f"{candidacy.machine()}:{NO_PID}:x", True),
        (f"{candidacy.machine()}:{os.getpid()}:x", False),
        (f"{candidacy.machine()}:1:x", False),  # another user's, perhaps: it lives
        (f"{candidacy.machine()}:pid:x", False),
        (candidacy.machine(), False),
        (f"elsewhere:{NO_PID}:x", False),
        (f"unknown:{NO_PID}:x", False),
        ("", False),
    ],
    ids=["gone", "ours", "init", "no pid", "machine alone", "elsewhere", "unnamed", "nobody"],
)
def test_only_a_process_of_this_machine_that_is_gone_is_dead(name: str, dead: bool) -> None:
    assert is_dead(name) is dead


def test_a_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_dead(f"{candidacy.machine()}:1:x")


def test_a_machine_that_cannot_be_named_takes_nobody_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError

    monkeypatch.setattr(builtins, "open", refuse)
    assert candidacy.machine() == "unknown"
    assert not is_dead(f"unknown:{NO_PID}:x")
