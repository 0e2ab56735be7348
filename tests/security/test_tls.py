"""TLS and basic auth, by the clients that people use: curl, Prometheus, a WebSocket client."""

import asyncio
import json
import shutil
import signal
import ssl
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from sidecar.config import HttpConfig, Secret
from sidecar.errors import ConfigError
from tests.cli.commands import invoke
from tests.e2e.daemon import Daemon
from tests.ports import free_port, listens
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.security.front import Front, error, front, statuses, throw
from tests.security.pki import Pki, make_pki
from tests.waiting import wait_until

USERS = f"basic_auth_users: {{prometheus: '{bcrypt.hashpw(b'scrape', bcrypt.gensalt(5)).decode()}'}}\n"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """An authority of this run."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def pair(pki: Pki) -> tuple[Path, Path]:
    """A server's certificate and key."""
    return pki.pair("server")


def web_file(folder: Path, pair: tuple[Path, Path] | None, *, more: str = "", users: str = "") -> HttpConfig:
    """Write a web configuration and return settings that name it; the certificate is copied beside it."""
    text = users
    if pair:
        for path in pair:
            shutil.copy(path, folder / path.name)
        text += f"tls_server_config: {{cert_file: {pair[0].name}, key_file: {pair[1].name}{more}}}\n"
    (folder / "web.yml").write_text(text)
    return HttpConfig(web_config_file=str(folder / "web.yml"), admin_token=Secret("admin-token"))


def basic(name: str, password: str) -> bytes:
    return b"Authorization: Basic " + b64encode(f"{name}:{password}".encode()) + b"\r\n"


async def get(there: Front, path: str, lines: bytes = b"", *, tls: ssl.SSLContext | None = None) -> bytes:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    return await throw(there.http, request + lines + b"\r\n", tls=tls)


async def test_a_user_reads_and_nobody_else_and_clearing_takes_the_admin_token(tmp_path: Path) -> None:
    async with front(web_file(tmp_path, None, users=USERS)) as there:
        answer = await get(there, "/metrics")
        assert (statuses(answer), error(answer)["code"]) == ([401], "unauthorized")
        assert b'WWW-Authenticate: Basic realm="flash-sale-sidecar", charset="UTF-8"' in answer
        assert statuses(await get(there, "/metrics", basic("prometheus", "wrong"))) == [401]
        assert statuses(await get(there, "/metrics", basic("prometheus", "scrape"))) == [200]
        assert statuses(await get(there, "/metrics", b"Authorization: Bearer admin-token\r\n")) == [200]
        assert statuses(await get(there, "/healthz")) == [200]
        clear = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        answer = await throw(there.http, clear + basic("prometheus", "scrape") + b"\r\n")
        assert statuses(answer) == [401]
        assert b"WWW-Authenticate: Bearer" in answer
        assert there.monitor.clears == 0


async def test_with_users_and_a_token_either_reads(tmp_path: Path) -> None:
    config = web_file(tmp_path, None, users=USERS)
    both = HttpConfig(web_config_file=config.web_config_file, read_token=Secret("read-token"))
    async with front(both) as there:
        assert statuses(await get(there, "/metrics", b"Authorization: Bearer read-token\r\n")) == [200]
        assert statuses(await get(there, "/metrics", basic("prometheus", "scrape"))) == [200]
        answer = await get(there, "/metrics")
        assert b"WWW-Authenticate: Bearer" in answer
        assert b"Basic realm" in answer


async def test_too_many_logins_at_once_are_429(tmp_path: Path) -> None:
    async with front(web_file(tmp_path, None, users=USERS)) as there:
        guesses = [get(there, "/metrics", basic("prometheus", f"guess {n}")) for n in range(8)]
        found = sorted(statuses(answer)[0] for answer in await asyncio.gather(*guesses))
        assert found == [401, 401, 429, 429, 429, 429, 429, 429]
        assert there.refused("http", "busy") == 6


