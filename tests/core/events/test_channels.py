"""Names and patterns of channels, as Redis reads them."""

import pytest

from sidecar.core.events.channels import LONGEST, example, is_pattern, label, shared


@pytest.mark.parametrize(("name", "pattern"), [("shop:eu", False), ("App\\Events", False), ("a]", False)])
def test_a_plain_name_is_not_a_pattern(name: str, pattern: bool) -> None:
    assert is_pattern(name) is pattern


@pytest.mark.parametrize("name", ["shop:*", "shop:??", "shop:[ab]", r"shop:\*", "["])
def test_a_name_with_a_special_character_is_a_pattern(name: str) -> None:
    assert is_pattern(name)


@pytest.mark.parametrize(
    ("one", "other", "channel"),
    [
        ("shop:*", "shop:eu", "shop:eu"),
        ("shop:*", "*:eu", "shop:eu"),
        ("shop:*", "shop:??", "shop:aa"),
        ("shop:??", "shop:eu", "shop:eu"),
        ("shop:[ab]", "shop:[b-d]", "shop:b"),
        ("shop:[ab]", "shop:[^ab]", None),
        ("shop:[c-a]", "shop:b", "shop:b"),
        (r"shop:\*", "shop:eu", None),
        (r"shop:\*", "shop:*", "shop:*"),
        (r"shop:[\]a]", "shop:]", "shop:]"),
        (r"shop\:*", "shop:eu", "shop:eu"),
        ("shop:[ab", "shop:b", "shop:b"),
        ("shop:[a-]", "shop:[", None),
        ("*", "a", "a"),
        ("a", "a", "a"),
        ("a", "b", None),
        ("a?", "a", None),
        ("shop:é", "shop:*", "shop:é"),
        ("[]", "[]", None),
        ("[^]", "a", "a"),
        ("[", "a", None),
    ],
)
def test_a_channel_that_two_subscriptions_both_match(one: str, other: str, channel: str | None) -> None:
    assert shared(one, other) == channel
    assert (shared(other, one) is None) is (channel is None)


@pytest.mark.parametrize(
    ("name", "channel"), [("shop:*", "shop:x"), ("a?[^a-c]", "aad"), (r"\**", "*x"), ("plain", "plain")]
)
def test_an_example_of_a_pattern(name: str, channel: str) -> None:
    assert example(name, "x") == channel


def test_labels_of_channels_are_bounded_and_differ() -> None:
    channels = [b"shop:eu", b"shop:\n", b"shop:%0A", b"\xff", "é".encode(), b"x" * LONGEST, b"x" * 200, b"x" * 201]
    labels = list(map(label, channels))
    assert labels[:4] == ["shop:eu", "shop:%0A", "shop:%250A", "%FF"]
    assert len(set(labels)) == len(labels)
    assert all(text.isascii() and text.isprintable() and len(text) < 3 * LONGEST + 100 for text in labels)
