"""What a run cannot say, from what it shows: who is missing, what was not looked at, where numbers are few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from walkrisk.accounts.account import View
from walkrisk.estimates.disclosure import RATIOS, merge_small_steps
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.results import Diagnostic
from walkrisk.runs.headlines import headline_row, in_text, main_of
from walkrisk.runs.methods import METHODS
from walkrisk.studies.missing_data import ancestors, outcome_of
from walkrisk.studies.study import Study

EVENTS_PER_PARAMETER = 10
LOOKED_AT = {
    "missing values (multiple imputation)": ("imputations",),
    "loss to follow-up": ("losses", "worst_cases"),
    "unmeasured confounding": (
        "evalue_curves", "benchmarks", "contours", "confounder_arrays", "probabilistic_confounders",
    ),
    "error in the exposure": ("reliabilities", "calibrations", "simex"),
    "error in the outcome": ("misclassified_outcomes",),
    "selection": ("probabilistic_selections",),
    "a negative control": ("negative_controls",),
    "other choices of the analyst": ("multiverses",),
    "the influence of single people": ("influence", "jackknives"),
    "the precision the study could have": ("power",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """People who left, of those there before, with the reason."""

    reason: str
    left: int
    before: int

    @property
    def text(self) -> str:
        """12.3% (123 of 1000)."""
        return f"{fixed(100 * self.left / self.before, 1)}% ({count(self.left)} of {count(self.before)})"


def limits(view: View, warnings: Sequence[str]) -> tuple[str, ...]:
    """Sentences on what the run cannot say."""
    said = [
        *_design(view),
        *_who_is_missing(view),
        *_not_looked_at(view.study),
        *_few(view),
        *_fits(view.results.diagnostics),
        *_many(view),
    ]
    if warnings:
        said.append(f"Remarks on the data: {count(len(warnings))}, in “Model fits”.")
    return tuple(said)


def loss_steps(study: Study) -> tuple[str, ...]:
    """The exclusions at which people are lost: those declared so, else those that ask for the outcome to be known."""
    done = study.sensitivity
    declared = [s for x in done.losses for s in x.steps] + [s for x in done.worst_cases for s in x.steps]
    if declared:
        return tuple(dict.fromkeys(declared))
    outcome = study.outcomes[outcome_of(study)]
    ends = _origins(study, [n for n in (outcome.variable, outcome.event, outcome.time) if n])
    begins = _origins(study, {c for m in study.models.values() for c in m.covariates})
    return tuple(x.id for x in study.exclusions if (_origins(study, x.known) & ends) - begins)


def covariate_steps(study: Study) -> tuple[str, ...]:
    """The exclusions that ask for covariates of the models to be known."""
    covariates = _origins(study, {c for m in study.models.values() for c in m.covariates})
    lost = loss_steps(study)
    return tuple(x.id for x in study.exclusions if x.id not in lost and covariates & set(x.known))


def _origins(study: Study, names: Iterable[str]) -> set[str]:
    """Variables with everything they are derived from."""
    wanted = set(names)
    return wanted.union(*(ancestors(study, name) for name in wanted))


def shares(view: View, steps: Sequence[str]) -> list[Share]:
    """Who left at each of these steps, as far as the steps are shown on their own."""
    shown = merge_small_steps(view.results.flow, min_cell=view.study.settings.min_cell)
    return [Share(s.reason, s.n_excluded, s.n_before) for s in shown if s.step in steps and s.n_excluded]


# ---------------------------------------------------------------- kinds of limits


def _design(view: View) -> Iterator[str]:
    study = view.study
    yield (
        "The study observes: nobody was assigned an exposure, and what is outside the covariates of the models may "
        "explain a ratio in part or in whole."
    )
    main = main_of(view)
    if main is None:
        return
    method = main.method or study.settings.method
    if method != "cox" and not study.horizons:
        yield (
            f"Risks are those by the end of follow-up, by {METHODS[method].split(' (')[0]}; when events happened, and "
            "for how long each person was followed, is not used."
        )
    limits = [
        (e, row.estimate)
        for e in main.exposures
        if (shown := headline_row(view, main, e)) is not None
        for row in view.rows(_evalues_of(study, main.id), exposure=e, level=shown.level, estimand="e_value_ci")
        if row.estimate is not None
    ]
    if limits:
        weakest = "; ".join(f"{in_text(view.label(e))} {fixed(value, 2)}" for e, value in limits)
        yield (
            "An unmeasured confounder with these risk ratios with exposure and outcome would move the limit of the "
            f"main interval to no association (E-values of the limits): {weakest}."
        )


def _evalues_of(study: Study, analysis: str) -> str:
    return next((v.analysis for v in study.evalues if analysis in v.of), "")


def _who_is_missing(view: View) -> Iterator[str]:
    study = view.study
    shown = merge_small_steps(view.results.flow, min_cell=study.settings.min_cell)
    if shown and shown[0].n_before > shown[-1].n_after:
        everyone = Share("", shown[0].n_before - shown[-1].n_after, shown[0].n_before)
        largest = max(shown, key=lambda s: s.n_excluded)
        yield (
            f"{everyone.text} of the people in the data are not in the analytic sample; most left for this reason: "
            f"{in_text(largest.reason)} (n = {count(largest.n_excluded)}). Results hold for those who stayed."
        )
    done = study.sensitivity
    answer = "; “Loss to follow-up” looks at them" if done.losses or done.worst_cases else "; no analysis looks at them"
    for share in shares(view, loss_steps(study)):
        yield f"{share.text} of those eligible until then were lost ({in_text(share.reason)}){answer}."
    answer = "; “Missing data” looks at them" if done.imputations else "; missing values were not imputed"
    for share in shares(view, covariate_steps(study)):
        yield f"{share.text} left for a missing value ({in_text(share.reason)}), so that cases are complete{answer}."


def _not_looked_at(study: Study) -> Iterator[str]:
    missing = [what for what, parts in LOOKED_AT.items() if not any(getattr(study.sensitivity, p) for p in parts)]
    if study.evalues:
        missing = [m for m in missing if m != "unmeasured confounding"]
    if missing:
        yield f"No sensitivity analysis was declared for: {'; '.join(missing)}."


def _few(view: View) -> Iterator[str]:
    fitted = [d for d in view.results.diagnostics if d.converged and d.parameters > 0]
    few = [d for d in fitted if d.events is not None and d.events < EVENTS_PER_PARAMETER * d.parameters]
    if few:
        yield (
            f"{_of(len(few), len(fitted), 'model')} had fewer than {EVENTS_PER_PARAMETER} events a parameter; their "
            "ratios are imprecise and may lie too far from no association."
        )
    empty = [e for e in view.results.estimates if e.estimand in RATIOS and e.estimate is None and e.variance]
    if empty:
        cells = {(e.analysis, e.exposure, e.stratum, e.level) for e in empty}
        yield f"{_many_of(len(cells), 'ratio')} could not be estimated; tables say why."
    if any(cell[4] in ("n", "events") for cell in view.guard.marks):
        yield "Some counts are withheld, being small or giving a small one away; “What is not shown” says where."


def _fits(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    n = len(diagnostics)
    failed = sum(not d.converged for d in diagnostics)
    if failed:
        yield f"{_of(failed, n, 'model')} did not converge or had nobody to fit; none of their estimates is reported."
    edge = sum(d.boundary for d in diagnostics)
    if edge:
        yield f"{_of(edge, n, 'model')} ended at the boundary of what the parameters may be."
    above = sum((d.max_fitted_risk or 0) > 1 for d in diagnostics)
    if above:
        yield (
            f"{_of(above, n, 'model')} gave somebody a fitted risk above 1, which a Poisson model can; ratios hold, "
            "risks of such people do not."
        )


def _many(view: View) -> Iterator[str]:
    ratios = [e for e in view.results.estimates if e.estimand in RATIOS and e.conf_low is not None]
    keys = {(e.analysis, e.exposure, e.stratum, e.level, e.model, e.method) for e in ratios}
    if len(keys) > 1:
        yield (
            f"{count(len(keys))} ratios with intervals are reported; no interval or P value is adjusted for their "
            "number, so that some will leave out no association by chance."
        )


def _of(n: int, of: int, what: str) -> str:
    return f"{count(n)} of {count(of)} {what}s"


def _many_of(n: int, what: str) -> str:
    return f"{count(n)} {what}{'' if n == 1 else 's'}"
