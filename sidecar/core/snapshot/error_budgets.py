"""Error budgets as they are shown, each with what fires."""

from sidecar.core.counts.manifest import Manifest, Slo
from sidecar.core.counts.slo_alert import SloAlert
from sidecar.core.counts.state import State
from sidecar.core.sale.burn import Budget, budgets, rings
from sidecar.core.snapshot.snapshot import ErrorBudget

SHOWN = {"10s": 10, "1m": 60, "5m": 300}


def error_budgets(state: State, manifest: Manifest | None, last_second: int) -> dict[str, ErrorBudget]:
    """Return the budget of each SLO of the manifest, none without one."""
    if manifest is None or not manifest.slo:
        return {}
    found = budgets(manifest, state.phase_counts, rings(state), last_second)
    return {slo.name: _shown(slo, found[slo.name], _alert(state, slo)) for slo in manifest.slo}


def _alert(state: State, slo: Slo) -> SloAlert:
    part = state.slos.get(slo.name)
    return part.alert if part else SloAlert()


def _shown(slo: Slo, found: Budget, alert: SloAlert) -> ErrorBudget:
    orders, lately = found.orders(slo), found.windows[60].bad / 60
    left = orders - found.total.bad
    return ErrorBudget(
        target=slo.target,
        bad=found.total.bad,
        valid=found.total.valid,
        orders=orders,
        left=left,
        remaining_ratio=1 - found.spent(slo),
        burn={name: found.windows[seconds].burn(slo) for name, seconds in SHOWN.items()},
        exhausted_in_s=max(left, 0.0) / lately if lately else None,
        state="page" if alert.page_since is not None else "warning" if alert.warn_since is not None else "ok",
        since=alert.page_since if alert.page_since is not None else alert.warn_since,
    )
