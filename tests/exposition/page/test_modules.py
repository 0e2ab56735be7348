"""The pure modules of the page, run by Node: what is known -> what is shown."""

# ruff: noqa: RUF001

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.exposition.page.scenes import HOSTILE, NOT_STARTED, SCENES, WELL, Json, known, stocked
from tests.exposition.page.test_files import STATIC
from tests.exposition.snapshots import TS, orders
from tests.programs import needs

Evaluate = Callable[..., Any]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Return a function that evaluates JavaScript, in which `f`, `see` and `Series` are those of the page."""
    node = needs("node")
    folder = tmp_path_factory.mktemp("page")
    for file in STATIC.glob("*.js"):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type":"module"}')
    imports = {"* as f": "format", "{ saleOf, see }": "model", "{ Series }": "series"}
    head = "".join(f'import {names} from "./{file}.js";\n' for names, file in imports.items())

    def run(script: str, *arguments: Any) -> Any:
        program = f"{head}const run = (...given) => {{ {script} }};\n"
        program += f"console.log(JSON.stringify(run(...{json.dumps(arguments)})));"
        (folder / "program.js").write_text(program)
        environment = {"TZ": "UTC", "PATH": "/usr/bin:/bin"}
        done = subprocess.run([node, "program.js"], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


FORMATS = {
    "f.whole(null)": "–",
    "f.whole(1234567)": "1,234,567",
    "f.fits(999999)": "999,999",
    "f.fits(1204000)": "1.2M",
    "f.rate(0)": "0",
    "f.rate(3.14)": "3.1",
    "f.rate(187.4)": "187",
    "f.percent(0.0031)": "0.31",
    "f.percent(0.00001)": "< 0.01",
    "f.percent(0.215)": "21.5",
    "f.percent(0.01, 0)": "1",
    "f.complete(0.99999)": "99.99",
    "f.complete(1)": "100",
    "f.milliseconds(null)": ["–", ""],
    "f.milliseconds(4.41)": ["4.4", "ms"],
    "f.milliseconds(9999)": ["9,999", "ms"],
    "f.milliseconds(12345)": ["12.3", "s"],
    "f.span(59.4)": "59 s",
    "f.span(60)": "1 min",
    "f.span(252)": "4 min 12 s",
    "f.span(3720)": "1 h 2 min",
    "f.about(0.2)": "1 s",
    "f.about(33)": "35 s",
    "f.about(150)": "2.5 min",
    "f.about(3700)": "> 1 h",
    "f.band(11, 9, 14)": "11 s (9–14)",
    "f.band(150, 114, 192)": "2.5 min (1.9–3.2)",
    "f.band(60, 20, 200)": "over 20 s",
    "f.countdown(1008)": "16:48",
    "f.countdown(-3723)": "1:02:03",
    "f.time(1790000000)": "14:13:20",
    'f.money("912186.00")': "912,186.00",
    'f.money("-1234")': "-1,234",
}


def test_numbers_and_times_become_words(evaluate: Evaluate) -> None:
    assert evaluate(f"return [{','.join(FORMATS)}]") == list(FORMATS.values())


@pytest.fixture(scope="module")
def seen(evaluate: Evaluate) -> dict[str, Json]:
    """Return what the page shows in each scene."""
    given = {name: {**scene._asdict(), "now": TS} for name, scene in SCENES.items()}
    shown = evaluate("return Object.entries(given[0]).map(([name, known]) => [name, see(known)])", given)
    return dict(shown)


@pytest.mark.parametrize("name", SCENES)
def test_the_state_says_what_is_the_matter(seen: dict[str, Json], name: str) -> None:
    scene, shown = SCENES[name], seen[name]
    assert (shown["state"], shown["mark"]) == (scene.state, scene.mark)
    assert scene.words in f"{shown['sentence']} {shown['why']}"
    assert shown["frozen"] == (name in ("frozen", "lost", "refused", "locked"))
    assert "undefined" not in json.dumps(shown) and "NaN" not in json.dumps(shown)


def test_what_is_not_known_is_not_shown_as_0(seen: dict[str, Json]) -> None:
    tiles = {tile["id"]: tile for tile in seen["planned"]["tiles"]}
    assert (tiles["faults"]["value"], tiles["wait"]["value"], tiles["queue"]["value"]) == ("–",) * 3
    assert "budget" not in tiles and "budget" in {tile["id"] for tile in seen["budget spent"]["tiles"]}
    assert seen["waiting"]["complete"] is None


def test_counts_of_which_some_are_missing_are_at_least(seen: dict[str, Json]) -> None:
    tiles = {tile["id"]: tile["value"] for tile in seen["degraded"]["tiles"]}
    assert (tiles["rate"], tiles["sold"]) == ("≥ 1", "≥ 7")
    assert seen["degraded"]["complete"]["text"] == "complete 90.00 % (3 missed)"


def test_products_are_sorted_by_urgency(evaluate: Evaluate) -> None:
    snapshot = known(**stocked(fine=500, soon=40, gone=0, over=-1))
    snapshot["inventory"]["soon"]["sell_out"] |= {"state": "restocked", "eta_s": 11, "low_s": 9, "high_s": 14}
    snapshot["orders"]["by_product"][HOSTILE] = snapshot["orders"]["by_product"]["fine"]
    given = {"snapshot": snapshot, "health": WELL, "feed": {"status": "open"}, "age": 0, "silent": 0, "now": TS}
    shown = evaluate("return see(given[0]).products", given)
    assert [(product["id"], product["mark"], product["when"]) for product in shown] == [
        ("over", "critical", "oversold by 1"),
        ("soon", "attention", "11 s (9–14)"),
        ("fine", "ok", "2.2 min (1.7–2.8)"),
        (HOSTILE, "unknown", "stock unknown"),
        ("gone", "done", "sold out 14:13:15"),
    ]
    assert next(product for product in shown if product["id"] == "soon")["of"] == 47


def test_reasons_are_grouped_only_if_the_words_are_the_default_ones(evaluate: Evaluate) -> None:
    def groups(**reasons: int) -> list[tuple[str, int]]:
        snapshot = known(orders=orders(failed_by_reason=reasons, refusals=2, faults=1))
        given = {"snapshot": snapshot, "feed": {"status": "open"}, "age": 0, "silent": 0, "now": TS}
        return [(group["kind"], group["total"]) for group in evaluate("return see(given[0]).reasons", given)]

    assert groups(sold_out=2, timeout=1) == [("fault", 1), ("refusal", 2)]
    assert groups(ausverkauft=2, timeout=1) == [("refusal", 3)]


NO_SALE = {"id": None, "state": "none", "started_at": None, "ended_at": None}
PLANS = [
    {"id": "later", "title": "Later", "kind": "live", "state": "planned", "starts_at": TS + 900, "ends_at": TS + 999},
    {"id": "drop", "title": "Drop", "kind": "rehearsal", "state": "planned", "starts_at": TS + 75, "ends_at": TS + 675},
]
RUNS = {"id": "drop", "state": "running", "started_at": TS - 5, "ended_at": None}


@pytest.mark.parametrize(
    ("sale", "heading", "phase", "clock"),
    [
        (NO_SALE, "Drop", "rehearsal, planned", "T−01:15"),
        (RUNS, "Drop", "rehearsal", "T+00:05"),
        (RUNS | {"id": None}, "Flash sale on host-1", None, "T+00:05"),
    ],
)
def test_a_plan_names_the_sale_and_its_times(
    evaluate: Evaluate, sale: Json, heading: str, phase: str | None, clock: str
) -> None:
    numbers = NOT_STARTED if sale is NO_SALE else known()
    given = {"feed": {"status": "open"}, "age": 0, "silent": 0, "now": TS}
    script = "return see({ ...given[0], snapshot: { ...given[1], sale: saleOf(given[2], given[3]) } })"
    shown = evaluate(script, given, numbers, sale, PLANS)
    assert (shown["heading"], shown["phase"], shown["clock"]["t"]) == (heading, phase, clock)


SERIES = """
  const [snapshots, history] = given;
  const series = new Series(snapshots[0].committed_at);
  if (history) series.fill(history, snapshots[0].committed_at);
  for (const snapshot of snapshots) series.take(snapshot);
  const last = (name) => series[name].slice(-8);
  const gaps = series.total.map((_, index) => series.isGap(index)).slice(-8);
  return { total: last("total"), ok: last("ok"), fault: last("fault"), gaps };
