"""Every trouble that the page on the stack names looks as it says, and ends as it says."""

import json
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from monitoring.native.layout import PACKAGES, ROOT
from tests.cli.commands import execute
from tests.e2e.daemon import Daemon
from tests.stack.native import NativeStack
from tests.waiting import wait_until

PAGE = (ROOT / "docs" / "how-to" / "stack.md").read_text()
NOT_ALLOWED = "0.0.0.0"  # leads to this machine, and is no name of it
TOKEN = "r" * 32
ADD = ("XADD", "flash_sale:events", "*", "e", '{"status":"success"}')
SUBSCRIBE = '{"event":"subscribe-metrics"}'


@pytest.mark.campaign
@pytest.mark.timeout(600)  # a busy machine; a quiet one needs one minute
@pytest.mark.needs(*PACKAGES)
def test_every_trouble_of_the_page_is_as_it_says(stack: NativeStack, tmp_path: Path) -> None:
    nobody_is_there(stack)
    another_name_and_a_token(stack, tmp_path)
    no_event_arrives(stack)
    the_websocket(stack)
    a_slow_client(stack)
    redis_refuses_the_sidecar(stack)
    redis_refuses_a_client(stack)


def nobody_is_there(stack: NativeStack) -> None:
    """A wrong address in the file of targets, and then the right one."""
    scrape(stack, "127.0.0.1:1")
    finds(stack, "connection refused")
    scrape(stack, stack.places["sidecar"].removeprefix("http://"))
    wait_until(lambda: stack.query('up{job="sidecar"} == 1'), 30, "the target to be up again")


