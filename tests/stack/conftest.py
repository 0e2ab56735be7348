"""The native stack, running."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.native import NativeStack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[NativeStack]:
    with NativeStack(tmp_path) as running:
        yield running
