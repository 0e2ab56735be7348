"""`sidecar publish` on a real Redis."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli import main
from tests.cli.commands import invoke, on_terminal
from tests.redis_server import RedisServer
from tests.waiting import wait_until

EVENT = '{"status":"success","product_id":"sku-1"}'


def test_an_event_goes_to_the_channel_and_nobody_hears_it(redis_server: RedisServer) -> None:
    result = invoke("publish", EVENT, "--transport", "pubsub", "--redis-url", redis_server.url)
    assert result.exit_code == 0
    assert result.stdout == "Published 1 message on flash_sale:events, heard by 0 subscribers.\n"
    assert "nobody listens" in result.stderr
    assert "sidecar check" in result.stderr


def test_a_subscriber_gets_the_event_as_it_was_given(redis_server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=5) as subscriber:
        subscriber.sendall(b"SUBSCRIBE flash_sale:events\r\n")
        assert b":1\r\n" in subscriber.recv(1000)
        result = invoke("publish", EVENT, "--transport", "pubsub", "--redis-url", redis_server.url)
        assert EVENT.encode() in subscriber.recv(1000)
    assert "heard by 1 subscriber.\n" in result.stdout
    assert result.stderr == ""


def test_a_stream_entry_holds_the_event_in_the_field_e(redis_server: RedisServer) -> None:
    result = invoke("publish", EVENT, "--redis-url", redis_server.url)
    assert result.stdout == "Added 1 message to the stream flash_sale:events.\n"
    reply = redis_server.ask("XRANGE flash_sale:events - +")
    assert f"$1\r\ne\r\n${len(EVENT)}\r\n{EVENT}\r\n" in reply


def test_a_refused_event_is_not_sent_and_the_reason_is_shown(redis_server: RedisServer) -> None:
    result = invoke("publish", '{"status":"bad"}', "--transport", "stream", "--redis-url", redis_server.url)
    assert result.exit_code == 1
    assert "unknown_status" in result.stderr
    assert redis_server.ask("EXISTS flash_sale:events") == ":0\r\n"


def test_a_payload_for_a_mapped_channel_is_judged_by_its_mapping(redis_server: RedisServer, tmp_path: Path) -> None:
    config = tmp_path / "sidecar.yml"
    config.write_text(
        "mappings:\n  - name: shop\n    sources: [pubsub:shop]\n    otherwise: reject\n"
        "    rules: [{when: {kind: paid}, event: {status: {value: success}}}]\n"
    )
    to = ("--config", str(config), "--redis-url", redis_server.url, "--transport", "pubsub", "--to", "shop")
    assert invoke("publish", '{"kind":"paid"}', *to).exit_code == 0
    rejected = invoke("publish", '{"kind":"other"}', *to)
    assert (rejected.exit_code, "no rule takes it" in rejected.stderr) == (1, True)


def test_force_sends_what_will_be_refused(redis_server: RedisServer) -> None:
    result = invoke("publish", "nonsense", "--force", "--transport", "stream", "--redis-url", redis_server.url)
    assert result.exit_code == 0
    assert redis_server.ask("XLEN flash_sale:events") == ":1\r\n"


def test_a_misspelled_field_is_named(redis_server: RedisServer) -> None:
    result = invoke("publish", '{"status":"ok","prodct_id":"x"}', "--redis-url", redis_server.url)
    assert result.exit_code == 0
    assert "prodct_id" in result.stderr


def test_lines_of_stdin_are_sent_each_and_a_bad_one_is_named_by_its_number(redis_server: RedisServer) -> None:
    lines = f"{EVENT}\n\nbad\n[{EVENT},{EVENT}]\n"
    result = invoke("publish", "-", "--transport", "stream", "--redis-url", redis_server.url, text=lines)
    assert result.exit_code == 1
    assert "Added 2 messages" in result.stdout
    assert "line 3: not_json" in result.stderr
    assert redis_server.ask("XLEN flash_sale:events") == ":2\r\n"


@pytest.mark.parametrize(
    ("arguments", "channels", "expected"),
    [
        ((), "shop:*,sale:events", "on sale:events,"),
        (("--to", "other"), "shop:*", "on other,"),
    ],
)
def test_the_destination_is_what_was_asked_for_or_the_first_that_is_no_pattern(
    arguments: tuple[str, ...], channels: str, expected: str, redis_server: RedisServer
) -> None:
    environment = {"SIDECAR_REDIS_URL": redis_server.url, "SIDECAR_SOURCES_PUBSUB": channels}
    arguments = ("--transport", "pubsub", *arguments)
    assert expected in invoke("publish", EVENT, *arguments, **environment).stdout


def test_a_pattern_alone_is_no_destination(redis_server: RedisServer) -> None:
    arguments = ("publish", EVENT, "--transport", "pubsub")
    result = invoke(*arguments, SIDECAR_REDIS_URL=redis_server.url, SIDECAR_SOURCES_PUBSUB="shop:*")
    assert result.exit_code == 2
    assert "--to" in result.stderr


def test_without_a_configured_stream_it_publishes_to_the_channel(redis_server: RedisServer) -> None:
    result = invoke("publish", EVENT, SIDECAR_REDIS_URL=redis_server.url, SIDECAR_SOURCES_STREAMS="")
    assert result.stdout.startswith("Published 1 message on flash_sale:events,")


def test_a_stream_is_trimmed_only_when_asked(redis_server: RedisServer) -> None:
    redis_server.ask("CONFIG SET stream-node-max-entries 10", *[f"XADD flash_sale:events * e '{EVENT}'"] * 100)
    assert invoke("publish", EVENT, "--redis-url", redis_server.url).exit_code == 0
    assert redis_server.ask("XLEN flash_sale:events") == ":101\r\n"
    assert invoke("publish", EVENT, "--maxlen", "50", "--redis-url", redis_server.url).exit_code == 0
    assert int(redis_server.ask("XLEN flash_sale:events")[1:]) <= 60


def test_a_channel_cannot_be_trimmed(redis_server: RedisServer) -> None:
    arguments = ("publish", EVENT, "--transport", "pubsub", "--maxlen", "5", "--redis-url", redis_server.url)
    result = invoke(*arguments)
    assert (result.exit_code, "--transport stream" in result.stderr) == (2, True)


def test_nothing_to_publish_is_an_error(redis_server: RedisServer) -> None:
    assert invoke("publish", " ", "--redis-url", redis_server.url).exit_code == 2
    result = invoke("publish", "-", "--redis-url", redis_server.url, text="\n")
    assert (result.exit_code, result.stderr) == (0, "Nothing was published.\n")


def test_a_key_of_another_kind_is_one_line_on_stderr(redis_server: RedisServer) -> None:
    redis_server.ask("SET flash_sale:events 1")
    result = invoke("publish", EVENT, "--transport", "stream", "--redis-url", redis_server.url)
    assert result.exit_code == 1
    assert "XADD" in result.stderr


def test_lines_that_are_no_text_are_refused_like_others(redis_server: RedisServer) -> None:
    result = CliRunner().invoke(main, ["publish", "-", "--redis-url", redis_server.url], input=b"\xff\xfe\n")
    assert result.exit_code == 1
    assert "line 1: not_json" in result.stderr


def test_ctrl_c_ends_the_reading_and_says_what_was_sent(redis_server: RedisServer) -> None:
    with on_terminal("publish", "-", "--transport", "stream", "--redis-url", redis_server.url) as terminal:
        terminal.type(EVENT)
        terminal.type(EVENT)
        # The answer to the last one may come after Ctrl-C, so only the first is sure to be told of.
        wait_until(lambda: redis_server.ask("XLEN flash_sale:events") == ":2\r\n", 10, "the entries")
        assert terminal.end() == 0
        terminal.wait_for("Added ")
