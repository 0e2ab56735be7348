"""Snapshot -> rich tables and lines, for `report` and `top`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sidecar.cli.view.reasons import FailureReasons, ReasonCounts, worst_first
from sidecar.cli.view.terminal import count, milliseconds, plain, seconds, share

if TYPE_CHECKING:
    from sidecar.core.counts.sale import Sale
    from sidecar.core.snapshot.snapshot import Inventory, ProductOrders, Queue, Snapshot

BAR_CELLS = 10
JOB_STATES = ("waiting", "active", "delayed", "failed", "completed")
PIPE_WIDTH = 160
WINDOWS = {"10s": "last_10s", "1m": "last_1m", "5m": "last_5m", "total": "total"}  # and the field of each
PERCENTILES = ("p50", "p90", "p95", "p99", "max")
# A narrower screen has fewer columns, so that labels and numbers are never cut.
WIDE = 76
WITH_BAND = 96
FEWER_FIGURES = ("p50", "p99", "max")
# Below this a product is about to sell out; a sale lasts minutes.
SOON_SECONDS = 60
LONGEST_SECONDS = 3600  # later than that is only "later"
VAGUE = 4  # times as late as the earliest time: too wide to name both ends
STATES = {"starting": "estimating", "stalled": "stalled"}


def console() -> Console:
    """Return the console; a pipe is wide, so that names stay whole for grep."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def orders(snapshot: "Snapshot", *, width: int = PIPE_WIDTH) -> Table:
    """Draw the orders by status."""
    found = snapshot.orders
    by_status = found.by_status
    failed = by_status["failed"]
    columns: dict[str, str | Text] = {
        "accepted": count(by_status["pending"]),
        "success": Text(count(by_status["success"]), "green"),
        "failed": Text(count(failed), "red" if failed else ""),
        "cancelled": count(by_status["cancelled"]),
        "in flight": count(found.in_flight),
    }
    if width >= WIDE:
        columns |= {name: share(getattr(found, name.replace(" ", "_")).total) for name in ("error rate", "fault rate")}
    first, *others = columns
    table = _table(*others, first=first)
    table.add_row(*columns.values())
    return table


def rates(snapshot: "Snapshot", *, rule: bool = True) -> Table:
    """Draw throughput and error rates by window."""
    found = snapshot.orders
    table = _table(*WINDOWS, first="window", rule=rule)
    table.add_row("orders / s", *(count(getattr(found.per_second, field)) for field in WINDOWS.values()))
    table.add_row("error rate", *(share(getattr(found.error_rate, field)) for field in WINDOWS.values()))
    table.add_row("fault rate", *(_alarm(getattr(found.fault_rate, field)) for field in WINDOWS.values()))
    return table


def times(
    snapshot: "Snapshot", rows: Iterable[tuple[str, str]], *, width: int = PIPE_WIDTH, rule: bool = True
) -> Table:
    """Draw percentiles; `rows` are (latency or processing, window)."""
    figures = ("avg", *PERCENTILES) if width >= WIDE else FEWER_FIGURES
    table = _table("count", *figures, first="time", rule=rule)
    for name, window in rows:
        summary = getattr(getattr(snapshot, f"{name}_ms"), WINDOWS[window])
        found = (milliseconds(getattr(summary, figure)) for figure in figures)
        table.add_row(name if window == "total" else f"{name} {window}", count(summary.count), *found)
    return table


def by_sales(snapshot: "Snapshot") -> list[str]:
    """Sort the products, the busiest first."""
    by_product = snapshot.orders.by_product
    names: set[str] = by_product.keys() | snapshot.inventory.keys()
    return sorted(names, key=lambda name: (-_finished(by_product.get(name)), name))


def by_urgency(snapshot: "Snapshot") -> list[str]:
    """Sort the products by the time to sell out, then the busiest first; sold out ones come last."""

    def urgency(name: str) -> tuple[int, float]:
        one = snapshot.inventory.get(name)
        if one and one.stock <= 0:
            return 2, one.stock  # oversold products are first among these
        left = one.sell_out_in_s if one else None
        return (1, 0) if left is None else (0, left)

    return sorted(by_sales(snapshot), key=urgency)


