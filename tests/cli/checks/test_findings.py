"""The judgements of `sidecar check` that need no Redis."""

import pytest

from sidecar.cli.checks.findings import (
    about_counted,
    about_elsewhere,
    about_queues,
    about_sample,
    about_server,
    about_shared,
    common_names,
    near_spellings,
    similar,
)
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.events.decode import decode, unknown_fields
from sidecar.core.snapshot.snapshot import Completeness, ProducerCompleteness
from sidecar.errors import CommandError
from sidecar.redis.info import ServerInfo
from sidecar.sources.queues.reader import QueueAnswer
from sidecar.sources.queues.system import NoSuchQueueError

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    "spelling",
    [
        "flash-sale:events",
        "flash_sale.events",
        "flash_sale_events",
        "flash_sale:event",
        "FLASH_SALE:EVENTS",
        "flashsale:events",
    ],
)
def test_near_spellings_hold_the_usual_mistakes(spelling: str) -> None:
    assert spelling in near_spellings("flash_sale:events")


def test_queues_that_are_read_are_described() -> None:
    reading = QueueReading(at=NOW, waiting=3, delayed=1, paused=True)
    answers = {
        "note": QueueAnswer(reading, note="of another version"),
        "later": QueueAnswer(problem=NoSuchQueueError("there is no such queue")),
        "bad": QueueAnswer(problem=CommandError("the key is of another type")),
    }
    assert [(one.level, one.text) for one in about_queues(answers)] == [
        ("problem", "queue bad: the key is of another type"),
        ("warning", "queue later: there is no such queue"),
        ("ok", "queue note: 3 waiting, 1 delayed (paused)"),
        ("warning", "queue note: of another version"),
    ]


def test_near_spellings_are_few_and_never_the_name_itself() -> None:
    assert len(near_spellings("flash_sale:events")) < 80
    assert "flash_sale:events" not in near_spellings("flash_sale:events")
    assert near_spellings("e") == ["E", "es"]


def test_similar_names_are_found_and_others_are_not() -> None:
    others = ["flash_sale:events", "flash-sale:events", "flashsale.events", "orders", "__keyevent@0__:set"]
    assert similar("flash_sale:events", others) == ["flash-sale:events", "flashsale.events"]


@pytest.mark.parametrize(
    ("server", "policy", "levels"),
    [
        (ServerInfo(version="7.0.15", role="master"), "noeviction", ["ok"]),
        (ServerInfo(version="6.2.0", role="master"), "volatile-lru", ["ok"]),
        (ServerInfo(version="6.0.9", role="master"), "noeviction", ["problem"]),
        (ServerInfo(version="7.0.15", role="slave"), "noeviction", ["ok", "problem"]),
        (ServerInfo(name="Dragonfly", version="1.27.1", role="replica"), "", ["ok", "problem"]),
        (ServerInfo(name="KeyDB", version="6.3.4", role="active-replica"), "", ["ok", "warning"]),
        (ServerInfo(version="7.0.15", role="master"), "allkeys-lfu", ["ok", "warning"]),
        (ServerInfo(), "", ["ok"]),
    ],
)
def test_a_server_is_judged_by_what_info_says(server: ServerInfo, policy: str, levels: list[str]) -> None:
    assert [finding.level for finding in about_server(server, policy)] == levels


@pytest.mark.parametrize(
    ("payloads", "levels"),
    [
        ([b'{"status":"ok"}'], []),
        ([b'{"status":"ok"}', b"x"], ["warning"]),
        ([b"x"], ["problem"]),
        ([b'{"status":"ok","prodct":1}'], ["warning"]),
        ([b'{"status":"ok"}', b'{"type":"cart"}', b'{"type":"heartbeat"}'], ["warning"]),
        ([b'{"status":"ok"}'] * 2 + [b'{"type":"cart"}'], []),
        ([b'{"status":"ok","amount":1990}'] * 20, ["warning"]),
        ([b'{"status":"ok","amount":1990}'] * 19, []),
        ([b'{"status":"ok","amount":1990}'] * 20 + [b'{"status":"ok","amount":"19.90"}'], []),
        ([b'{"status":"ok","amount":1990,"currency":"JPY"}'] * 20, []),
    ],
)
def test_a_sample_is_judged_by_what_is_refused_and_unknown(payloads: list[bytes], levels: list[str]) -> None:
    decoded = decode(payloads, [NOW] * len(payloads))
    assert [finding.level for finding in about_sample("stream s", decoded, unknown_fields(payloads[-1]))] == levels


@pytest.mark.parametrize(("invalid", "ignored", "told"), [(0, 0, False), (2, 2, False), (5, 0, True), (0, 5, True)])
def test_counts_are_judged_by_how_much_was_not_understood(invalid: int, ignored: int, told: bool) -> None:
    reasons, types = {"not_json": invalid} if invalid else {}, {"cart": 1, "page_view": ignored - 1} if ignored else {}
    completeness = Completeness(
        ratio=1.0,
        received=10,
        missed=0,
        duplicates=0,
        late=0,
        invalid=invalid,
        ignored=ignored,
        blind_s=0.0,
        by_producer={},
    )
    found = about_counted(completeness, reasons, types)
    assert bool(found) == told
    if found:
        what = "5 were rejected (most as not_json)" if invalid else "5 ignored (most as type page_view)"
        assert what in found[0].text
        assert found[0].level == "warning"
        assert ("sidecar rejected" in found[0].fix) == bool(invalid)
        assert ("type order" in found[0].fix) == bool(ignored)


@pytest.mark.parametrize(
    ("received", "duplicates", "told"), [(1200, 3600, True), (30, 30, True), (5, 19, False), (100, 50, False)]
)
def test_a_producer_of_which_most_are_duplicates_may_be_several(received: int, duplicates: int, told: bool) -> None:
    found = about_shared({"api": ProducerCompleteness(received=received, missed=0, duplicates=duplicates)})
    assert bool(found) == told
    if found:
        assert f"most events of api are duplicates ({duplicates} of {received + duplicates})" in found[0].text
        assert "do several processes use this name?" in found[0].text


def test_a_stream_elsewhere_is_a_problem_with_a_mend() -> None:
    findings = about_elsewhere("a:b", 0, [(3, "a:b"), (0, "a.b")], in_use=False)
    assert [finding.level for finding in findings] == ["problem", "problem"]
    assert "database 3" in findings[0].text
    assert "/3" in findings[0].fix
    assert "a.b" in findings[1].text


def test_another_stream_is_a_warning_if_the_configured_one_has_events_or_the_name_is_a_usual_one() -> None:
    (beside,) = about_elsewhere("a:b", 0, [(1, "a:b")], in_use=True)
    assert (beside.level, "there is also a stream a:b in database 1" in beside.text) == ("warning", True)
    assert [finding.level for finding in about_elsewhere("a:b", 0, [(0, "orders")], in_use=False)] == ["warning"]


@pytest.mark.parametrize("name", ["events", "orders", "laravel_database_flash_sale:events"])
def test_common_names_include_the_defaults_of_backends(name: str) -> None:
    assert name in common_names("flash_sale:events")
    assert len(common_names("flash_sale:events")) < 12


def test_a_common_name_is_never_the_configured_one() -> None:
    assert "orders" not in common_names("orders")
