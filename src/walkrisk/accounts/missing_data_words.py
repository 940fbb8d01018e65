"""How multiple imputation is put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import View
from walkrisk.accounts.facts import Form
from walkrisk.estimates.results import Point
from walkrisk.studies.missing_data import Delta, Imputation, ancestors, outcome_of

MODELS = {
    "pmm": "predictive mean matching from {donors} donors",
    "normal": "Bayesian linear regression",
    "binary": "logistic regression",
    "ordinal": "proportional odds",
    "nominal": "multinomial logistic regression",
}
LOOKED_AT = {
    True: "Shifts that differ between categories are what the worst cases of loss to follow-up look at",
    False: "Shifts that differ between categories, which worst cases of loss to follow-up look at, were not declared",
}


def name_of(view: View, variable: str) -> str:
    """What an imputed variable is called."""
    found = view.variables.get(variable)
    return found.label if found else variable


def kinds_of(found: Sequence[Point]) -> dict[str, str]:
    """Imputed variable -> its model, from the points that count what was missing."""
    return {p.item: p.level for p in found}


def methods(view: View, declared: Imputation, found: Sequence[Point]) -> Iterator[str]:
    """How it was done."""
    kinds = kinds_of(found)
    by_model: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        by_model.setdefault(kind, []).append(name_of(view, name))
    if by_model:
        models = "; ".join(
            f"{MODELS[kind].format(donors=declared.donors)} ({', '.join(names)})" for kind, names in by_model.items()
        )
        yield (
            f"Missing values were imputed by chained equations in {declared.sets} sets of {declared.cycles} cycles, by "
            f"{models}. Parameters were drawn anew for every set; augmented data kept coefficients finite where a "
            "predictor leaves out a level of the imputed variable (White, Daniel and Royston, 2010)."
        )
    helping = ", ".join(name_of(view, n) for n in declared.auxiliaries)
    yield (
        "The models held the outcome, the exposures as numbers and as categories, the covariates of the main model and "
        f"all other imputed variables{f', and as auxiliaries {helping}' if helping else ''}. In each set everything "
        "derived was made again and quantiles were cut again; ratios were pooled by Rubin's rules with Barnard and "
        "Rubin's degrees of freedom."
    )
    if found:
        yield (
            "The customary number of sets is at least 100 times the largest fraction of missing information (White, "
            f"Royston and Wood, 2011, doi 10.1002/sim.4067); {declared.sets} were declared."
        )
    if declared.delete_imputed_outcomes:
        yield (
            "People whose outcome was imputed helped to impute covariates and were then left out (von Hippel, 2007), "
            "which is valid where no auxiliary tells of the outcome beyond the covariates."
        )
    yield from _shifts(view, declared)


def _shifts(view: View, declared: Imputation) -> Iterator[str]:
    """How values are shifted, and what a shift of the outcome cannot tell."""
    if declared.deltas:
        yield (
            "In variants that are not at random the imputed values of one variable were shifted in every cycle, with "
            "the same random numbers at each shift; tipping points are by linear interpolation between the shifts of "
            "the grid."
        )
    if any(is_of_outcome(view, delta) for delta in declared.deltas):
        looked_at = LOOKED_AT[_worst(view)]
        yield (
            "A shift of the outcome is the same for everyone whose outcome was imputed, in all categories of the "
            "exposure alike, so that it moves the risks of all categories together and may hardly move their ratio: a "
            f"ratio that keeps its side says little about loss that differs between categories. {looked_at}."
        )


def is_of_outcome(view: View, delta: Delta) -> bool:
    """Whether what is shifted is the outcome of the main analysis, or what it is derived from."""
    outcome = view.study.outcomes[outcome_of(view.study)]
    names = {name for name in (outcome.variable, outcome.event, outcome.time) if name}
    return delta.variable in names.union(*(ancestors(view.study, name) for name in names))


def same_for_all(view: View, delta: Delta) -> tuple[str, str]:
    """What is said with a grid of the outcome without a tipping point, in the middle and at the end; else nothing."""
    if not is_of_outcome(view, delta):
        return "", ""
    looked_at = LOOKED_AT[_worst(view)]
    return ", the same in all categories of the exposure,", f"; {looked_at[:1].lower()}{looked_at[1:]}"


def _worst(view: View) -> bool:
    return bool(view.study.sensitivity.worst_cases)


def variant_ends(delta: Delta) -> tuple[float, float]:
    """The first and last shift of a grid."""
    return delta.values[0], delta.values[-1]


def shifted_name(view: View, delta: Delta) -> str:
    """What is shifted, for people: Smoking (Current)."""
    label = name_of(view, delta.variable)
    if delta.level is None:
        return label
    variable = view.variables.get(delta.variable)
    level = (variable.levels or {}).get(delta.level, f"{delta.level}") if variable else f"{delta.level}"
    return f"{label} ({level})"


def scale_of(view: View, declared: Imputation, delta: Delta) -> str:
    """The scale of a shift: its unit, or log-odds."""
    kind = kinds_of(view.points(declared.id, "missing")).get(delta.variable, "pmm")
    if kind not in ("pmm", "normal"):
        return "on the log-odds"
    variable = view.variables.get(delta.variable)
    return (variable.unit if variable else "") or "units"


def shift_form(delta: Delta) -> Form:
    """The decimals in which the shifts of a grid are printed."""
    return "fixed1" if all(abs(10 * v - round(10 * v)) < 1e-9 for v in delta.values) else "fixed2"