def another_name_and_a_token(stack: NativeStack, folder: Path) -> None:
    """A second sidecar, which stands by: it is called by a name that it does not know, then without its token."""
    with second(stack, folder) as daemon:
        scrape(stack, target := f"{NOT_ALLOWED}:{daemon.http}")
        finds(stack, "421 Misdirected Request")
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{NOT_ALLOWED}:{daemon.ws}"):
            pass
        assert refused.value.response.status_code == 421
    with second(stack, folder, allowed_hosts=f"[{NOT_ALLOWED}]", read_token=TOKEN) as daemon:
        scrape(stack, target := f"{NOT_ALLOWED}:{daemon.http}")
        finds(stack, "401 Unauthorized")
        with connect(f"ws://127.0.0.1:{daemon.ws}") as client, pytest.raises(ConnectionClosed) as closed:
            client.recv(20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
        with connect(f"ws://127.0.0.1:{daemon.ws}", additional_headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            client.send(SUBSCRIBE)
            assert json.loads(client.recv(5))["event"] == "subscribed"
        give_the_token(stack)
        wait_until(lambda: stack.query(f'up{{instance="{target}"}} == 1'), 30, "the target to be up")
        assert not stack.query(f'flash_sale_orders_total{{instance="{target}"}}')
        assert daemon.ask("/readyz")[1]["role"] == "standby"
    assert all(f"`{word}`" in PAGE for word in ("standby", "flash_sale_orders_total"))


def no_event_arrives(stack: NativeStack) -> None:
    """The one that the page publishes counts."""
    before = stack.received()
    assert "-" in redis_cli(stack, "redis-primary", "flash-sale-backend", *ADD)
    wait_until(lambda: stack.received() == before + 1, 10, "the event")
    found = execute("publish", ADD[-1], seconds=60, **sentinels(stack, "flash-sale-backend", "PUBLISHER"))
    assert "Added 1 message" in found.stdout, found
    wait_until(lambda: stack.received() == before + 2, 10, "the event of the backend's user, by the Sentinels")


def the_websocket(stack: NativeStack) -> None:
    """A page of another site; the words name the setting. And one that does not subscribe."""
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(stack.places["websocket"], origin=Origin("https://shop.example")),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert "Origin" in (words := refused.value.response.body.decode()) and "ws.origins" in words
    assert "`Origin ... may not connect`" in PAGE and "`ws.origins`" in PAGE
    with connect(stack.places["websocket"], origin=Origin("http://127.0.0.1:3000")) as client:
        with pytest.raises(TimeoutError):
            client.recv(2)
        client.send(SUBSCRIBE)
        assert json.loads(client.recv(5))["event"] == "subscribed"
        assert json.loads(client.recv(5))["event"] == "metrics-update"


def a_slow_client(stack: NativeStack) -> None:
    """One that reads nothing until it has been given up; and it may connect again."""
    host, port = stack.places["websocket"].removeprefix("ws://").split(":")
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        narrow.connect((host, int(port)))
        with connect(stack.places["websocket"], sock=narrow, max_queue=1) as client:
            client.send('{"event":"subscribe-metrics","data":{"interval_ms":100}}')
            wait_until(lambda: gave_up(stack), 60, "the sidecar to give it up")
            with suppress(ConnectionClosed):
                while True:
                    client.recv(5)
            assert client.close_code in (1013, 1006), "as the page says"
    assert "| 1013, or" in PAGE
    with connect(stack.places["websocket"]) as client:
        client.send(SUBSCRIBE)
        assert json.loads(client.recv(5))["event"] == "subscribed"


def gave_up(stack: NativeStack) -> bool:
    """Tell whether the sidecar has cut a client that reads too slowly."""
    with urllib.request.urlopen(stack.places["sidecar"] + "/metrics", timeout=10) as answer:
        return bool(re.search(r'websocket_updates_total\{outcome="failed"\} [1-9]', answer.read().decode()))


def redis_refuses_the_sidecar(stack: NativeStack) -> None:
    """A wrong password, a server that does not answer, a service that nobody knows; and then none of it."""
    places = stack.places["sentinels"].replace(" ", ",")
    right = stack.passwords()["REDIS_SIDECAR_PASSWORD"]
    for url, password, words in [
        (f"redis+sentinel://{places}/sale", "wrong", "refuses this user: invalid username-password pair"),
        ("redis+sentinel://127.0.0.1:1/sale", right, "does not answer"),
        (f"redis+sentinel://{places}/shop", right, "knows no service"),
    ]:
        assert words in check(url, password)
        assert f"`{words}`" in PAGE
    assert "problem" not in check(f"redis+sentinel://{places}/sale", right)


def redis_refuses_a_client(stack: NativeStack) -> None:
    """Without a name, beyond its rights, at a replica."""
    for server, user, command, word in [
        ("redis-primary", "", ("PING",), "NOAUTH"),
        ("redis-primary", "flash-sale-backend", ("GET", "flash_sale:events"), "NOPERM"),
        ("redis-replica", "flash-sale-backend", ADD, "READONLY"),
    ]:
        assert redis_cli(stack, server, user, *command).startswith(word)
        assert f"`{word}`" in PAGE


def scrape(stack: NativeStack, target: str) -> None:
    """Make this the only sidecar that Prometheus scrapes, as the page says: it reads a changed file by itself."""
    (stack.folder / "prometheus" / "targets" / "sidecar.yml").write_text(f'- targets: ["{target}"]\n')


def finds(stack: NativeStack, trouble: str) -> None:
    """Wait until Prometheus shows a target with this trouble, which the page names."""
    wait_until(lambda: trouble in str(stack.get("prometheus", "/api/v1/targets")), 30, trouble)
    assert f"`{trouble}`" in PAGE


def give_the_token(stack: NativeStack) -> None:
    """Take the comment off `authorization` in prometheus.yml, write the file it names, and tell Prometheus."""
    text = (stack.files / "prometheus.yml").read_text()
    commented = "    # authorization: {credentials_file: secrets/sidecar_read_token}\n"
    assert commented in text
    (stack.files / "prometheus.yml").write_text(text.replace(commented, commented.replace("# ", "")))
    (stack.files / "secrets").mkdir()
    (stack.files / "secrets" / "sidecar_read_token").write_text(TOKEN)
    stack.post("prometheus", "/-/reload")


@contextmanager
def second(stack: NativeStack, folder: Path, **http: str) -> Iterator[Daemon]:
    """Start another sidecar on the Redis of the stack, with these settings of HTTP."""
    password = stack.passwords()["REDIS_SIDECAR_PASSWORD"]
    url = f"redis://flash-sale-sidecar:{password}@{stack.places['redis-primary']}"
    settings = "\n".join(["http:", *(f"  {name}: {value}" for name, value in http.items())]) if http else ""
    daemon = Daemon(folder, url, settings=settings, name=f"second-{len(http)}")
    try:
        daemon.start(ready=False).wait_ready("standby")
        yield daemon
    finally:
        daemon.end()


def sentinels(stack: NativeStack, user: str, secret: str) -> dict[str, str]:
    """Return the variables by which a command of ours finds the primary as a user."""
    return {
        "SIDECAR_REDIS_URL": f"redis+sentinel://{stack.places['sentinels'].replace(' ', ',')}/sale",
        "SIDECAR_REDIS_USERNAME": user,
        "SIDECAR_REDIS_PASSWORD": stack.passwords()[f"REDIS_{secret}_PASSWORD"],
    }


def redis_cli(stack: NativeStack, server: str, user: str, *command: str) -> str:
    """Return what redis-cli prints at a server, as a user or without a name."""
    port = stack.places[server].rpartition(":")[2]
    login = ["--user", user] if user else []
    password = {"REDISCLI_AUTH": stack.passwords()["REDIS_PUBLISHER_PASSWORD"]} if user else {}
    done = subprocess.run(
        ["redis-cli", "-p", port, *login, *command],
        env={**os.environ, **password},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return done.stdout + done.stderr


def check(url: str, password: str) -> str:
    """Run `sidecar check` and return what it says."""
    variables = {"REDIS_URL": url, "REDIS_USERNAME": "flash-sale-sidecar", "REDIS_PASSWORD": password}
    return execute("check", seconds=60, **{f"SIDECAR_{name}": value for name, value in variables.items()}).stdout
