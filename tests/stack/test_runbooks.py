"""Every command of the runbooks runs as it is written, in the stack that is shipped."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.native.layout import PACKAGES, ROOT
from monitoring.native.ports import Ports
from sidecar.cli import main
from tests.stack.compose import SERVICES
from tests.stack.native import NativeStack
from tests.waiting import wait_until

PAGES = [*sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "docs" / "operations.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
PROGRAMS = ("amtool", "curl", "docker", "redis-cli", "sidecar", "systemctl")
UNITS = {*PACKAGES.values(), *PACKAGES, "flash-sale-sidecar", "chrony", "systemd-timesyncd"}
# Words of Redis and of clients that say: not as this user, or not at this place.
REFUSED = re.compile(r"NOAUTH|NOPERM|WRONGPASS|WRONGTYPE|AUTH failed|Could not connect|\bERR\b|DENIED")
EVENT = '[{"status":"success","product_id":"sku-1"},{"type":"inventory","product_id":"sku-1","stock":5},{"statu":1}]'
# What a reader puts in for the names in angle brackets.
PLACEHOLDERS = {"<product_id>": "sku-1"}


def commands(path: Path) -> list[str]:
    """Return the commands of a page in their order: lines of plain blocks, and spans that begin with a program."""
    found: list[tuple[int, str]] = []
    text = path.read_text()
    for block in FENCE.finditer(text):
        if block[1] in ("", "sh"):
            found += [(block.start(), line) for line in block[2].splitlines() if line.strip()]
    blank = FENCE.sub(lambda block: " " * len(block[0]), text)
    found += [
        (span.start(), span[1]) for span in SPAN.finditer(blank) if span[1].startswith(PROGRAMS) and " " in span[1]
    ]
    return [line for _, line in sorted(found, key=lambda one: one[0])]


WRITTEN = [(path.stem, line) for path in PAGES for line in commands(path)]


@pytest.mark.parametrize(("page", "line"), WRITTEN)
def test_a_command_names_what_there_is(page: str, line: str) -> None:
    """A user for Redis, services of docker-compose.yml, units of systemd, and subcommands of the sidecar."""
    words = shlex.split(line)
    if words[0] == "redis-cli":
        assert words[1:3] == ["--user", "admin"]
        assert any(one.startswith("export REDISCLI_AUTH=") for one in commands(page_of(page)))
    if words[:2] == ["docker", "compose"] and words[2] != "up":
        named = [word for word in words[3:4] if not word.startswith("-")]
        assert set(named) <= SERVICES.keys()
    if words[0] == "systemctl":
        assert set(words[2:]) <= UNITS
    if words[0] == "sidecar":
        assert words[1] in main.commands


def page_of(name: str) -> Path:
    """Return the file of a page."""
    return next(path for path in PAGES if path.stem == name)


class Reader:
    """A person at the machine of a native stack, who types commands as they are written, but for the ports."""

    def __init__(self, stack: NativeStack, folder: Path) -> None:
        self.folder = folder
        self._stack = stack
        passwords = Path(stack.places["passwords"]).read_text()
        (folder / ".env").write_text(passwords)
        self._daemon = {
            "SIDECAR_REDIS_URL": f"redis+sentinel://{stack.places['sentinels'].replace(' ', ',')}/sale",
            "SIDECAR_REDIS_USERNAME": "flash-sale-sidecar",
            "SIDECAR_REDIS_PASSWORD": stack.passwords()["REDIS_SIDECAR_PASSWORD"],
        }
        self._exported = ""

    def open_terminal(self) -> None:
        """Begin in a shell in which nothing is exported."""
        self._exported = ""

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell; what it exports holds for those after it."""
        environment, inside = dict(os.environ), re.match(r"docker compose exec (\S+) ", line)
        if inside:
            line = line[inside.end() :]
            environment |= self._stack.passwords()
        if line.startswith("sidecar check"):
            environment |= self._daemon
        script = self._moved(line, inside[1] if inside else "")
        if line.startswith("export "):
            self._exported += script + "\n"
        return subprocess.run(
            ["bash", "-c", self._exported + script],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def _moved(self, line: str, service: str) -> str:
        """Return a command with the ports of this stack, and this Python's sidecar."""
        for name, value in PLACEHOLDERS.items():
            line = line.replace(name, value)
        places, usual = self._stack.places, Ports()
        ports = {
            usual.primary: places["redis-primary"],
            usual.replica: places["redis-replica"],
            usual.sentinel_1: places["sentinels"].split()[0],
            usual.http: places["sidecar"],
            usual.prometheus: places["prometheus"],
            usual.alertmanager: places["alertmanager"],
        }
        line = line.replace(" /data", f" {self._stack.folder / service / 'data'}")
        at = "6380" if service == "redis-replica" else "6379"
        line = re.sub(r"redis-cli (?!.*-p )", f"redis-cli -p {at} ", line)
        line = re.sub(
            r"(-p |127\.0\.0\.1:)(\d+)", lambda found: found[1] + ports[int(found[2])].rpartition(":")[2], line
        )
        url = "" if line.split()[1] in ("check", "schema") else f" --url {places['sidecar']}"
        return re.sub(r"^sidecar( .*)", rf"{sys.executable} -m sidecar\1{url}", line)


@pytest.fixture
def reader(stack: NativeStack, tmp_path: Path) -> Reader:
    """A person at a stack that has counted something."""
    (folder := tmp_path / "reader").mkdir()
    stack.primary("flash-sale-backend").xadd("flash_sale:events", {"e": EVENT})
    wait_until(stack.received, 20, "the events")
    return Reader(stack, folder)


@pytest.mark.campaign
@pytest.mark.timeout(600)  # a busy machine; a quiet one needs a minute
@pytest.mark.needs(*PACKAGES, "amtool", "curl")
def test_every_command_runs_as_written(reader: Reader) -> None:
    """Nothing is refused, and what is asked is answered; systemd and Docker are not asked."""
    failed = []
    for path in PAGES:
        reader.open_terminal()
        # What a page exports it may export below, and link to.
        for line in sorted(commands(path), key=lambda one: not one.startswith("export ")):
            if line.split()[0] in ("systemctl", "docker") and "compose exec" not in line:
                continue
            done = reader.type(line)
            said = done.stdout + done.stderr
            if done.returncode or REFUSED.search(said) or not (said or line.startswith("export ")):
                failed.append((path.stem, line, done.returncode, said[-300:]))
    assert failed == [], "\n".join(map(str, failed))
