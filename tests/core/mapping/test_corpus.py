"""Of every shape that shops, frameworks and tools publish, the shipped mappings make the event that it is."""

import pytest

from sidecar.daemon.build import mappings
from tests.core.mapping.corpus import EVENTS, INDEX, configuration, payload, shown, source_of

NOW = 1_796_040_000.0
CONFIG = configuration()


@pytest.mark.parametrize("file", sorted(INDEX))
def test_a_foreign_payload_becomes_its_events(file: str) -> None:
    chain = mappings(CONFIG)[source_of(CONFIG, file)]
    assert [shown(outcome) for outcome in chain.outcomes(payload(CONFIG, file), NOW)] == EVENTS[file]