"""


def taken(at: float, total: int, faults: int, now: int, **changes: Any) -> Json:
    """Return a snapshot whose newest second is two before `at`."""
    rates = orders().per_second
    counts = orders(total=total, faults=faults, refusals=0, per_second=type(rates)(**{**_fields(rates), "now": now}))
    return known(committed_at=TS // 1 + at, since=TS - 100, orders=counts, **changes)


def _fields(rates: Any) -> dict[str, Any]:
    return {name: getattr(rates, name) for name in rates.__struct_fields__}


def test_a_skipped_second_is_bridged_and_an_outage_stays_a_gap(evaluate: Evaluate) -> None:
    steps = [taken(0.6, 10, 0, 4), taken(2.6, 18, 2, 5), taken(3.0, 18, 2, 9, stale=True), taken(7.6, 40, 2, 6)]
    shown = evaluate(SERIES, steps)
    assert shown["total"] == [4, 4, 5, None, None, None, None, 6]
    assert shown["fault"] == [None, 1, 1, None, None, None, None, None]
    assert shown["gaps"] == [False, False, False, True, True, True, True, False]


@pytest.mark.parametrize("exact", [False, True])
def test_a_second_without_a_value_is_a_gap_only_if_the_history_can_tell(evaluate: Evaluate, exact: bool) -> None:
    start = int(TS) - 4
    points = {"points": [[start, 3], [start + 1, None], [start + 2, 2], [start + 3, 1]]}
    names = ("throughput", "ok", "refused", "fault", "p50", "p99") if exact else ("throughput",)
    shown = evaluate(SERIES, [taken(0.1, 10, 0, 4, stale=True)], dict.fromkeys(names, points))
    assert shown["total"][-4:] == [3, None, 2, 1]
    assert shown["gaps"][-4:] == [False, exact, False, False]
