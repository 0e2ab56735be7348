"""What holds for the tests of every command."""

from collections.abc import Callable

import pytest

from sidecar.cli.checks import elsewhere, probes

Listen = Callable[[float], None]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Listen:
    """Say for how many seconds `sidecar check` listens to a channel."""

    def listen_for(seconds: float) -> None:
        for module in (elsewhere, probes):
            monkeypatch.setattr(module, "LISTEN_SECONDS", seconds)

    return listen_for


@pytest.fixture(autouse=True)
def _listen_briefly(listen: Listen) -> None:
    """Have it listen for a moment only, where a test does not say otherwise."""
    listen(0.1)
