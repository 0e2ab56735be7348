"""Who is watched, who is silent, who returned, and whom nobody waits for any more."""

import pytest

from sidecar.core.counts.liveness import (
    CHECKER,
    GAPS_KEPT,
    ROOM_SECONDS,
    SETTLING_SECONDS,
    STORED_SECONDS,
    WATCHED_SECONDS,
    Changes,
    Sign,
    Watch,
)
from sidecar.core.sequence.roll_call import HEARD_KEPT
from sidecar.core.snapshot.snapshot import Producers
from tests.core.counted import NOW, aggregator, batch, commit, order, shown

START = 1_790_000_000.0


class Shop:
    """Producers with heartbeats, and a watch that looks twice a second."""

    def __init__(self, *names: str, most: int = 10) -> None:
        self.watch = Watch(most)
        self.now = START
        self.heard: dict[str, float] = {}
        self.silent: list[str] = []
        self.returned: list[str] = []
        self.watch.look({}, self.now, hears=False, sale=True)
        self.run(20, *names)

    def run(self, seconds: float, *names: str, every: float = 1.0, sale: bool = True, hears: bool = True) -> None:
        """Let these producers, and nobody else, send heartbeats."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            for name in names:
                if self.now % every == 0:
                    self.watch.beat(name, "1", self.now)
            changes = self.watch.look(self.heard, self.now, hears=hears, sale=sale)
            self.silent += changes.silent
            self.returned += changes.returned

    def states(self) -> dict[str, str | None]:
        return {name: sign.state for name, sign in self.watch.signs.items()}


def test_a_producer_that_stops_is_silent_after_5_s_and_the_others_are_not() -> None:
    shop = Shop("a", "b", "c")
    shop.run(5, "b", "c")
    assert shop.silent == []
    shop.run(0.5, "b", "c")
    assert shop.silent == ["a"]
    assert shop.states() == {"a": "silent", "b": "alive", "c": "alive"}
    shop.run(60, "b", "c")
    assert shop.silent == ["a"], "it is said once"


def test_one_that_speaks_again_returned_whatever_it_sends() -> None:
    shop = Shop("a", "b")
    shop.run(10, "b")
    shop.heard["a"] = shop.now + 0.5  # an order
    shop.run(0.5, "b")
    assert shop.returned == ["a"]
    assert shop.states()["a"] == "alive"


def test_orders_are_signs_of_life_too() -> None:
    shop = Shop("a")
    for _ in range(40):
        shop.heard["a"] = shop.now
        shop.run(0.5)
    assert shop.silent == []


@pytest.mark.parametrize(("every", "patience"), [(1.0, 5.0), (5.0, 15.0), (10.0, 30.0)])
def test_who_sends_heartbeats_rarely_may_be_quiet_for_three_gaps(every: float, patience: float) -> None:
    shop = Shop()
    shop.run(50, "a", every=every)
    quiet_since = shop.watch.signs["a"].seen
    shop.run(patience - (shop.now - quiet_since))
    assert shop.silent == []
    shop.run(0.5)
    assert shop.silent == ["a"]


def test_one_long_gap_is_forgotten_soon() -> None:
    shop = Shop("a")
    shop.heard["a"] = shop.now + 4
    shop.run(8)
    shop.run(GAPS_KEPT + 1, "a")
    assert shop.watch.signs["a"].patience == 5.0


def test_two_heartbeats_promise_nothing() -> None:
    shop = Shop()
    shop.run(2, "a")
    shop.run(60)
    assert (shop.silent, shop.states()) == ([], {"a": None})


def test_the_check_is_no_producer() -> None:
    shop = Shop(CHECKER)
    assert shop.watch.signs == {}


def test_while_nobody_can_be_heard_nobody_is_silent_and_after_it_everybody_has_time() -> None:
    shop = Shop("a", "b")
    shop.run(60, hears=False)
    shop.run(SETTLING_SECONDS, "b")
    assert shop.silent == []
    shop.run(0.5, "b")
    assert shop.silent == ["a"]


def test_who_was_silent_before_an_outage_stays_so() -> None:
    shop = Shop("a", "b")
    shop.run(6, "b")
    shop.run(30, hears=False)
    assert shop.states() == {"a": "silent", "b": "alive"}
    assert shop.silent == ["a"]


def test_outside_of_a_sale_who_ends_has_left() -> None:
    shop = Shop("a", "b")
    shop.run(10, "b", sale=False)
    shop.run(10, sale=False)
    shop.run(60)
    assert (shop.silent, shop.states()) == ([], {"a": None, "b": None})


def test_with_the_sale_the_waiting_ends() -> None:
    shop = Shop("a", "b")
    shop.run(10, "b")
    assert shop.states()["a"] == "silent"
    shop.run(0.5, "b", sale=False)
    assert shop.states()["a"] is None


def test_who_left_and_comes_back_is_watched_again() -> None:
    shop = Shop("a")
    shop.run(10, sale=False)
    assert shop.states() == {"a": None}
    shop.run(3, "a")
    assert shop.states() == {"a": "alive"}
    shop.run(10)
    assert shop.silent == ["a"]


def test_after_an_hour_it_is_forgotten() -> None:
    shop = Shop("a", "b")
    shop.run(10, "b")
    shop.watch.look({"b": START + 3600}, shop.now + WATCHED_SECONDS - 20, hears=True, sale=True)
    assert "a" in shop.watch.signs
    shop.watch.look({"b": START + 3600}, shop.now + WATCHED_SECONDS, hears=True, sale=True)
    assert list(shop.watch.signs) == ["b"]


def test_a_process_that_comes_under_another_name_takes_the_place() -> None:
    shop = Shop("a-1", "b-1")
    shop.run(60, "a-1", "b-1")
    shop.run(10, "b-1")
    assert shop.silent == ["a-1"]
    shop.run(4, "b-1", "a-2")
    assert shop.states() == {"a-1": None, "b-1": "alive", "a-2": "alive"}
    shop.run(6, "a-2")
    assert shop.states() == {"a-1": None, "b-1": "silent", "a-2": "alive"}, "one takes the place of one"


def test_in_a_deployment_the_new_process_may_begin_before_the_old_one_ends() -> None:
    shop = Shop("old")
    shop.run(60, "old")
    shop.run(20, "old", "new")
    shop.run(60, "new")
    assert (shop.silent, shop.states()) == ([], {"old": None, "new": "alive"})


def test_those_of_one_start_do_not_stand_for_each_other() -> None:
    shop = Shop("a")
    shop.run(4, "a", "b")  # 20 s later
    shop.run(10, "b")
    assert shop.silent == ["a"]


@pytest.mark.parametrize(
    ("epochs", "restarts"),
    [(["2"], 1), (["2", "2"], 1), (["1"], 0), (["2", "3"], 2), ([None], 1)],
    ids=["new", "on two sources", "known", "again", "no epoch"],
)
def test_restarts_are_counted_once(epochs: list[str | None], restarts: int) -> None:
    shop = Shop("a")
    for epoch in epochs:
        shop.watch.restarted("a", epoch, shop.now)
    assert shop.watch.signs["a"].restarts == restarts


def test_a_restart_of_who_sends_no_heartbeats_is_counted_and_stored() -> None:
    watch = Watch(10)
    watch.restarted("a", "2", START)
    assert {name: sign.restarts for name, sign in watch.unsaved({}).items()} == {"a": 1}
    assert watch.signs["a"].state is None


def test_the_pause_of_a_restart_is_no_usual_gap() -> None:
    shop = Shop("a")
    shop.watch.beat("a", "2", shop.now + 4)
    assert max(shop.watch.signs["a"].gaps) == 1.0


def test_no_more_are_watched_than_there_is_room_for_and_those_not_watched_make_it() -> None:
    shop = Shop("a", "b", "c", most=2)
    assert set(shop.states()) == {"a", "b"}
    shop = Shop(most=2)
    shop.run(1, "once", "a")
    shop.run(ROOM_SECONDS + 1, "a")
    shop.run(4, "a", "b")
    assert shop.states() == {"a": "alive", "b": "alive"}


def test_what_is_stored_is_what_changed_and_times_now_and_then() -> None:
    shop = Shop("a")
    stored = shop.watch.unsaved({})
    assert list(stored) == ["a"]
    shop.run(STORED_SECONDS - 1, "a")
    assert shop.watch.unsaved(stored) == {}
    shop.run(1, "a")
    assert list(shop.watch.unsaved(stored)) == ["a"]
    shop.watch.restarted("a", "2", shop.now)
    assert shop.watch.unsaved(stored)["a"].restarts == 1
    assert Shop("a").watch.unsaved({"a": Sign(START)}).keys() == {"a"}


def test_after_a_restart_who_lived_has_time_to_speak_and_who_was_silent_still_is() -> None:
    shop = Shop("a", "b")
    shop.run(10, "b")
    stored = {name: Sign.load(sign.dump()) for name, sign in shop.watch.signs.items()}
    again = Watch(10)
    again.load(stored)
    now = shop.now + 100
    assert again.look({}, now, hears=False, sale=True) == Changes()
    assert again.look({}, now + SETTLING_SECONDS, hears=True, sale=True) == Changes()
    assert {name: sign.state for name, sign in again.signs.items()} == {"a": "silent", "b": "alive"}
    assert again.look({}, now + SETTLING_SECONDS + 0.5, hears=True, sale=True).silent == ["b"]


@pytest.mark.parametrize("by", [-600.0, 600.0])
def test_a_step_of_the_clock_silences_nobody(by: float) -> None:
    shop = Shop("a")
    shop.now += by
    shop.watch.step(by, shop.now)
    shop.run(SETTLING_SECONDS + 10, "a")
    assert (shop.silent, shop.states()) == ([], {"a": "alive"})
    assert shop.watch.signs["a"].met >= START + by


def test_an_aggregator_watches_while_its_sale_runs_and_keeps_a_bounded_number_of_names() -> None:
    aggregate = aggregator()
    beat = [{"type": "heartbeat", "producer": "p", "epoch": 1, "seq": 0}] * 3
    aggregate.apply(batch(*beat, order(), *(order(producer=f"q{n}") for n in range(HEARD_KEPT))), NOW)
    commit(aggregate)
    assert len(aggregate.register.heard) == HEARD_KEPT // 2
    aggregate.watch(NOW, hears=False)
    assert aggregate.watch(NOW + 60, hears=True).silent == ["p"]
    commit(aggregate, NOW + 60)
    found = shown(aggregate, NOW + 60).completeness
    assert (found.producers, found.by_producer["p"].state) == (Producers(0, 1), "silent")
