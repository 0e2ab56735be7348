"""What `listen` may say."""

import errno

import pytest

from sidecar.errors import ConfigError
from sidecar.exposition.address import cannot_listen, parse_listen


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9850", ("127.0.0.1", 9850)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9850", ("::1", 9850)),
        (":9850", ("", 9850)),
    ],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert parse_listen(listen, "http.listen") == address


@pytest.mark.parametrize("listen", ["", "9850", "127.0.0.1", "::1:9850", "localhost:99999", "localhost:-1", "h:http"])
def test_anything_else_names_the_setting_and_an_example(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"^http\.listen: .* is not host:port, for example"):
        parse_listen(listen, "http.listen")


def test_an_unforeseen_reason_is_given_as_the_system_words_it() -> None:
    error = cannot_listen("sale:1", "http.listen", OSError(errno.EIO, "Input/output error"))
    assert str(error) == "http.listen: sale:1 cannot be listened on (Input/output error)"
