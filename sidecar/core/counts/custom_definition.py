"""What the configuration says of one custom metric (docs/reference/custom-metrics.md)."""

from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Struct

from sidecar.core.mapping.definition import Condition

FINGERPRINT_BYTES = 4


class CustomMetric(Struct, frozen=True, kw_only=True):
    """One definition: which events count, what of them, and by which labels. `value` and labels name fields."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str = ""
    event: str = "order"
    when: dict[str, Condition] = {}
    value: str = ""
    labels: dict[str, str] = {}
    buckets: tuple[float, ...] = ()
    max_series: int = 100

    @property
    def key(self) -> str:
        """What the keys of its series begin with."""
        counted = (self.type, self.event, self.when, self.value, self.labels, self.buckets)
        return f"{self.name}\n{blake2b(msgspec.json.encode(counted), digest_size=FINGERPRINT_BYTES).hexdigest()}"

    @property
    def fields(self) -> set[str]:
        """The fields that it reads of events."""
        return {self.value, *self.labels.values(), *self.when} - {""}
