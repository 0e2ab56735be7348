"""The answers of a daemon that commands read, to check them: something else may answer at `--url`."""

from msgspec import Struct

from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Sale
from sidecar.core.sale.listing import ListedSale
from sidecar.exposition.history import HistoryValue


class PartAnswer(Struct, frozen=True):
    """The health of one part of a daemon."""

    status: str
    detail: str | None = None


class HealthAnswer(Struct, frozen=True):
    """`GET /monitoring/health`."""

    status: str
    components: dict[str, PartAnswer]


class Points(Struct, frozen=True):
    """One metric of `GET /monitoring/history`."""

    points: list[tuple[int, HistoryValue]]


class RejectedAnswer(Struct, frozen=True):
    """`GET /monitoring/rejected`."""

    rejected: list[RejectedEvent]


class StatusCounts(Struct, frozen=True):
    """Orders by status."""

    success: int
    failed: int
    pending: int
    cancelled: int


class ClearedOrders(Struct, frozen=True):
    """The orders that were cleared."""

    by_status: StatusCounts


class Cleared(Struct, frozen=True):
    """What was cleared."""

    orders: ClearedOrders


class Clear(Struct, frozen=True):
    """`POST /monitoring/metrics/clear`."""

    cleared: Cleared


class ClearedMetric(Struct, frozen=True):
    """The custom metric that was cleared."""

    metric: str


class ClearMetric(Struct, frozen=True):
    """`POST /monitoring/metrics/clear?metric=`."""

    cleared: ClearedMetric


class Sales(Struct, frozen=True):
    """`POST /monitoring/sales/{id}/start` and other commands."""

    sale: Sale


class ListedSales(Struct, frozen=True):
    """`GET /monitoring/sales`."""

    sales: list[ListedSale]


class OneSale(Struct, frozen=True):
    """`GET /monitoring/sales/{id}`, and `PUT`."""

    sale: ListedSale