def products(snapshot: "Snapshot", names: Iterable[str], *, width: int = PIPE_WIDTH, rule: bool = True) -> Table:
    """Draw products with their remaining stock."""
    by_product, inventory = snapshot.orders.by_product, snapshot.inventory
    wide = width >= WIDE
    columns = ("sold", "failed", "stock", "", "sold / s") if wide else ("sold", "stock")
    table = _table(*columns, "sells out in", first="product", rule=rule)
    for name in names:
        sold, stock = by_product.get(name), inventory.get(name)
        units = sold.units if sold else 0
        label, left = Text(plain(name), overflow="ellipsis", no_wrap=True), _units(stock)
        end = _sell_out(stock, band=width >= WITH_BAND)
        if wide:
            pace = count(stock.depletion_per_second if stock else None)
            failed = count(sold.failed if sold else 0)
            table.add_row(label, count(units), failed, left, bar(stock.stock, units) if stock else "", pace, end)
        else:
            table.add_row(label, count(units), left, end)
    return table


def lines(part: RenderableType, *, rule: bool) -> int:
    """Return the height of a part of a view in lines; nothing in it wraps."""
    return part.row_count + 1 + rule if isinstance(part, Table) else 1


def failures(snapshot: "Snapshot") -> Table:
    """Draw why orders failed, the most frequent reason first."""
    reasons = snapshot.orders.failed_by_reason
    table = _table("orders", first="failed because")
    for reason in sorted(reasons, key=lambda name: (-reasons[name], name))[:10]:
        table.add_row(Text(plain(reason)), count(reasons[reason]))
    return table


def state(snapshot: "Snapshot") -> Text:
    """Summarise sale and producers in a line, without what an older daemon does not report."""
    parts = [*_sale(snapshot.sale, snapshot.phases.now, snapshot.ts), *_producers(snapshot)]
    return Text("  ").join(parts)


def _sale(sale: "Sale", phase: str | None, now: float) -> Iterator[Text]:
    if sale.state == "none" or sale.started_at is None:
        return
    name, began, ended = f"{plain(sale.id)} " if sale.id else "", sale.started_at, sale.ended_at
    name += "" if sale.kind == "live" else f"({sale.kind}) "
    text = Text("sale ", "bold")
    if sale.state == "running" or ended is None:
        at = f", {phase.replace('_', ' ')}" if phase else ""
        yield text.append(f"{name}running for {seconds(max(0.0, now - began))}{at}", "not bold")
    else:
        lasted, since = seconds(max(0.0, ended - began)), seconds(max(0.0, now - ended))
        yield text.append(f"{name}over for {since}, lasted {lasted}", "not bold")


def _producers(snapshot: "Snapshot") -> Iterator[Text]:
    found = snapshot.completeness.producers
    if found is None:
        return
    text = Text("producers ", "bold").append(f"{count(found.alive)} alive", "not bold")
    if found.silent:
        text.append(f", {count(found.silent)} silent: ", "bold red")
        by_producer = snapshot.completeness.by_producer
        silent = {name: one.last_seen for name, one in by_producer.items() if one.state == "silent"}
        known = sorted(silent.items(), key=lambda one: (-(one[1] or 0.0), one[0]))
        parts = (f"{plain(name)}{_for(ts, snapshot.ts)}" for name, ts in known)
        text.append(", ".join(parts), "not bold")
    yield text


def _for(ts: float | None, now: float) -> str:
    return "" if ts is None else f" for {seconds(max(0.0, now - ts))}"


def reasons(snapshot: "Snapshot", watched: FailureReasons) -> Text:
    """Summarise in a line why orders failed in the last seconds, or at all if none did, worst reason first."""
    over, recent = watched.recent()
    counts: ReasonCounts = recent or snapshot.orders.failed_by_reason
    text, number = Text("failures ", "bold"), sum(counts.values())
    if not counts:
        return text.append("none", "not bold")
    text.append(f"{count(number)} {f'in {seconds(over)}' if recent else 'in all'}", "not bold")
    parts = (f"{plain(reason)} {_percent(counts[reason] / number)}" for reason in worst_first(counts))
    return text.append(": " + " · ".join(parts), "not bold")


def _percent(part: float) -> str:
    """Format a share briefly."""
    return f"{100 * part:.0f} %" if part >= 0.01 else "<1 %"


def queues(snapshot: "Snapshot") -> Table:
    """Draw the queues."""
    optional = {"oldest": "oldest_waiting_s", "drift": "drift_jobs"}
    known = [
        name for name, field in optional.items() if any(getattr(q, field) is not None for q in snapshot.queues.values())
    ]
    table = _table(*JOB_STATES, *known, first="queue")
    for name, queue in sorted(snapshot.queues.items()):
        jobs = (count(getattr(queue, state)) for state in JOB_STATES)
        others = {"oldest": seconds(queue.oldest_waiting_s), "drift": count(queue.drift_jobs)}
        table.add_row(Text(_queue_name(name, queue)), *jobs, *(others[name] for name in known))
    return table


