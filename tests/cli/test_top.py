"""`sidecar top` on a terminal; piped, see test_report."""

from tests.cli.commands import on_terminal
from tests.cli.test_run import count_one, daemon
from tests.redis_server import RedisServer

LEAVE_FULL_SCREEN = "\x1b[?1049l"


def test_it_follows_the_sale_and_says_when_the_daemon_is_gone(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (process, url):
        count_one(redis_server, url)
        with on_terminal("top", "--url", url) as terminal:
            terminal.wait_for("1 orders")
            count_one(redis_server, url, expected=2)
            terminal.wait_for("2 orders")
            assert process.end() == 0
            terminal.wait_for("no daemon answers")
            assert terminal.end() == 0
            terminal.wait_for(LEAVE_FULL_SCREEN)
            assert "Traceback" not in terminal.seen
