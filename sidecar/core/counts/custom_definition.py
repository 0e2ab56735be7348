"""What the configuration says of one custom metric (docs/reference/custom-metrics.md)."""

from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Struct

from sidecar.core.events.event import FIELDS, HEADER_FIELDS, Event
from sidecar.core.mapping.definition import Condition

FINGERPRINT_BYTES = 4


def built_in(event: str) -> frozenset[str]:
    """Return the fields that every event of this type has, if only as None."""
    return frozenset(FIELDS.get(event, HEADER_FIELDS)) & {*Event.__struct_fields__} - {"items"}


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
    def extras(self) -> set[str]:
        """The fields that it reads and that no event of its type has: paths in the payload."""
        compared = {condition.differs_from or "" for condition in self.when.values()}
        return {self.value, *self.labels.values(), *self.when, *compared} - {""} - built_in(self.event)
