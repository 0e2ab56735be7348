"""The fields a yardstick decodes: those every event of the benchmark may carry."""

from msgspec import Struct


class Event(Struct, gc=False):
    """One event, typed; what is not named here is skipped."""

    type: str = "order"
    ts: float = 0.0
    producer: str = ""
    epoch: int = 0
    seq: int = 0
    status: str = ""
    order_id: str = ""
    product_id: str = ""
    quantity: int = 1
    latency_ms: float = 0.0
    processing_ms: float = 0.0
