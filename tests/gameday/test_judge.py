"""A page is right, late, missing or false."""

from collections.abc import Sequence

import pytest

from tests.gameday.judge import Notice, Page, Played, Verdict, judge

FAULT, RECOVERY = 30.0, 60.0
DOWN = Page("RedisDown")
MISSED = Page("CompletenessBelowOne", "warning", 45.0, resolves=False)


def notice(
    at: float, alert: str = "RedisDown", status: str = "firing", severity: str = "critical", **labels: str
) -> Notice:
    return Notice(at, status, alert, severity, str(labels), "it is so")


def judged(
    *notices: Notice, pages: Sequence[Page] = (DOWN,), allowed: Sequence[Page] = (), fault: float | None = FAULT
) -> Verdict:
    played = Played(notices=notices, fault_at=fault, recovered_at=RECOVERY if fault else None)
    return judge(played, pages, allowed)


def test_a_page_in_time_that_goes_in_time_is_good() -> None:
    verdict = judged(notice(42), notice(75, status="resolved"))
    assert verdict.is_good
    assert (verdict.pages, verdict.resolved) == (["RedisDown 12.0 s"], ["15.0 s"])


def test_that_it_is_sent_again_while_it_fires_is_no_page() -> None:
    assert judged(notice(42), notice(50), notice(75, status="resolved")).is_good


def test_no_page_is_good_where_none_is_expected() -> None:
    assert judged(pages=(), fault=None).is_good
    assert judged(pages=()).is_good


def test_what_is_no_page_is_not_judged() -> None:
    told = notice(5, "StockRunningOut", severity="info"), notice(-3, "NoSidecarCounting")
    assert judged(*told, pages=(), fault=None).is_good


@pytest.mark.parametrize(
    ("notices", "late"),
    [
        ((notice(45.5), notice(75, status="resolved")), ["RedisDown after 15.5 s, at most 15"]),
        ((notice(42), notice(91, status="resolved")), ["RedisDown resolved after 31.0 s, at most 30"]),
        ((notice(42),), ["RedisDown is not resolved"]),
    ],
)
def test_what_is_late_is_said(notices: Sequence[Notice], late: Sequence[str]) -> None:
    verdict = judged(*notices)
    assert verdict.late == late
    assert not verdict.is_good


def test_a_page_that_may_stay_need_not_be_resolved() -> None:
    assert judged(notice(70, "CompletenessBelowOne", severity="warning"), pages=(MISSED,)).is_good


@pytest.mark.parametrize(
    "notices",
    [
        (),
        (notice(42, "Other"),),
        (notice(42, severity="warning"),),
        (notice(42, "RedisDownstream"),),
        (notice(20), notice(75, status="resolved")),
    ],
)
def test_a_page_that_does_not_come_is_missing(notices: Sequence[Notice]) -> None:
    assert judged(*notices).missing == ["RedisDown (critical)"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (notice(20, "Other"), "Other at 20.0 s: it is so"),
        (notice(48, "Other"), "Other 18.0 s after the fault: it is so"),
        (notice(64, "Other", severity="warning"), "warning Other 4.0 s after recovery: it is so"),
        (notice(61, source="x"), None),
        (notice(80), "RedisDown 20.0 s after recovery: it is so"),
    ],
)
def test_any_other_page_is_false_and_so_is_a_second_one_of_the_same(other: Notice, words: str | None) -> None:
    """A second server of the same alert is the same page."""
    told = sorted([notice(42), notice(75, status="resolved"), other], key=lambda one: one.at)
    assert judged(*told).false == ([words] if words else [])


def test_what_is_allowed_may_come_once() -> None:
    slow = notice(50, "RedisServerDown", severity="warning")
    allowed = (Page("RedisServer.*", "warning"),)
    over = notice(70, "RedisServerDown", "resolved", "warning")
    assert judged(slow, pages=(), allowed=allowed).is_good
    assert (
        len(judged(slow, over, notice(80, "RedisServerDown", severity="warning"), pages=(), allowed=allowed).false) == 1
    )


def test_wrong_counts_and_trouble_are_bad() -> None:
    assert judge(Played(notices=(), wrong_counts=("success 1, published 2",)), ()).wrong == ["success 1, published 2"]
    assert not judge(Played(notices=(), trouble="Redis does not start"), ()).is_good


def test_a_message_that_nobody_reads_to_its_end_is_bad() -> None:
    assert judge(Played(notices=(), largest_message=3), ()).is_good
    assert judge(Played(notices=(), largest_message=131), ()).wrong == ["a message lists 131 alerts"]


def test_of_two_alerts_that_are_right_only_one_may_come() -> None:
    either = (Page("RedisDown|NumbersStale"),)
    over = notice(75, status="resolved"), notice(75, "NumbersStale", "resolved")
    assert judged(notice(42), *over, pages=either).is_good
    assert judged(notice(42), notice(43, "NumbersStale"), *over, pages=either).false == [
        "NumbersStale 13.0 s after the fault: it is so"
    ]


def test_a_page_that_ends_while_the_fault_lasts_is_bad() -> None:
    assert judged(notice(42), notice(58, status="resolved")).wrong == ["RedisDown was over while the fault lasted"]
