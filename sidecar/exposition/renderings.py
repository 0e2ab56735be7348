"""What was rendered of the newest Snapshot: each form once, however many ask for it."""

from collections.abc import Callable

from sidecar.core.snapshot.snapshot import Snapshot

Render = Callable[[Snapshot], bytes]


class Renderings:
    """The bytes of one Snapshot, by what rendered them; those of an older one are forgotten."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._known: dict[Render, bytes] = {}

    def get(self, snapshot: Snapshot, render: Render) -> bytes:
        """Return `render(snapshot)`, the same bytes each time."""
        if snapshot is not self._snapshot:
            self._snapshot, self._known = snapshot, {}
        if render not in self._known:
            self._known[render] = render(snapshot)
        return self._known[render]
