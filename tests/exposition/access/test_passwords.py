"""bcrypt without its price: who was right is let in at once, and who guesses costs little and delays nobody."""

import asyncio
import threading
from base64 import b64encode

import bcrypt
import pytest

from sidecar.exposition.access import passwords
from sidecar.exposition.access.passwords import MAX_WAITING, MAX_WAITING_OF_ONE, WRONG_KEPT, Passwords

COST = 4  # a millisecond


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()


def basic(name: str, password: str) -> str:
    """Return the header of a login."""
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


USERS = {"ann": hashed("right"), "bob": hashed("a:b"), "eve": hashed("schlüssel")}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that bcrypt is asked about."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def check(password: bytes, expected: bytes) -> bool:
        asked.append(password)
        return real(password, expected)

    monkeypatch.setattr(bcrypt, "checkpw", check)
    return asked


@pytest.mark.parametrize(
    ("authorization", "verdict"),
    [
        (basic("ann", "right"), "right"),
        (basic("bob", "a:b"), "right"),
        (basic("eve", "schlüssel"), "right"),
        (basic("ann", "wrong"), "wrong"),
        (basic("ann", ""), "wrong"),
        (basic("bob", "right"), "wrong"),
        (basic("nobody", "right"), "wrong"),
        (basic("", ""), "wrong"),
        (basic("ann", "right\0"), "wrong"),
        (basic("ann", "x" * 73), "wrong"),
        ("Basic", "wrong"),
        ("Basic ann:right", "wrong"),
        ("Basic \udcff", "wrong"),
        ("Basic " + b64encode(b"\xff\xff").decode(), "wrong"),
    ],
)
async def test_only_the_right_password_of_a_user_is_right(authorization: str, verdict: str) -> None:
    assert await Passwords(USERS).check(authorization, "a") == verdict


async def test_what_was_right_or_wrong_once_is_not_computed_again(checks: list[bytes]) -> None:
    users = Passwords(USERS)
    for _ in range(3):
        assert await users.check(basic("ann", "right"), "a") == "right"
        assert await users.check(basic("ann", "wrong"), "a") == "wrong"
    assert checks == [b"right", b"wrong"]


async def test_a_new_password_makes_the_old_one_wrong() -> None:
    users = Passwords({"ann": hashed("old")})
    assert await users.check(basic("ann", "old"), "a") == "right"
    assert await users.check(basic("ann", "new"), "a") == "wrong"
    users.replace({"ann": hashed("new")})
    assert await users.check(basic("ann", "old"), "a") == "wrong"
    assert await users.check(basic("ann", "new"), "a") == "right"


async def test_users_that_are_replaced_during_a_check_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    users, replaced = Passwords({"ann": hashed("old")}), threading.Event()
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: replaced.wait(5) and real(*given))
    check = asyncio.create_task(users.check(basic("ann", "new"), "a"))
    await asyncio.sleep(0)
    users.replace({"ann": hashed("new")})
    replaced.set()
    assert await check == "busy"
    assert await users.check(basic("ann", "new"), "a") == "right"


async def test_an_unknown_name_costs_as_much_as_a_known_one(checks: list[bytes]) -> None:
    await Passwords(USERS).check(basic("nobody", "guess"), "a")
    assert checks == [b"guess"]


async def test_ten_at_once_with_the_same_password_cost_one_computation(checks: list[bytes]) -> None:
    users = Passwords(USERS)
    verdicts = await asyncio.gather(*(users.check(basic("ann", "right"), str(n)) for n in range(10)))
    assert set(verdicts) == {"right"}
    assert checks == [b"right"]


async def test_a_guesser_gets_few_computations_and_leaves_places_for_others(
    monkeypatch: pytest.MonkeyPatch, checks: list[bytes]
) -> None:
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 0.1)
    users = Passwords(USERS)
    guesses = [asyncio.create_task(users.check(basic("ann", f"guess {n}"), "evil")) for n in range(100)]
    await asyncio.sleep(0)
    assert await users.check(basic("ann", "right"), "friend") == "right"
    verdicts = await asyncio.gather(*guesses)
    assert verdicts.count("busy") == 100 - MAX_WAITING_OF_ONE
    assert checks == [*(b"guess %d" % number for number in range(MAX_WAITING_OF_ONE)), b"right"]


async def test_who_was_let_in_before_does_not_notice_a_crowd_of_guessers(monkeypatch: pytest.MonkeyPatch) -> None:
    users = Passwords(USERS)
    assert await users.check(basic("ann", "right"), "friend") == "right"
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 5)
    guesses = [asyncio.create_task(users.check(basic("ann", f"guess {n}"), f"evil {n}")) for n in range(100)]
    await asyncio.sleep(0.01)
    assert sum(not guess.done() for guess in guesses) == MAX_WAITING
    assert await users.check(basic("ann", "right"), "friend") == "right"
    for guess in guesses:
        guess.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 0)
    assert await users.check(basic("bob", "wrong"), "evil 1") == "wrong"  # their places are free again


async def test_what_is_remembered_of_wrong_passwords_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 0)
    users = Passwords(USERS)
    for n in range(WRONG_KEPT + 10):
        await users.check(basic("ann", str(n)), "a")
    assert len(users._wrong) == WRONG_KEPT
