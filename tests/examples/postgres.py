"""A real Postgres for tests: private, on a free loopback port, gone afterwards."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.ports import free_port
from tests.programs import missing

DEBIAN = "/usr/lib/postgresql"
USER = "postgres"
CLUSTER = f"-U {USER} -A trust -E UTF8 --no-locale --no-sync"
# Nothing here has to outlive the machine.
QUICK = "-c fsync=off -c full_page_writes=off -c listen_addresses=127.0.0.1 -c unix_socket_directories="

Url = Callable[[str], str]


@contextmanager
def running_postgres() -> Iterator[Url]:
    """Run a server, and give a function that names the URL of a database; skip where it is not installed.

    It refuses to run as root, so there it runs as its package's user; pytest's own directories are closed to that one.
    """
    control = find_control()
    owner = None if os.geteuid() else package_user()
    with TemporaryDirectory(prefix="postgres-") as folder:
        if owner is not None:
            os.chown(folder, owner, -1)

        def run(*arguments: str) -> None:
            command = [control, "-D", f"{folder}/data", "-s", *arguments]
            with open(f"{folder}/control.log", "a") as log:  # no pipe: the server would keep it open
                subprocess.run(command, cwd=folder, user=owner, stdout=log, stderr=log, timeout=60, check=True)

        run("initdb", "-o", CLUSTER)
        port = free_port()
        run("start", "-w", "-t", "30", "-l", f"{folder}/server.log", "-o", f"{QUICK} -p {port}")
        try:
            yield lambda database: f"postgresql://{USER}@127.0.0.1:{port}/{database}"
        finally:
            run("stop", "-m", "immediate")


def find_control() -> str:
    """Return `pg_ctl`: that on PATH, or the newest that Debian has beside it."""
    on_path = shutil.which("pg_ctl")
    beside = sorted(Path(DEBIAN).glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return on_path or (str(beside[-1]) if beside else missing("Postgres is not installed"))


def package_user() -> int:
    """Return the user that the package made."""
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        missing(f"Postgres does not run as root, and there is no user {USER}")