def _queue_name(name: str, queue: "Queue") -> str:
    return f"{plain(name)} (paused)" if queue.paused else plain(name)


def _drift(queue: "Queue") -> str:
    return f", {queue.drift_jobs:+,} drift" if queue.drift_jobs else ""


def queue_lengths(snapshot: "Snapshot") -> Text:
    """Summarise the queues in a line."""
    text = Text("queue ", "bold", no_wrap=True, overflow="ellipsis")
    parts = [
        f"{_queue_name(name, queue)} {count(queue.waiting)} waiting, {count(queue.active)} active{_drift(queue)}"
        for name, queue in sorted(snapshot.queues.items())
    ]
    return text.append(" · ".join(parts) or "unknown", "not bold")


def completeness(snapshot: "Snapshot") -> Text:
    """Summarise in a line how much of what was published was counted."""
    found = snapshot.completeness
    ratio, missed = found.ratio, found.missed
    text = Text("completeness ", "bold")
    text.append(share(ratio), "green" if ratio == 1 else "yellow" if ratio is None else "red")
    parts = [f"{count(found.received)} received", f"{count(missed)} missed"]
    parts += [
        f"{count(getattr(found, name))} {name}"
        for name in ("duplicates", "late", "invalid", "ignored", "adjusted", "repeats")
        if getattr(found, name)
    ]
    if found.counted_twice:
        parts.append(f"{count(found.counted_twice)} counted twice")
    if found.blind_s:
        parts.append(f"{seconds(found.blind_s)} without a connection")
    return text.append("  " + " · ".join(parts), "not bold")


def revenue(snapshot: "Snapshot") -> Text:
    """Summarise the revenue by currency in a line."""
    amounts = snapshot.orders.revenue
    text = Text("revenue ", "bold")
    return text.append(
        " · ".join(f"{plain(amount)} {plain(currency)}" for currency, amount in sorted(amounts.items())), "not bold"
    )


def bar(stock: int, sold: int) -> Text:
    """Draw the share of the stock that is left."""
    left = max(stock, 0) / max(stock + sold, 1)
    cells = min(BAR_CELLS, round(left * BAR_CELLS)) or (1 if stock > 0 else 0)
    colour = "green" if left > 0.5 else "yellow" if left > 0.15 else "red"
    return Text("█" * cells, colour).append("░" * (BAR_CELLS - cells), "dim")


def _table(*columns: str, first: str, rule: bool = True) -> Table:
    """Return an empty table; a `rule` below the header costs a line."""
    table = Table(box=box.SIMPLE_HEAD if rule else None, header_style="bold", pad_edge=False, show_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _finished(product: "ProductOrders | None") -> int:
    return product.success + product.failed if product else 0


def _units(stock: "Inventory | None") -> Text:
    if stock is None:
        return Text(count(None))
    return Text(count(stock.stock), "bold red" if stock.stock < 0 else "")


def _sell_out(stock: "Inventory | None", *, band: bool = False) -> Text:
    """Format when the stock will be gone, with a band on request, or why that is not known."""
    if stock is None:
        return Text(seconds(None))
    if stock.stock <= 0:
        return Text("oversold" if stock.stock < 0 else "sold out", "bold red" if stock.stock < 0 else "red")
    found, left = stock.sell_out, stock.sell_out_in_s
    if found.state in STATES:
        return Text(STATES[found.state], "yellow" if found.state == "stalled" else "")
    text = Text(seconds(left), "yellow" if left is not None and left < SOON_SECONDS else "")
    if found.eta_s is None or found.low_s is None or found.high_s is None:
        return text
    if found.eta_s > LONGEST_SECONDS:
        return Text(f"> {seconds(LONGEST_SECONDS)}")
    if found.high_s > VAGUE * found.low_s:
        return Text(f"over {seconds(_rounded(found.low_s))}", text.style)
    text = Text(seconds(_rounded(found.eta_s)), text.style)
    return text.append(f" ({_clock(found.low_s)}-{_clock(found.high_s)})", "dim") if band else text


def _rounded(value: float) -> float:
    """Round to two significant digits: an estimate has no more."""
    return float(f"{value:.2g}")


def _clock(value: float) -> str:
    return f"{int(value) // 60}:{int(value) % 60:02}"


def _alarm(rate: float | None) -> Text:
    """Format a rate that an operator must see."""
    return Text(share(rate), "bold red" if rate else "")
