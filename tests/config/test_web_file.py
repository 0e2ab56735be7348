"""The web configuration file: what it says, and what is refused with file, line and fix."""

from pathlib import Path

import pytest

from sidecar.config import TlsConfig, load, read_web_file
from sidecar.errors import ConfigError

HASH = "$2b$04$" + "a" * 53
PAIR = "cert_file: a.pem, key_file: a.key"


def written(folder: Path, text: str) -> str:
    """Write a file and return its path."""
    file = folder / "web.yml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def refusal(folder: Path, text: str) -> str:
    """Return the error of a file with this text, with `FILE` for its path."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_web_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(path, "FILE")


def test_without_a_file_there_is_neither_tls_nor_a_user() -> None:
    web = read_web_file("")
    assert (web.tls, web.users, web.headers) == (None, {}, {})


@pytest.mark.parametrize("text", ["", "# nothing", "tls_server_config:", "basic_auth_users: {}", "http_server_config:"])
def test_what_is_left_blank_is_not_there(tmp_path: Path, text: str) -> None:
    assert read_web_file(written(tmp_path, text)) == read_web_file("")


def test_a_whole_file_is_read_and_its_paths_are_relative_to_its_folder(tmp_path: Path) -> None:
    text = f"""
tls_server_config:
  cert_file: tls/server.pem
  key_file: /etc/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS13
  max_version: TLS13
basic_auth_users:
  prometheus: {HASH}
  0123: "{HASH}"
http_server_config:
  headers:
    Strict-Transport-Security: max-age=31536000
"""
    web = read_web_file(written(tmp_path, text))
    assert web.tls == TlsConfig(
        cert_file=f"{tmp_path}/tls/server.pem",
        key_file="/etc/server.key",
        client_auth_type="RequireAndVerifyClientCert",
        client_ca_file=f"{tmp_path}/ca.pem",
        min_version="TLS13",
        max_version="TLS13",
    )
    assert web.users == {"prometheus": HASH, "0123": HASH}
    assert web.headers == {"Strict-Transport-Security": "max-age=31536000"}


REFUSED = {
    "\ntls_server_confg: {}": 'FILE:2: unknown key "tls_server_confg" under the top level; did you mean "tls_server_c',
    "rate_limit: {}": 'FILE:1: unknown key "rate_limit" under the top level; supported are tls_server_config, basic_a',
    "tls_server_config:\n  cert_fil: x": 'FILE:2: unknown key "cert_fil" under "tls_server_config"; did you mean "ce',
    "tls_server_config:\n  cipher_suites: [x]": 'FILE:2: unknown key "cipher_suites" under "tls_server_config"; su',
    "tls_server_config: x": 'FILE:1: "tls_server_config" consists of `name: value` lines',
    "- x": "FILE:1: the top level consists of `name: value` lines",
    "? [x]\n: y": "FILE:1: a name must be plain text",
    "basic_auth_users: {}\nbasic_auth_users: {}": 'FILE:2: "basic_auth_users" is set twice, first at FILE:1',
    "tls_server_config: {cert_file: x}": "FILE:1: tls_server_config needs cert_file and key_file; key_file is missing",
    "tls_server_config: {cert_file: '', key_file: x}": "FILE:1: tls_server_config needs cert_file and key_file; cert",
    "tls_server_config: {cert_file: [x], key_file: x}": "FILE:1: cert_file must be a single value",
    f"tls_server_config:\n  {{{PAIR}, min_version: TLS10}}": "FILE:2: min_version must be one of TLS12, TLS13",
    f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}": "FILE:1: min_version is above max_vers",
    f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}": "FILE:1: client_auth_type must be one ",
    f"tls_server_config: {{{PAIR}, client_ca_file: ca}}": "FILE:1: client_ca_file and a client_auth_type that verif",
    f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven}}": "FILE:1: client_ca_file and a client",
    "basic_auth_users:\n  ann: hunter2": "FILE:2: the password of ann must be a bcrypt hash, as `htpasswd -nBC 10 NAM",
    "basic_auth_users:\n  ann:": "FILE:2: the password of ann must be a bcrypt hash",
    f"basic_auth_users: {{'a:b': {HASH}}}": "FILE:1: the name of a user must not be empty and must not contain a colon",
    f"basic_auth_users: {{'': {HASH}}}": "FILE:1: the name of a user must not be empty",
    f"basic_auth_users: {{ann: {HASH.replace('04', '15')}}}": "FILE:1: the hash of ann must have a cost of 4 to 14",
    "http_server_config: {http2: true}": 'FILE:1: unknown key "http2" under "http_server_config"; supported are head',
    "http_server_config: {headers: {X-Other: x}}": 'FILE:1: unknown key "X-Other" under "headers"; supported are Con',
    'http_server_config: {headers: {X-Frame-Options: "a\\nb"}}': "FILE:1: X-Frame-Options must be printable ASCII",
    "http_server_config: {headers: {X-Frame-Options: }}": "FILE:1: X-Frame-Options must be printable ASCII",
    "tls_server_config: 'a": "FILE:1: not valid YAML",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_file_is_refused_in_one_line_with_place_and_mend(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(REFUSED[text])
    assert "hunter2" not in message


def test_a_file_that_is_wrong_or_missing_is_a_wrong_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, "x: y")
    with pytest.raises(ConfigError, match='web.yml:1: unknown key "x"'):
        load(None, environ={"SIDECAR_HTTP_WEB_CONFIG_FILE": path})
    with pytest.raises(ConfigError, match="cannot read the web configuration .*none: No such file"):
        load(None, environ={"SIDECAR_HTTP_WEB_CONFIG_FILE": str(tmp_path / "none")})
