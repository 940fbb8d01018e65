"""What the accounts of unmeasured confounding share: their group, names for people, how ratios were turned."""

from __future__ import annotations

from collections.abc import Sequence

from walkrisk.accounts.account import View
from walkrisk.estimates.rows import Estimate
from walkrisk.sensitivity.confounding import is_rare
from walkrisk.tables.cells import ABSENT, difference

GROUP = "Unmeasured confounding"
BIAS_FACTOR = (
    "A confounder related to the exposure by a ratio a and to the outcome by a ratio b can move a risk ratio by the "
    "factor ab/(a + b - 1) at most (Ding and VanderWeele, 2016)."
)
CONFOUNDER_ALIKE = (
    "This takes the confounder to be independent of the measured covariates within categories of the exposure, and to "
    "have one and the same ratio with the outcome for everyone, without interaction with the exposure."
)


def followed(view: View, exposures: Sequence[str]) -> tuple[str, ...]:
    """The exposures of an analysis: its own, or those followed through."""
    return tuple(exposures) or view.followed


def name_of(view: View, covariate: str) -> str:
    """A covariate, or an exposure that is one, for people."""
    if covariate in view.exposures:
        return view.label(covariate)
    variable = view.variables.get(covariate)
    return (variable.label if variable else "") or covariate


def conversion(view: View, rare: bool | None) -> tuple[str, ...]:
    """How an estimate that is no risk ratio was turned into one; nothing for a risk ratio."""
    estimand = _estimand(view)
    if estimand == "risk_difference":
        return ("Risk differences have the E-values of their 2 x 2 tables of people, without covariates.",)
    if estimand == "risk_ratio":
        return ()
    if rare is None:
        fits = [d for d in view.results.diagnostics if d.analysis == view.analysis.id]
        rare = all(is_rare(d.events, d.n) for d in fits if d.n is not None and d.events is not None)
        why = (
            "fewer than 15 per cent of those analysed had it"
            if rare
            else "15 per cent or more of those analysed had it"
        )
    else:
        why = "this was declared"
    taken = "as rare" if rare else "as common"
    turned = "so the ratios stand for risk ratios" if rare else "so the ratios were first turned into risk ratios"
    return (f"{_NAMES[estimand]}: the outcome was taken {taken}, as {why}, {turned}.",)


def taken_for_risk_ratios(view: View) -> tuple[str, ...]:
    """What is to be said of a correction of risk ratios that odds or hazard ratios were put through."""
    estimand = _estimand(view)
    if estimand not in _NAMES:
        return ()
    return (f"{_NAMES[estimand]} were corrected as risk ratios are, which holds for a rare outcome.",)


_NAMES = {"odds_ratio": "Odds ratios", "hazard_ratio": "Hazard ratios"}


def _estimand(view: View) -> str:
    exposure = view.followed[0]
    rows = main_rows_of(view, exposure, view.headline(exposure))
    return rows[0].estimand if rows else "risk_ratio"


def main_rows_of(view: View, exposure: str, level: str) -> list[Estimate]:
    """The main row of a category, whatever it estimates."""
    wanted = ("risk_ratio", "odds_ratio", "hazard_ratio", "risk_difference")
    model = view.analysis.models[0]
    return view.rows(view.analysis.id, exposure=exposure, level=level, model=model, estimand=wanted)


def shown_estimate(view: View, e: Estimate | None) -> str:
    """A ratio or difference with its limits as a table has it."""
    if e is None or e.estimate is None:
        return ABSENT
    if e.estimand == "risk_difference":
        return difference(e, view.rounding)
    return view.rounding.interval(e.estimate, e.conf_low, e.conf_high)
