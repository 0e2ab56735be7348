"""The report of the guarantees, and G14: a failed random run prints its seed, and the seed replays it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Guarantee

ROOT = Path(__file__).parents[1]
TELLING = """
import pytest

@pytest.mark.parametrize("name", ["G10", "G2"])
def test_telling(name, guarantee):
    guarantee(name, "12 kills, difference 0")
    assert name == "G2"
"""
RANDOM = """
import random

def test_walking(seed):
    assert not random.Random(seed).getrandbits(64) or f"met {random.Random(seed).getrandbits(64)}" == ""
"""


def run(folder: Path, text: str, *options: str, **variables: str) -> str:
    """Run a file of tests with the fixtures of these, and return what pytest prints."""
    file = folder / "test_it.py"
    file.write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--rootdir={folder}", *options, str(file)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_SEED"))}
    done = subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of what was measured."""
    return tmp_path_factory.mktemp("kept") / "kept.json"


@pytest.fixture(scope="module")
def said(kept: Path) -> str:
    """What a run with failures prints."""
    return run(kept.parent, TELLING + RANDOM, "-n", "1", GUARANTEES_FILE=str(kept))


def test_the_end_of_a_run_tells_what_was_measured(said: str, kept: Path) -> None:
    told = said.partition("= guarantees =")[2].splitlines()
    assert re.fullmatch(r"G2   12 kills, difference 0 \(\d+ s\)", told[1])
    assert re.fullmatch(r"G10  FAILED: 12 kills, difference 0 \(\d+ s\)", told[2])
    assert [(line["name"], line["passed"]) for line in json.loads(kept.read_text())] == [("G2", True), ("G10", False)]


def test_a_failed_random_run_prints_its_seed_and_the_seed_replays_it(
    said: str, tmp_path: Path, guarantee: Guarantee
) -> None:
    seed = re.findall(r"seed (\d+); again: TEST_SEED=\1 pytest", said)[0]
    met = re.findall(r"met \d+", said)[0]
    assert met in run(tmp_path, RANDOM, TEST_SEED=seed)
    guarantee("G14", f"seed {seed} printed by a failure, and replayed by TEST_SEED")
