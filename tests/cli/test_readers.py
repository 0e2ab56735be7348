"""What a command says to whatever answers at `--url`, and what it shows of the answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
