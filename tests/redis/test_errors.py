"""Why a Redis cannot be reached: the message names the cause and the setting that fixes it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.redis.errors import command_error_reason, reason
from sidecar.redis.link import Link
from sidecar.redis.url import RedisTarget, parse
from tests.conftest import StartRedis
from tests.fake_redis import HANG_UP, FakeRedis
from tests.ports import free_port
from tests.redis_server import RedisServer, tls_program
from tests.security.pki import Pki, make_pki

MASTER = b"role:master\r\nmaster_replid:abc\r\n"


async def why_not(target: RedisTarget) -> SidecarError:
    """Return why a server cannot be connected to."""
    try:
        link = await Link.open(target)
    except SidecarError as exc:
        return exc
    await link.close()
    pytest.fail("it was connected to")


@pytest.fixture
async def fakes() -> AsyncIterator[AsyncExitStack]:
    """Enter fake servers; they end with the test."""
    async with AsyncExitStack() as stack:
        yield stack


def at(port: int, scheme: str = "redis") -> RedisTarget:
    return parse(f"{scheme}://127.0.0.1:{port}/0")


# TLS, and what is taken for it


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """An authority of this test."""
    return make_pki(tmp_path)


@pytest.fixture
def start_tls(start_redis: StartRedis, pki: Pki) -> Callable[..., int]:
    """Start a server with TLS and return its port: `start_tls("--tls-auth-clients", "no")`."""

    def start(*options: str) -> int:
        certificate, key = pki.pair("server")
        files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", pki.ca)
        port = free_port()
        start_redis(*map(str, files), "--tls-port", str(port), *options, program=tls_program())
        return port

    return start


@pytest.mark.needs("openssl")
async def test_a_redis_that_demands_a_certificate_gets_one(start_tls: Callable[..., int], pki: Pki) -> None:
    """As Redis ships: `tls-auth-clients yes`."""
    certificate, key = pki.pair("client")
    target = replace(at(start_tls(), "rediss"), ca_file=str(pki.ca))
    link = await Link.open(replace(target, cert_file=str(certificate), key_file=str(key)))
    assert await link.call("PING") == b"PONG"
    await link.close()
    both = Path(certificate).with_name("both.pem")
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    link = await Link.open(replace(target, cert_file=str(both)))
    assert await link.call("PING") == b"PONG"
    await link.close()
    refused = await why_not(target)
    assert isinstance(refused, UnavailableError)
    assert "set redis.cert_file and redis.key_file" in str(refused)
    assert "set sources.redis_cert_file" in str(await why_not(replace(target, settings="sources.redis_")))


@pytest.mark.needs("openssl")
async def test_a_renewed_certificate_is_used_at_the_next_connect(start_tls: Callable[..., int], pki: Pki) -> None:
    certificate, key = pki.pair("client")
    target = replace(at(start_tls(), "rediss"), ca_file=str(pki.ca), cert_file=str(certificate), key_file=str(key))
    key.rename(key.with_suffix(".old"))
    assert "redis.key_file" in str(await why_not(target))
    pki.pair("client")
    await (await Link.open(target)).close()


@pytest.mark.needs("openssl")
async def test_an_authority_that_did_not_sign_is_named_with_its_setting(
    start_tls: Callable[..., int], tmp_path: Path
) -> None:
    port = start_tls("--tls-auth-clients", "no")
    (tmp_path / "other").mkdir()
    other = make_pki(tmp_path / "other")
    for ca_file in ("", str(other.ca)):
        refused = str(await why_not(replace(at(port, "rediss"), ca_file=ca_file)))
        assert "redis.ca_file" in refused
        assert "SSL_CERT_FILE" in refused


@pytest.mark.needs("openssl")
async def test_a_certificate_that_the_server_does_not_trust_is_named_with_its_setting(
    start_tls: Callable[..., int], pki: Pki, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    cert, key = make_pki(tmp_path / "other").pair("client")
    target = replace(at(start_tls(), "rediss"), ca_file=str(pki.ca), cert_file=str(cert), key_file=str(key))
    assert "may not trust our certificate: let redis.cert_file" in str(await why_not(target))


@pytest.mark.needs("openssl")
async def test_a_name_that_the_certificate_lacks_points_at_the_url(start_tls: Callable[..., int], pki: Pki) -> None:
    port = start_tls("--tls-auth-clients", "no", "--bind", "127.0.0.1", "127.0.0.2")
    target = replace(parse(f"rediss://127.0.0.2:{port}/0"), ca_file=str(pki.ca))
    assert "let redis.url name the server as its certificate does" in str(await why_not(target))


@pytest.mark.needs("openssl")
async def test_a_tls_port_without_tls_is_recognised(start_tls: Callable[..., int]) -> None:
    assert "let redis.url start with rediss://" in str(await why_not(at(start_tls("--tls-auth-clients", "no"))))


async def test_a_plain_port_with_tls_is_recognised(redis_server: RedisServer) -> None:
    refused = str(await why_not(at(redis_server.port, "rediss")))
    assert "redis.url" in refused
    assert "TLS port" in refused


USELESS = {"missing": "No such file or directory", "text": "PEM", "folder": "Is a directory"}


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("kind", USELESS)
async def test_an_unusable_file_is_named_with_its_setting(pki: Pki, tmp_path: Path, name: str, kind: str) -> None:
    certificate, key = pki.pair("client")
    good = {"ca_file": str(pki.ca), "cert_file": str(certificate), "key_file": str(key)}
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no certificate")
    refused = await why_not(replace(at(free_port(), "rediss"), **{**good, name: str(path)}))
    assert isinstance(refused, AccessError)
    assert f"redis.{name}: {path} cannot be used: " in str(refused)
    assert USELESS[kind] in str(refused)


@pytest.mark.needs("openssl")
async def test_a_key_of_another_certificate_is_recognised(pki: Pki) -> None:
    certificate, _ = pki.pair("client")
    _, other = pki.pair("other")
    target = replace(at(free_port(), "rediss"), cert_file=str(certificate), key_file=str(other))
    assert "redis.cert_file: " in str(await why_not(target))


# Who we are

LOGINS = {
    "": "refuses this user: .*Authentication required.*; it wants a password: set redis.password_file or",
    "wrong": "refuses this user: .*invalid username-password pair.*; check redis.username and redis.password",
}


@pytest.mark.parametrize("password", LOGINS)
async def test_a_missing_password_and_a_wrong_one_are_distinguished(start_redis: StartRedis, password: str) -> None:
    server = start_redis("--requirepass", "secret")
    with pytest.raises(AccessError, match=LOGINS[password]):
        await Link.open(replace(at(server.port), password=password))


async def test_a_password_for_a_redis_without_one_is_recognised(redis_server: RedisServer) -> None:
    assert "it has none: leave redis.password empty" in str(await why_not(replace(at(redis_server.port), password="x")))


async def test_a_missing_right_asks_for_the_acl_and_not_for_a_password(redis_server: RedisServer) -> None:
    redis_server.ask("ACL SETUSER u on >pw ~* +ping")
    link = await Link.open(parse(f"redis://u:pw@127.0.0.1:{redis_server.port}/0"))  # it may not even have a name
    with pytest.raises(AccessError, match=r"NOPERM.*; give it the right in the server's ACL"):
        await link.call("GET", "k")
    await link.close()


@pytest.mark.parametrize("text", ["changed", "changed\n", "changed\r\n", "\ufeffchanged\r\n"])
async def test_a_password_file_is_read_again_at_each_connect(
    start_redis: StartRedis, tmp_path: Path, text: str
) -> None:
    server, file = start_redis("--requirepass", "secret"), tmp_path / "password"
    file.write_text("secret\n")
    target = parse(f"redis://127.0.0.1:{server.port}/0", password="secret", password_file=str(file))
    link = await Link.open(target)
    await link.call("CONFIG", "SET", "requirepass", "changed")
    await link.close()
    assert isinstance(await why_not(target), AccessError)
    file.write_text(text, newline="")
    await (await Link.open(target)).close()


@pytest.mark.parametrize("content", [None, ""])
async def test_a_password_file_that_cannot_be_read_is_named_and_read_later(
    redis_server: RedisServer, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    refused = await why_not(replace(at(redis_server.port), password_file=str(file)))
    assert isinstance(refused, UnavailableError)
    assert str(refused).startswith("redis.password_file: ")
    assert str(file) in str(refused)


# What a server or proxy does not have

NAMELESS = [ValueError("ERR unknown command 'CLIENT'"), ValueError("NOPERM this user has no permissions"), None]


@pytest.mark.parametrize("answer", NAMELESS)
async def test_a_server_that_refuses_names_is_used(fakes: AsyncExitStack, answer: Any) -> None:
    fake = await fakes.enter_async_context(FakeRedis(CLIENT=answer, PING="PONG"))
    link = await Link.open(at(fake.port))
    assert await link.call("PING") == b"PONG"
    await link.close()


@pytest.mark.parametrize("info", [b"", b"# Replication\r\nconnected_slaves:0\r\n", b"role:active-replica\r\n"])
async def test_a_server_without_a_role_or_with_an_active_replica_is_read(fakes: AsyncExitStack, info: bytes) -> None:
    fake = await fakes.enter_async_context(FakeRedis(INFO=info))
    link = await Link.open(at(fake.port))
    assert await link.replid() == ""
    await link.close()


async def test_protected_mode_is_explained_in_a_few_words(fakes: AsyncExitStack) -> None:
    text = "DENIED Redis is running in protected mode because protected mode is enabled. " + "In this mode " * 50
    fake = await fakes.enter_async_context(FakeRedis(CLIENT=ValueError(text)))
    refused = await why_not(at(fake.port))
    assert isinstance(refused, CommandError)
    assert "in protected mode" in str(refused)
    assert len(str(refused)) < 200


@pytest.mark.parametrize("db", [99, 1000])
async def test_a_database_that_the_server_lacks_points_at_the_url(redis_server: RedisServer, db: int) -> None:
    refused = str(await why_not(replace(at(redis_server.port), db=db)))
    assert "out of range" in refused
    assert "let redis.url name a database that the server has" in refused


async def test_a_server_that_hangs_up_at_once_may_want_tls(fakes: AsyncExitStack) -> None:
    fake = await fakes.enter_async_context(FakeRedis(CLIENT=HANG_UP))
    assert "start with rediss://" in str(await why_not(at(fake.port)))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_silent_port_times_out_with_a_hint_only_if_tls_was_tried(silent_port: int) -> None:
    plain, tls = await asyncio.gather(why_not(at(silent_port)), why_not(at(silent_port, "rediss")))
    assert "TLS" not in str(plain)
    assert "is this its TLS port?" in str(tls)


def test_a_silent_server_is_one_reason_and_each_answer_another() -> None:
    gone = [
        "Redis does not answer: Connection closed",
        "Redis at a:1 does not answer: Error 111",
        "connection is closed",
    ]
    assert {reason(UnavailableError(text)) for text in gone} == {""}
    said = [
        UnavailableError("this Redis is a replica; waiting"),
        UnavailableError("Redis does not answer: certificate verify failed; name the authority"),
        CommandError("Redis: LOADING"),
        AccessError("Redis refuses this user: does not answer"),
    ]
    assert len({reason(exc) for exc in said} - {""}) == len(said)


# Why it refuses commits


@pytest.mark.parametrize(
    ("exc", "why"),
    [
        (CommandError("Redis: MISCONF Errors writing to the AOF file: No space left on device"), "disk"),
        (CommandError("Redis: command not allowed when used memory > 'maxmemory'"), "memory"),
        (CommandError("Redis: You can't write against a read only replica"), "read_only"),
        (CommandError("Redis: NOREPLICAS Not enough good replicas to write"), "replicas"),
        (CommandError("Redis: LOADING Redis is loading the dataset in memory"), "loading"),
        (CommandError("Redis: this user has no permissions to run the 'hset' command"), "access"),
        (AccessError("Redis refuses this user: WRONGPASS"), "access"),
        (CommandError("Redis: ERR something else"), "other"),
        (UnavailableError("Redis does not answer: is closed"), ""),
    ],
    ids=str,
)
def test_a_refusal_has_one_of_a_few_reasons_and_silence_has_none(exc: SidecarError, why: str) -> None:
    assert command_error_reason(exc) == why
