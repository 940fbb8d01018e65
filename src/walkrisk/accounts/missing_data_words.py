"""How multiple imputation is put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import View
from walkrisk.accounts.facts import Form
from walkrisk.estimates.results import Point
from walkrisk.studies.missing_data import Delta, Imputation

MODELS = {
    "pmm": "predictive mean matching from {donors} donors",
    "normal": "Bayesian linear regression",
    "binary": "logistic regression",
    "ordinal": "proportional odds",
    "nominal": "multinomial logistic regression",
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
    if declared.delete_imputed_outcomes:
        yield (
            "People whose outcome was imputed helped to impute covariates and were then left out (von Hippel, 2007), "
            "which is valid where no auxiliary tells of the outcome beyond the covariates."
        )
    if declared.deltas:
        yield (
            "In variants that are not at random the imputed values of one variable were shifted in every cycle, with "
            "the same random numbers at each shift; tipping points are by linear interpolation between the shifts of "
            "the grid."
        )


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
