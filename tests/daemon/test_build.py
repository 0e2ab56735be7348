"""What a configuration asks for becomes rules, sources and stores; and what is stored becomes a Snapshot."""

import pytest
from msgspec.structs import replace

from sidecar.config import Config
from sidecar.config.structs import MetricsConfig, OrdersConfig, Seconds, SourcesConfig
from sidecar.daemon import build
from sidecar.errors import CheckpointError, SidecarError
from sidecar.store.memory import MemoryStore
from tests.ledgers import T0, commit, heard, new_ledger, order, take

CONFIG = Config(instance="here")


class Store(MemoryStore):
    """A store that is closed after use."""

    closed = 0

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that `read` finds."""
    made = Store(lease=60.0)
    monkeypatch.setattr(build, "store", lambda _: made)
    return made


def test_the_rules_are_those_of_the_configuration() -> None:
    rules = build.rules(
        replace(
            CONFIG,
            products=("a",),
            refusals=("sold_out",),
            currency="EUR",
            orders=OrdersConfig(repeats="count"),
            metrics=MetricsConfig(buckets=(0.001, 2.5), max_products=7, new_series_hold=Seconds(3)),
            commit_interval=Seconds(0.25),
        )
    )
    assert (rules.products, set(rules.refusals), rules.currency) == (("a",), {"sold_out"}, "EUR")
    assert rules.buckets_ns == (1_000_000, 2_500_000_000)
    assert (rules.max_products, rules.new_series_hold, rules.commit_interval) == (7, 3.0, 0.25)
    assert rules.count_repeats
    assert not build.rules(CONFIG).count_repeats


def test_every_configured_channel_and_stream_is_a_source() -> None:
    config = replace(CONFIG, sources=SourcesConfig(pubsub=("a", "b*"), streams=("s",)))
    made = build.sources(config, build.servers(config.redis))
    assert [source.name for source in made] == ["pubsub:a", "pubsub:b*", "stream:s"]


async def test_what_is_committed_is_read_as_it_is_shown(kept: Store) -> None:
    ledger = new_ledger()
    assert await take(ledger, kept)
    ledger.apply(heard(order(), order()), T0)
    await commit(ledger, kept, T0)
    snapshot = await build.read(CONFIG, T0 + 1)
    assert (snapshot.orders.total, snapshot.committed_at, snapshot.instance) == (2, T0, "here")
    assert not snapshot.stale
    assert (await build.read(CONFIG, T0 + 60)).stale
    assert kept.closed == 2


async def test_where_nothing_is_stored_it_says_what_to_look_at(kept: Store) -> None:
    with pytest.raises(SidecarError, match="nothing is stored under 'flash_sale_metrics:'"):
        await build.read(CONFIG, T0)
    assert kept.closed == 1


async def test_a_damaged_state_says_what_a_start_does_with_it(kept: Store) -> None:
    kept.fields["c:totals:"] = b"nonsense"
    with pytest.raises(CheckpointError, match="is damaged: .*sets it aside"):
        await build.read(CONFIG, T0)
    assert kept.closed == 1
