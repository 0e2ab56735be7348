"""Programs that some tests need: skip without them, or fail where REQUIRE_PROGRAMS=1 says they must be there."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def needs(program: str) -> str:
    """Return the path of a program on PATH; skip the test if it is missing, fail if it must not be."""
    found = shutil.which(program)
    if found:
        return found
    missing(f"{program} is not installed")


# The promtool of every Prometheus that checks the files of monitoring/: the one on PATH, and those in the variable, as
# in PROMTOOLS=/opt/prometheus-3/promtool (separated by colons).
PROMTOOLS = ["promtool", *filter(None, os.environ.get("PROMTOOLS", "").split(os.pathsep))]


# Likewise the servers, of version 3, beside Debian's of version 2.
PROMETHEUSES_3 = [*filter(None, os.environ.get("PROMETHEUSES_3", "").split(os.pathsep))]


def promtool_name(path: str) -> str:
    """Return the id of a promtool in the name of a test."""
    return Path(path).parent.name or path


def missing(reason: str) -> NoReturn:
    """Skip the running test, or fail it where every program must be there."""
    if os.environ.get("REQUIRE_PROGRAMS") == "1":
        pytest.fail(f"{reason}, and REQUIRE_PROGRAMS=1")
    pytest.skip(reason)
