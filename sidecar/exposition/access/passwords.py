"""Names and passwords of basic auth. bcrypt is slow by design: a stolen hash is of little use. Two things follow.

A password that was right is remembered, as a keyed hash, so that a scrape costs microseconds. One that is not known yet
is checked in a thread, one at a time, with a pause after a wrong one: whoever guesses gets two guesses a second out of
all his connections together, and a tenth of a processor at most. Those who were let in before do not notice.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import bcrypt

PasswordVerdict = Literal["right", "wrong", "busy"]

# bcrypt reads no further, and its library refuses more.
MAX_PASSWORD_BYTES = 72
PAUSE_SECONDS = 0.5
# Who waits for a check: together, and of one address, so that one guesser leaves places for others.
MAX_WAITING = 16
MAX_WAITING_OF_ONE = 2
# A client with an outdated password asks for ever; it must not keep others waiting.
WRONG_KEPT = 256
# The hash of nothing anybody knows.
UNKNOWN = "$2b$10$" + "." * 53


class Passwords:
    """Check against hashes that may be replaced while it runs."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._key = secrets.token_bytes(32)
        self._checking = asyncio.Lock()
        # asyncio's own threads may all be waiting for a resolver that does not answer.
        self._thread = ThreadPoolExecutor(1, "bcrypt")
        self._waiting: Counter[str] = Counter()
        self.replace(users)

    def replace(self, users: Mapping[str, str]) -> None:
        """Take other users; what is remembered is forgotten."""
        self._users = dict(users)
        self._right: dict[str, bytes] = {}
        self._wrong: dict[bytes, None] = {}

    def __bool__(self) -> bool:
        return bool(self._users)

    async def check(self, authorization: str, address: str) -> PasswordVerdict:
        """Check a header `Basic ...` of a client at `address`; `busy`: too many wait, ask again in a second."""
        name, password = _parse(authorization)
        mark = self._mark(name, password)
        if (known := self._known(name, mark)) is not None:
            return known
        if len(password) > MAX_PASSWORD_BYTES or b"\0" in password:
            return "wrong"
        if self._waiting.total() >= MAX_WAITING or self._waiting[address] >= MAX_WAITING_OF_ONE:
            return "busy"
        self._waiting[address] += 1
        try:
            async with self._checking:
                return self._known(name, mark) or await self._ask_bcrypt(name, password, mark)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    def _known(self, name: str, mark: bytes) -> PasswordVerdict | None:
        if hmac.compare_digest(self._right.get(name, b""), mark):
            return "right"
        return "wrong" if mark in self._wrong else None

    async def _ask_bcrypt(self, name: str, password: bytes, mark: bytes) -> PasswordVerdict:
        users = self._users
        # An unknown name takes as long as a known one, so that names cannot be guessed either.
        expected = users.get(name) or next(iter(users.values()), UNKNOWN)
        loop = asyncio.get_running_loop()
        same = await loop.run_in_executor(self._thread, bcrypt.checkpw, password, expected.encode())
        if users is not self._users:
            return "busy"  # they were replaced meanwhile
        if same and name in users:
            self._right[name] = mark
            return "right"
        self._wrong[mark] = None
        if len(self._wrong) > WRONG_KEPT:
            del self._wrong[next(iter(self._wrong))]
        await asyncio.sleep(PAUSE_SECONDS)
        return "wrong"

    def _mark(self, name: str, password: bytes) -> bytes:
        """Return a hash that tells nothing without the key of this process; a name holds no colon."""
        return hmac.digest(self._key, name.encode("utf-8", "surrogateescape") + b":" + password, hashlib.sha256)


def _parse(authorization: str) -> tuple[str, bytes]:
    """Return name and password of `Basic <base64 of name:password>`; what cannot be read is nobody."""
    try:
        decoded = base64.b64decode(authorization.partition(" ")[2].strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", b""
    name, _, password = decoded.partition(b":")
    return name.decode("utf-8", "surrogateescape"), password