async def test_configured_headers_are_on_every_answer(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("http_server_config: {headers: {Strict-Transport-Security: max-age=600}}")
    async with front(HttpConfig(web_config_file=str(tmp_path / "web.yml"))) as there:
        for path in ("/metrics", "/nothing"):
            assert b"Strict-Transport-Security: max-age=600\r\n" in await get(there, path)


async def test_https_speaks_no_http_and_http_no_https(tmp_path: Path, pki: Pki, pair: tuple[Path, Path]) -> None:
    async with front(web_file(tmp_path, pair)) as there:
        assert statuses(await get(there, "/metrics", tls=pki.client())) == [200]
        assert statuses(await get(there, "/metrics")) == []
        with pytest.raises(ssl.SSLCertVerificationError):
            await get(there, "/metrics", tls=ssl.create_default_context())
    async with front() as there:
        with pytest.raises(ssl.SSLError):
            await get(there, "/metrics", tls=pki.client())


@pytest.mark.parametrize(
    ("more", "version", "welcome"),
    [
        ("", ssl.TLSVersion.TLSv1_2, True),
        ("", ssl.TLSVersion.TLSv1_3, True),
        (", min_version: TLS13", ssl.TLSVersion.TLSv1_2, False),
        (", min_version: TLS13", ssl.TLSVersion.TLSv1_3, True),
        (", max_version: TLS12", ssl.TLSVersion.TLSv1_3, False),
    ],
)
async def test_only_the_configured_versions_are_spoken(
    more: str, version: ssl.TLSVersion, welcome: bool, tmp_path: Path, pki: Pki, pair: tuple[Path, Path]
) -> None:
    client = pki.client()
    client.minimum_version = client.maximum_version = version
    async with front(web_file(tmp_path, pair, more=more)) as there:
        if welcome:
            assert statuses(await get(there, "/metrics", tls=client)) == [200]
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await get(there, "/metrics", tls=client)


@pytest.mark.parametrize(
    ("kind", "shown", "welcome"),
    [
        ("RequireAndVerifyClientCert", None, False),
        ("RequireAndVerifyClientCert", "ours", True),
        ("RequireAndVerifyClientCert", "foreign", False),
        ("VerifyClientCertIfGiven", None, True),
        ("VerifyClientCertIfGiven", "ours", True),
        ("VerifyClientCertIfGiven", "foreign", False),
    ],
)
async def test_client_certificates_are_asked_for_as_configured(
    kind: str, shown: str | None, welcome: bool, tmp_path: Path, pki: Pki, pair: tuple[Path, Path]
) -> None:
    (tmp_path / "foreign").mkdir()
    client = pki.client(pair={None: None, "ours": pki.pair("client")}.get(shown))
    if shown == "foreign":
        client.load_cert_chain(*make_pki(tmp_path / "foreign").pair("client"))
    async with front(web_file(tmp_path, pair, more=f", client_auth_type: {kind}, client_ca_file: {pki.ca}")) as there:
        try:
            found = statuses(await get(there, "/metrics", tls=client))
        except (ssl.SSLError, ConnectionError):
            found = []
        assert found == ([200] if welcome else [])


async def test_a_new_certificate_is_presented_from_the_next_handshake_on(
    tmp_path: Path, pki: Pki, pair: tuple[Path, Path]
) -> None:
    config = web_file(tmp_path, pair, users=USERS)
    async with front(config) as there:
        first = await presented(there, pki)
        web_file(tmp_path, pki.pair("server"), users=USERS)
        assert there.guard.reload(config)
        assert await presented(there, pki) != first
        (tmp_path / "server.pem").write_bytes(pki.pair("other")[0].read_bytes())  # without its key
        with pytest.raises(ConfigError, match="server.pem"):
            there.guard.reload(config)
        assert statuses(await get(there, "/metrics", basic("prometheus", "scrape"), tls=pki.client())) == [200]
        web_file(tmp_path, None)
        assert not there.guard.reload(config)  # TLS itself needs a restart
        assert statuses(await get(there, "/metrics", tls=pki.client())) == [200]  # the users are gone at once


async def test_another_authority_of_clients_needs_a_restart(tmp_path: Path, pki: Pki, pair: tuple[Path, Path]) -> None:
    authority = tmp_path / "clients.pem"
    authority.write_bytes(pki.ca.read_bytes())
    kind = f", client_auth_type: RequireAndVerifyClientCert, client_ca_file: {authority}"
    config = web_file(tmp_path, pair, more=kind)
    async with front(config) as there:
        assert there.guard.reload(config)
        authority.write_text("no certificate")
        with pytest.raises(ConfigError, match="client_ca_file: cannot use .*clients.pem"):
            there.guard.reload(config)
        (tmp_path / "other").mkdir()
        authority.write_bytes(make_pki(tmp_path / "other").ca.read_bytes())
        assert not there.guard.reload(config)


async def presented(there: Front, pki: Pki) -> bytes:
    _, writer = await asyncio.open_connection(*there.http, ssl=pki.client())
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return certificate


async def test_a_key_that_is_no_use_is_refused_without_a_question(
    tmp_path: Path, pki: Pki, pair: tuple[Path, Path]
) -> None:
    config = web_file(tmp_path, pair)
    key = tmp_path / "server.key"
    encrypt = [needs("openssl"), "pkey", "-in", str(pair[1]), "-aes256", "-passout", "pass:x", "-out", str(key)]
    subprocess.run(encrypt, check=True, capture_output=True, timeout=10)
    with pytest.raises(ConfigError, match="cert_file: cannot use the certificate .*server.key .*not encrypted"):
        async with front(config):
            pass
    key.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        async with front(config):
            pass


async def test_a_websocket_client_reads_with_a_password_over_tls(
    tmp_path: Path, pki: Pki, pair: tuple[Path, Path]
) -> None:
    async with front(web_file(tmp_path, pair, users=USERS)) as there:
        port = there.ws[1]
        async with connect(f"wss://prometheus:scrape@127.0.0.1:{port}/", ssl=pki.client(), proxy=None) as client:
            await client.send('{"event":"subscribe-metrics","data":{"interval_ms":100}}')
            async with asyncio.timeout(5):
                events = [json.loads(await client.recv())["event"] for _ in range(4)]
            assert events == ["subscribed", *["metrics-update"] * 3]
        for url in (f"wss://127.0.0.1:{port}/", f"wss://prometheus:wrong@127.0.0.1:{port}/"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, ssl=pki.client(), proxy=None)
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["WWW-Authenticate"].startswith("Basic")


def test_check_says_whether_the_web_configuration_is_right(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    environ = {"SIDECAR_HTTP_WEB_CONFIG_FILE": web_file(tmp_path, pair, users=USERS).web_config_file}
    good = invoke("check", "--offline", **environ)
    assert (good.exit_code, "web configuration: TLS, 1 user" in good.stdout) == (0, True)
    (tmp_path / "server.key").write_text("no key")
    bad = invoke("check", "--offline", **environ)
    assert (bad.exit_code, "cert_file" in bad.stderr) == (2, True)


@pytest.fixture
def daemon(tmp_path: Path, redis_server: RedisServer, pair: tuple[Path, Path], pki: Pki) -> Iterator[Daemon]:
    """A daemon with TLS and a user."""
    config = web_file(tmp_path, pair, users=USERS)
    daemon = Daemon(tmp_path, redis_server.url, settings=f"http: {{web_config_file: {config.web_config_file}}}")
    daemon.start(ready=False)
    wait_until(lambda: curl(daemon, pki, "/readyz")[0] == 200, 20, "the daemon")
    yield daemon
    daemon.end()


def curl(daemon: Daemon, pki: Pki, path: str, *options: str) -> tuple[int, str]:
    """Return status and body as curl gets them; status 0 if it gets none."""
    url = f"https://127.0.0.1:{daemon.http}{path}"
    command = [needs("curl"), "-s", "--noproxy", "*", "--cacert", str(pki.ca), "-w", "\n%{http_code}", *options, url]
    body, _, status = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.rpartition("\n")
    return int(status), body


@pytest.mark.needs("curl", "openssl")
def test_curl_reads_with_a_password_and_a_reload_takes_a_new_one(
    daemon: Daemon, pki: Pki, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    assert curl(daemon, pki, "/metrics")[0] == 401
    assert curl(daemon, pki, "/metrics", "--user", "prometheus:wrong")[0] == 401
    status, body = curl(daemon, pki, "/metrics", "--user", "prometheus:scrape")
    assert (status, "flash_sale_orders_total" in body) == (200, True)
    assert 'requests_refused_total{reason="token",server="http"} 2.0' in body
    assert f'"http": "https://127.0.0.1:{daemon.http}"' in daemon.log.read_text()

    web_file(tmp_path, pair, users=USERS.replace("prometheus", "grafana"))
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: curl(daemon, pki, "/metrics", "--user", "grafana:scrape")[0] == 200, 5, "the new user")
    assert curl(daemon, pki, "/metrics", "--user", "prometheus:scrape")[0] == 401
    (tmp_path / "server.key").write_text("no key")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration not reloaded" in daemon.log.read_text(), 5, "the refusal")
    assert curl(daemon, pki, "/metrics", "--user", "grafana:scrape")[0] == 200


@pytest.mark.needs("openssl", "curl")
def test_commands_say_why_they_cannot_reach_a_daemon_with_tls(
    daemon: Daemon, pki: Pki, redis_server: RedisServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plain = Daemon(tmp_path, redis_server.url, name="plain")
    request.addfinalizer(plain.end)
    plain.start(ready=False)
    wait_until(lambda: listens(plain.http), 20, "the daemon without TLS")
    https = f"https://127.0.0.1:{daemon.http}"
    assert "wants a token" in invoke("report", "--url", https, SSL_CERT_FILE=str(pki.ca)).stderr
    for url, file, words in (
        (f"http://127.0.0.1:{daemon.http}", pki.ca, f"if it speaks TLS, try --url {https}"),
        (https, "", "SSL_CERT_FILE=/path/ca.pem"),
        (https, tmp_path / "none.pem", f"SSL_CERT_FILE={tmp_path / 'none.pem'} cannot be read"),
        (
            f"https://127.0.0.1:{plain.http}",
            pki.ca,
            f"it does not speak TLS there: try --url http://127.0.0.1:{plain.http}",
        ),
        (f"http://127.0.0.1:{free_port()}", pki.ca, "start it with `sidecar run`"),
    ):
        for command in (("report",), ("top", "--once"), ("rejected",)):
            result = invoke(*command, "--url", url, SSL_CERT_FILE=str(file))
            assert (result.exit_code, words in result.stderr) == (1, True), (command, url, result.stderr)


PROMETHEUS = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: secret
    scheme: https
    basic_auth: {username: prometheus, password: scrape}
    tls_config: {ca_file: %s}
    static_configs: [{targets: ['127.0.0.1:%d']}]
"""


@pytest.mark.needs("prometheus", "openssl", "curl")
def test_a_prometheus_scrapes_with_basic_auth_over_tls(daemon: Daemon, pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS % (pki.ca, daemon.http))
    port = free_port()
    server = subprocess.Popen(
        [
            needs("prometheus"),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def value(expression: str) -> str | None:
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return str(result[0]["value"][1]) if result else None

    try:
        wait_until(lambda: value("up") == "1", 30, "a scrape")
        assert value("flash_sale_orders_total{status='success'}") == "0"
    finally:
        server.terminate()
        server.wait(10)
