"""What a payload that is not JSON looks like: one sentence that names the format and says what to do."""

import re

_HEAD_BYTES = 512
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip; publish the JSON without compressing it"),
    (b"\x28\xb5\x2f\xfd", "Zstandard; publish the JSON without compressing it"),
    (b"x\x01", "zlib; publish the JSON without compressing it"),
    (b"x\x9c", "zlib; publish the JSON without compressing it"),
    (b"x\xda", "zlib; publish the JSON without compressing it"),
    (b"\xac\xed\x00\x05", "Java serialisation; give the RedisTemplate a String or a JSON serializer"),
    (b"\xff\xfe", "UTF-16; publish the JSON in UTF-8"),
    (b"\xfe\xff", "UTF-16; publish the JSON in UTF-8"),
    (b"[object ", "a JavaScript object turned into text; publish JSON.stringify(event)"),
    (b"<", "XML or HTML; publish JSON"),
    (b"eyJ", "base64 of JSON; publish the JSON itself"),
    (b"W3si", "base64 of JSON; publish the JSON itself"),
)
_PATTERNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(\x00[^\x00]){2}|([^\x00]\x00){2}"), "UTF-16; publish the JSON in UTF-8"),
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle; publish json.dumps(event)"),
    (
        re.compile(rb"[\x81-\x8f\x91-\x9f](?:[\xa0-\xbf\xd9-\xdb]|[\x81-\x8f]\S)|\xde..[\xa0-\xbf]|\xdc.."),
        "MessagePack; publish JSON",
    ),
    (re.compile(rb"[\xa1-\xb7\xbf][\x61-\x78]|[\x81-\x97\x9f][\xa1-\xb7\xbf]"), "CBOR; publish JSON"),
    (re.compile(rb"(?:a:\d+:\{|O:\d+:\"|s:\d+:\"|[ib]:\d+;)"), "PHP's serialize(); publish json_encode($event)"),
    (re.compile(rb"(?:\s*\{)?\s*:?\"?\w+\"?\s*=>"), "a Ruby or PHP value turned into text; publish JSON"),
    (
        re.compile(rb"\s*\[?\{\s*'"),
        "a Python dict turned into text, or JSON with single quotes; publish json.dumps(event)",
    ),
    (
        re.compile(rb"\s*\[?\{\s*[A-Za-z_]\w*\s*:"),
        "JavaScript; JSON has its names in double quotes: publish JSON.stringify(event)",
    ),
    (
        re.compile(rb"[\w.%\[\]+-]+=[^&=\s{]*(?:&[\w.%\[\]+-]+=[^&=\s]*)*\s*$"),
        "form data; publish the fields as a JSON object",
    ),
    (re.compile(rb"map\[\w+:|&?\{\w"), "a Go value turned into text; publish json.Marshal(event)"),
)
_STRING_OF_JSON = re.compile(rb'\s*"\s*[\[{]')
_LINES = re.compile(rb"\s*\{.*\}\s*\{", re.DOTALL)
_NO_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Infinity|nan|inf)\b")
_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def looks_like(payload: bytes) -> str | None:
    """Return what a rejected payload looks like, and what to do; `None` if it looks like cut or odd JSON."""
    found = _guess(payload, payload[:_HEAD_BYTES])
    return f"payload: {found}" if found else None


def plain(payload: bytes) -> str | None:
    """Return what to do about text that does not begin as JSON does."""
    if payload.lstrip()[:1] in (b"{", b"[", b'"'):
        return None
    return 'payload: it is plain text; publish a JSON object, such as {"status":"success"}'


def _guess(payload: bytes, head: bytes) -> str | None:
    if not payload.strip():
        return "it is empty; publish the event as JSON"
    for beginning, what in _BEGINNINGS:
        if payload.startswith(beginning):
            return f"it looks like {what}"
    for pattern, what in _PATTERNS:
        if pattern.match(head):
            return f"it looks like {what}"
    if _STRING_OF_JSON.match(head):
        return "it is a JSON string that holds JSON, encoded twice; publish the object itself"
    return _odd_json(payload, head)


def _odd_json(payload: bytes, head: bytes) -> str | None:
    """Return what is wrong with almost valid JSON."""
    if head.lstrip()[:1] not in (b"{", b"["):
        binary = _CONTROL.search(head) or not _is_text(payload)
        return "it is binary, such as Protocol Buffers or Avro; publish JSON" if binary else None
    if not _is_text(payload):
        return "it is text in another encoding than UTF-8, or cut within a character; publish UTF-8"
    if _NO_NUMBER.search(payload):
        return "NaN and Infinity are not JSON; leave the field out, or send null"
    if _HALF.search(payload):
        return "it has half a character, as a text cut within an emoji; cut between characters"
    if payload.endswith(b"\x00"):
        return "it ends with a zero byte, like a C string; publish the JSON without it"
    if _LINES.match(payload):
        return "it has several objects one after another; publish each by itself, or all in an array"
    return None


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
