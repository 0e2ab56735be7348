"""How much of each folder of the sidecar its tests must reach, in percent of lines and branches.

`make coverage` runs this. Processes that tests start are not measured. Raise what a folder has outgrown. What is
measured runs at half the speed, so a test that fails is run again, without being measured.
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
    "recording": 98,
    "redis": 95,
    "simulation": 100,
    "sources": 97,
    "store": 96,
}
# What is measured at the same time. The core has a run of its own: only its own tests count for it.
RUNS = (
    ("core",),
    ("cli",),
    ("config", "daemon", "exposition", "process"),
    ("recording", "redis", "simulation", "sources", "store"),
)


def main() -> int:
    """Run the tests of every folder and compare; return the exit status."""
    assert LEAST.keys() == {path.parent.name for path in Path("sidecar").glob("*/__init__.py")}, "a folder has no least"
    with TemporaryDirectory() as folder:
        failed = not _run(Path(folder))
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


def _run(folder: Path) -> bool:
    """Run the tests, measured into files of a folder; return whether all passed."""
    running = []
    for first, *others in RUNS:
        output = (folder / f"{first}.txt").open("w+")
        which = "--omit=sidecar/core/*" if first != "core" else "--source=sidecar.core"
        measured = ["coverage", "run", f"--data-file={folder}/measured.{first}", which, "-m"]
        tests = ["pytest", "-q", "-o", f"cache_dir={folder}/{first}", *(f"tests/{name}" for name in (first, *others))]
        command = [sys.executable, "-m", *measured, *tests]
        running.append((subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output, tests))
    passed = True
    for process, output, tests in running:
        with output:
            if process.wait() != 0:
                output.seek(0)
                print(output.read())
                passed &= subprocess.run([sys.executable, "-m", *tests, "--last-failed"], check=False).returncode == 0
    return passed


if __name__ == "__main__":
    sys.exit(main())
