"""Names and passwords of basic auth. bcrypt is slow by design, so that a stolen hash is of little use. Hence:

A right password is remembered as a keyed hash, so that a scrape costs microseconds. An unknown one is checked in a
thread, one at a time, with a pause after a wrong one: all connections of a guesser together get two guesses a second,
and a tenth of a processor at most. Clients that logged in before do not notice.
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

# bcrypt ignores the rest, and its library rejects longer ones.
MAX_PASSWORD_BYTES = 72
PAUSE_SECONDS = 0.5
# Clients that wait for a check: in all, and from one address, so that a guesser leaves room for others.
MAX_WAITING = 16
MAX_WAITING_OF_ONE = 2
# A client with an outdated password keeps asking; it must not keep others waiting.
WRONG_KEPT = 256
# A hash that no password has.
UNKNOWN = "$2b$10$" + "." * 53


class Passwords:
    """Checks passwords against hashes that can be replaced at run time."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._key = secrets.token_bytes(32)
        self._checking = asyncio.Lock()
        # A thread of its own: those of asyncio may all be waiting for DNS.
        self._thread = ThreadPoolExecutor(1, "bcrypt")
        self._waiting: Counter[str] = Counter()
        self.replace(users)

    def replace(self, users: Mapping[str, str]) -> None:
        """Replace the users, and forget what was remembered."""
        self._users = dict(users)
        self._right: dict[str, bytes] = {}
        self._wrong: dict[bytes, None] = {}

    def __bool__(self) -> bool:
        return bool(self._users)

    async def check(self, authorization: str, address: str) -> PasswordVerdict:
        """Check a header `Basic ...` of a client at `address`; `busy`: too many wait, try again in a second."""
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
        # An unknown name takes as long as a known one, so that names cannot be guessed.
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
        """Return a hash that is useless without the key of this process; names contain no colon."""
        return hmac.digest(self._key, name.encode("utf-8", "surrogateescape") + b":" + password, hashlib.sha256)


def _parse(authorization: str) -> tuple[str, bytes]:
    """Return name and password of `Basic <base64 of name:password>`, empty if it cannot be read."""
    try:
        decoded = base64.b64decode(authorization.partition(" ")[2].strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", b""
    name, _, password = decoded.partition(b":")
    return name.decode("utf-8", "surrogateescape"), password
