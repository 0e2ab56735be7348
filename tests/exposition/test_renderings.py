"""What is rendered once, and what is forgotten."""

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition import documents
from sidecar.exposition.renderings import Renderings
from tests.exposition.snapshots import snapshot


def test_each_form_of_a_snapshot_is_rendered_once_until_there_is_another() -> None:
    rendered: list[float] = []

    def uptime(snapshot: Snapshot) -> bytes:
        rendered.append(snapshot.uptime_s)
        return b"%d" % snapshot.uptime_s

    renderings, old, new = Renderings(), snapshot(uptime_s=1.0), snapshot(uptime_s=2.0)
    assert [renderings.get(one, uptime) for one in (old, old, new, new)] == [b"1", b"1", b"2", b"2"]
    assert renderings.get(new, documents.full) == documents.full(new)
    assert renderings.get(new, uptime) == b"2"
    assert rendered == [1.0, 2.0]
