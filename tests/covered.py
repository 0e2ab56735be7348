"""How much of each folder of the sidecar its tests must reach, in percent of lines and branches.

`make coverage` runs this. Processes that tests start are not measured. Raise what a folder has outgrown. A test that
fails is shown, and is left to `make test`: what is measured runs at half the speed.
"""

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage

LEAST = {
    "core": 100,
    "cli": 88,
    "config": 90,
    "daemon": 96,
    "exposition": 96,
    "process": 98,
    "redis": 95,
    "simulation": 100,
    "sources": 97,
    "store": 96,
}
# What is measured at the same time. The core has a run of its own: only its own tests count for it.
RUNS = (("core",), ("cli",), ("config", "daemon", "exposition", "process"), ("redis", "simulation", "sources", "store"))


def main() -> int:
    """Run the tests of every folder and compare; return the exit status."""
    assert LEAST.keys() == {path.parent.name for path in Path("sidecar").glob("*/__init__.py")}, "a folder has no least"
    failed = False
    with TemporaryDirectory() as folder:
        _run(Path(folder))
        measured = Coverage(data_file=f"{folder}/measured")
        measured.combine([folder])
        for name, least in LEAST.items():
            include = [f"sidecar/{name}/*"]
            reached = measured.report(include=include, file=io.StringIO())
            print(f"{name:12} {reached:5.1f} % of at least {least} %")
            if reached < least:
                failed = True
                measured.report(include=include)
    return int(failed)


def _run(folder: Path) -> None:
    """Run the tests, measured into files of a folder."""
    running = []
    for first, *others in RUNS:
        output = (folder / f"{first}.txt").open("w+")
        which = "--omit=sidecar/core/*" if first != "core" else "--source=sidecar.core"
        command = [sys.executable, "-m", "coverage", "run", f"--data-file={folder}/measured.{first}", which]
        command += ["-m", "pytest", "-q", *(f"tests/{name}" for name in (first, *others))]
        running.append((subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output))
    for process, output in running:
        with output:
            if process.wait() != 0:
                output.seek(0)
                print(output.read())


if __name__ == "__main__":
    sys.exit(main())
