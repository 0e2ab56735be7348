"""What came to the webhook, against what was right. Pure: values in, a verdict out.

Critical and warning are pages: a person is to look. An alert pages when it begins to fire; that it is sent again
while it fires is none. What began before the sale is of the start of the stack, and is not judged.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

CRITICAL, WARNING = "critical", "warning"
CRITICAL_SECONDS, WARNING_SECONDS, RESOLVED_SECONDS = 15.0, 45.0, 30.0
FIRING, RESOLVED = "firing", "resolved"
LONGEST_MESSAGE = 10  # alerts: a person reads no more, and a chat takes no more


class Page(Struct, frozen=True):
    """A page that is right: alerts whose name and severity match. Without `resolves` it may stay."""

    alert: str
    severity: str = CRITICAL
    within: float = CRITICAL_SECONDS
    resolves: bool = True

    def fits(self, notice: "Notice") -> bool:
        """Tell whether that is it."""
        return bool(re.fullmatch(self.severity, notice.severity) and re.fullmatch(self.alert, notice.alert))


class Notice(Struct, frozen=True):
    """One alert of a message as it arrived. `labels` tell it from others of its name."""

    at: float
    status: str
    alert: str
    severity: str
    labels: str = ""
    summary: str = ""


class Played(Struct, frozen=True, kw_only=True):
    """What happened in a lane; times are seconds since its sale began."""

    notices: tuple[Notice, ...]
    fault_at: float | None = None
    recovered_at: float | None = None
    wrong_counts: tuple[str, ...] = ()
    late_by: float = 0.0
    largest_message: int = 0
    trouble: str = ""


class Verdict(Struct, frozen=True):
    """What is printed of a lane."""

    pages: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every page was right, in time, and every count as well."""
        return not (self.false or self.missing or self.late or self.wrong)


def judge(played: Played, pages: Sequence[Page], allowed: Sequence[Page] = ()) -> Verdict:
    """Judge a lane: `pages` must come once each after the fault, `allowed` may, and nothing else."""
    verdict = Verdict(wrong=[*played.wrong_counts, *filter(None, [played.trouble])])
    if played.largest_message > LONGEST_MESSAGE:
        verdict.wrong.append(f"a message lists {played.largest_message} alerts")
    awaited = list(pages)
    found: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for notice in began(played.notices):
        if notice.at < 0:
            continue
        page = next((one for one in awaited if one.fits(notice)), None)
        if page and played.fault_at is not None and notice.at >= played.fault_at:
            awaited.remove(page)
            found.add((notice.alert, notice.severity))
            _judge_page(verdict, played, page, notice)
        elif _key(notice) in seen or not (_is_of(found, notice) or any(one.fits(notice) for one in allowed)):
            verdict.false.append(f"{_name(notice)} {_when(notice.at, played)}: {notice.summary}")
        seen.add(_key(notice))
    verdict.missing.extend(f"{one.alert} ({one.severity})" for one in awaited)
    return verdict


def began(notices: Sequence[Notice]) -> Iterator[Notice]:
    """Yield each alert of a page when it begins to fire, and when it does so again after it was over."""
    firing: set[str] = set()
    for notice in notices:
        if notice.status == RESOLVED:
            firing.discard(_key(notice))
        elif notice.severity in (CRITICAL, WARNING) and _key(notice) not in firing:
            firing.add(_key(notice))
            yield notice


def _judge_page(verdict: Verdict, played: Played, page: Page, notice: Notice) -> None:
    assert played.fault_at is not None
    seconds = notice.at - played.fault_at
    verdict.pages.append(f"{_name(notice)} {seconds:.1f} s")
    if seconds > page.within:
        verdict.late.append(f"{notice.alert} after {seconds:.1f} s, at most {page.within:g}")
    if not page.resolves or played.recovered_at is None:
        return
    over = [
        one.at for one in played.notices if one.status == RESOLVED and _key(one) == _key(notice) and one.at > notice.at
    ]
    if not over:
        verdict.late.append(f"{notice.alert} is not resolved")
        return
    seconds = over[-1] - played.recovered_at
    if seconds < 0:
        verdict.wrong.append(f"{notice.alert} was over while the fault lasted")
    verdict.resolved.append(f"{seconds:.1f} s")
    if seconds > RESOLVED_SECONDS:
        verdict.late.append(f"{notice.alert} resolved after {seconds:.1f} s, at most {RESOLVED_SECONDS:g}")


def _is_of(found: set[tuple[str, str]], notice: Notice) -> bool:
    """Tell whether that came already, for another product or producer: it is no other page."""
    return (notice.alert, notice.severity) in found


def _key(notice: Notice) -> str:
    return f"{notice.alert} {notice.severity} {notice.labels}"


def _name(notice: Notice) -> str:
    return notice.alert if notice.severity == CRITICAL else f"{notice.severity} {notice.alert}"


def _when(at: float, played: Played) -> str:
    if played.recovered_at is not None and at >= played.recovered_at:
        return f"{at - played.recovered_at:.1f} s after recovery"
    if played.fault_at is not None and at >= played.fault_at:
        return f"{at - played.fault_at:.1f} s after the fault"
    return f"at {at:.1f} s"
