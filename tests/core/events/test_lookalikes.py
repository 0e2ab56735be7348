"""A payload that is not JSON is described by what it looks like, with what to do; nothing raises."""

import gzip
import json
import pickle
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.events.decode import decode
from sidecar.core.events.lookalikes import looks_like

EVENT = {"status": "success", "order_id": "1"}
TEXT = json.dumps(EVENT)


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (gzip.compress(TEXT.encode(), mtime=0), "gzip"),
        (zlib.compress(TEXT.encode()), "zlib"),
        (zlib.compress(TEXT.encode(), level=1), "zlib"),
        (zlib.compress(TEXT.encode(), level=9), "zlib"),
        (b"\x28\xb5\x2f\xfd\x00", "Zstandard"),
        (b"\xac\xed\x00\x05t\x00\x02{}", "Java serialisation"),
        (TEXT.encode("utf-16"), "UTF-16"),
        (TEXT.encode("utf-16-le"), "UTF-16"),
        (TEXT.encode("utf-16-be"), "UTF-16"),
        (b"[object Object]", "JavaScript object"),
        (b"<order/>", "XML"),
        (b"eyJzdGF0dXMiOiJzdWNjZXNzIn0=", "base64"),
        (pickle.dumps(EVENT), "pickle"),
        (msgspec.msgpack.encode(EVENT), "MessagePack"),
        (msgspec.msgpack.encode([EVENT]), "MessagePack"),
        (msgspec.msgpack.encode({f"f{n}": n for n in range(20)}), "MessagePack"),
        (b"\xa2fstatusgsuccesshorder_ida1", "CBOR"),
        (b'a:1:{s:6:"status";s:7:"success";}', "PHP's serialize()"),
        (b'O:8:"stdClass":0:{}', "PHP's serialize()"),
        (b'{:status=>"success"}', "Ruby or PHP"),
        (b'{"status"=>"success"}', "Ruby or PHP"),
        (str(EVENT).encode(), "Python dict"),
        (b'{status:"success"}', "JavaScript"),
        (b"status=success&order_id=1", "form data"),
        (b"map[status:success]", "Go value"),
        (json.dumps(TEXT).encode(), "encoded twice"),
        (TEXT.encode() + b"\n" + TEXT.encode(), "several objects"),
        (TEXT.encode() * 2, "several objects"),
        (TEXT.encode() + b"\0", "a zero byte"),
        (b"success", "plain text"),
        (b"undefined", "plain text"),
        (b"Order(status=success)", "plain text"),
        (b"#<Order:0x000055d5>", "plain text"),
        (b"System.Collections.Generic.Dictionary`2[System.String,System.Object]", "plain text"),
        (b'data: {"status":"success"}', "plain text"),
        (b'{"status":"success","latency_ms":NaN}', "NaN"),
        (b'{"status":"success","latency_ms":-Infinity}', "Infinity"),
        (b'{"status":"success","reason":"\\ud83d"}', "half a character"),
        (b'{"status":"success","reason":"\xe4"}', "UTF-8"),
        (b"\x0a\x07success\x12\x01a", "binary"),
        (b"\xf7\xff\xfe\xfd", "binary"),
    ],
)
def test_a_sentence_names_what_a_payload_looks_like(payload: bytes, what: str) -> None:
    [rejection] = decode([payload], [1.0]).rejections
    assert what in rejection.detail
    assert rejection.detail.startswith("payload: it ") or "NaN" in rejection.detail
    assert (
        "publish" in rejection.detail
        or "give the" in rejection.detail
        or "leave" in rejection.detail
        or "cut" in rejection.detail
    )
    assert rejection.reason in ("not_json", "not_object")


@pytest.mark.parametrize("payload", [b'{"status":"succ', b'[{"status":"success"},]', b"3", b'"x"', b"null"])
def test_an_unknown_kind_of_payload_is_described_by_its_error(payload: bytes) -> None:
    assert looks_like(payload) is None
    assert decode([payload], [1.0]).rejections


@given(st.binary(max_size=300))
def test_any_bytes_look_like_something_or_nothing(payload: bytes) -> None:
    assert looks_like(payload) is None or len(str(looks_like(payload))) < 200
