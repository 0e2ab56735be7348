"""The slots of a Cluster, as Redis computes and reports them."""

import pytest
import redis

from sidecar.redis.slots import SlotMap, read_slots, slot_of
from tests.conftest import StartRedis

KEYS = ("", "a", "{sale}:events", "{sale}:metrics:checkpoint", "x{}y{z}", "x{y", "{{a}}", "{a}{b}", "größe", "k" * 300)


def test_every_key_has_the_slot_that_redis_says(start_redis: StartRedis) -> None:
    server = start_redis("--cluster-enabled", "yes", "--save", "")
    with redis.Redis(port=server.port) as client:
        for key in KEYS:
            assert slot_of(key) == client.execute_command("CLUSTER", "KEYSLOT", key), key


def test_keys_with_one_tag_share_a_slot() -> None:
    assert len({slot_of(f"{{sale}}:{name}") for name in "abc"}) == 1


def test_a_map_names_owners_and_nodes() -> None:
    reply = [[0, 99, [b"a", 1, b"id"], [b"b", 2, b"id"]], [200, 299, [b"c", 3, b"id"]]]
    slots = read_slots(reply, 7, ("asked", 9))
    assert (slots.epoch, slots.nodes) == (7, frozenset({("a", 1), ("b", 2), ("c", 3)}))
    assert [slots.owner(slot) for slot in (0, 99, 100, 250)] == [("a", 1), ("a", 1), None, ("c", 3)]
    assert SlotMap().owner(0) is None


@pytest.mark.parametrize("unknown", [b"", None, b"?"])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(unknown: bytes | None) -> None:
    assert read_slots([[0, 1, [unknown, 5]]], 1, ("asked", 9)).owner(0) == ("asked", 5)
