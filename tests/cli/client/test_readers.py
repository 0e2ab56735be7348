"""What a command says to whatever answers at `--url`, and what it shows of the answer."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sidecar.cli.client import asking, readers
from tests.cli.commands import invoke


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answer every GET as a function does; yield the URL."""
    handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_token_stays_with_whom_it_was_meant_for() -> None:
    told: list[tuple[str, str | None]] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        told.append(("elsewhere", request.headers["Authorization"]))
        request.send_error(404)

    with answering(elsewhere) as other:

        def redirecting(request: BaseHTTPRequestHandler) -> None:
            told.append(("here", request.headers["Authorization"]))
            request.send_response(302)
            request.send_header("Location", other)
            request.end_headers()

        with answering(redirecting) as url:
            assert invoke("report", "--url", url, "--token", "s3cret").exit_code == 1
    assert told == [("here", "Bearer s3cret"), ("elsewhere", None)]


def test_an_error_from_elsewhere_cannot_steer_the_terminal() -> None:
    def steering(request: BaseHTTPRequestHandler) -> None:
        request.send_response(500)
        request.end_headers()
        request.wfile.write(b'{"error":{"message":"\\u001b[2Jboo\\u009b"}}')

    with answering(steering) as url:
        result = invoke("report", "--url", url)
    assert result.exit_code == 1
    assert "?[2Jboo?" in result.stderr
    assert "\x1b" not in result.stderr


def test_json_of_something_else_is_not_taken_for_the_sidecar() -> None:
    def other(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps({"status": "success", "orders": {"by_status": []}, "rejected": [1]}).encode())

    with answering(other) as url:
        for command in (["report"], ["report", "--markdown"], ["top", "--once"], ["export"], ["rejected"]):
            result = invoke(*command, "--url", url)
            assert result.exit_code == 1
            assert f"what answers at {url} is not the sidecar: check --url" in result.stderr


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_drips_is_not_waited_for_to_its_end(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "HTTP_SECONDS", 1.0)
    over = threading.Event()

    def dripping(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()
        with suppress(OSError):
            while not over.wait(0.02):
                request.wfile.write(b" ")

    with answering(dripping) as url:
        result = invoke("report", "--url", url)
        over.set()
    assert result.exit_code == 1
    assert "did not end within" in result.stderr


def test_the_port_of_the_websocket_is_recognised() -> None:
    with answering(lambda request: request.send_error(426)) as url:
        result = invoke("report", "--url", url)
    assert (result.exit_code, f"{url} is a WebSocket" in result.stderr) == (2, True)


def test_the_error_of_a_standby_names_the_other_way_to_read() -> None:
    def standby(request: BaseHTTPRequestHandler) -> None:
        request.send_response(503)
        request.end_headers()
        request.wfile.write(b'{"error":{"message":"this instance is a standby"}}')

    with answering(standby) as url:
        assert "--redis-url or --config read what is committed" in invoke("report", "--url", url).stderr


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER_BYTES", 1 << 20)

    def pouring(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):
            while True:
                request.wfile.write(bytes(1 << 16))

    with answering(pouring) as url:
        result = invoke("report", "--url", url)
    assert result.exit_code == 1
    assert "longer than" in result.stderr


def test_an_answer_that_is_cut_short_is_no_other_server() -> None:
    def short(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "5000")
        request.end_headers()
        request.wfile.write(b'{"schema":1')

    with answering(short) as url:
        result = invoke("report", "--url", url)
    assert result.exit_code == 1
    assert "4989 more expected" in result.stderr


def test_the_body_of_a_redirect_is_not_read() -> None:
    over = threading.Event()

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", "http://127.0.0.1:1")
        request.end_headers()
        with suppress(OSError):
            while not over.wait(0.02):
                request.wfile.write(b" ")

    with answering(elsewhere) as url:
        began = time.monotonic()
        result = invoke("report", "--url", url)
        over.set()
    assert time.monotonic() - began < 3
    assert "refused" in result.stderr
