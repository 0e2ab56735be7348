"""Settings of the whole process."""

import gc
import resource
from asyncio.sslproto import SSLProtocol

import pytest

from sidecar.process import tuning


def test_a_process_of_its_own_is_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("frozen"))
    monkeypatch.setattr(gc, "set_threshold", lambda *numbers: done.append(numbers))
    monkeypatch.setattr(SSLProtocol, "max_size", 256 * 1024)
    tuning.tune()
    assert done == ["frozen", tuning.COLLECT]
    assert SSLProtocol.max_size == tuning.TLS_BUFFER_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
