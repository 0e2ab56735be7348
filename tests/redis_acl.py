"""The ACL that is shipped, put in force in servers of tests as its first lines say."""

import re
from pathlib import Path

from tests.redis_server import QUIET

SHIPPED = Path(__file__).parents[1] / "config" / "redis-acl.conf"
SIDECAR = "flash-sale-sidecar"
SELECTORS = 7  # the version of Redis that brought the part in parentheses
BACKEND = "flash-sale-backend"
PASSWORD = "of-the-test"


def with_users(options: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return options of a server that has the shipped users, both with `PASSWORD`."""
    text = SHIPPED.read_text()
    file = folder / "redis-acl.conf"
    file.write_text(re.sub(r"^(user \S+) off ", rf"\1 on >{PASSWORD} ", text, flags=re.MULTILINE))
    return (*(options or QUIET), "--include", str(file))
