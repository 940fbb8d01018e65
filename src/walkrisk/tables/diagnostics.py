"""How the fits went, and the tests, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.disclosure import has_merged_steps, merge_small_steps, shown_count
from walkrisk.estimates.numbers import JAMA, Rounding, count, fixed
from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.tables.table import Head, Row, Table

TESTS = {"p_trend": "Trend", "p_interaction": "Interaction", "p_nonlinearity": "Non-linearity"}
SCORES = {
    "quartile_median": "Category median",
    "quartile_score": "Category number",
    "continuous": "The exposure itself",
}


def diagnostics_summary(diagnostics: Sequence[Diagnostic]) -> tuple[str, ...]:
    """Sentences: how many fits, how many converged, how many at the boundary or with a warning."""
    n, failed = len(diagnostics), sum(not d.converged for d in diagnostics)
    warned, edge = sum(bool(d.warnings) for d in diagnostics), sum(d.boundary for d in diagnostics)
    return (
        f"{count(n)} models were fitted." if n != 1 else "1 model was fitted.",
        "All converged."
        if not failed
        else f"{count(failed)} did not converge, or had nobody to fit; no estimate of these is reported.",
        "None gave a warning." if not warned else f"{count(warned)} gave a warning; they are listed below.",
        *([f"{count(edge)} lie at the boundary of the parameter space."] if edge else []),
    )


def diagnostics_table(diagnostics: Sequence[Diagnostic], *, id: str = "diagnostics", number: str = "") -> Table | None:
    """The fits that did not converge, lie at the boundary or gave a warning; None if there are none."""
    told = [d for d in diagnostics if d.warnings or not d.converged or d.boundary]
    if not told:
        return None
    heads = ("Analysis", "Exposure", "Stratum", "Model", "Method", "Converged", "Warning")
    rows = tuple(
        Row(
            cells=(
                d.analysis,
                d.exposure,
                d.stratum or "All",
                d.model,
                d.method,
                "Yes" if d.converged else "No",
                d.warnings,
            )
        )
        for d in told
    )
    return Table(
        id=id,
        title="Fits with a warning",
        number=number,
        header=tuple(Head(h) for h in heads),
        rows=rows,
        notes=("Names are those of diagnostics.csv, which has a row for every fit.",),
        label_columns=len(heads),
    )


def p_value_table(
    estimates: Sequence[Estimate],
    *,
    exposures: Mapping[str, str],
    models: Mapping[str, str],
    variance: str,
    modifiers: Mapping[str, str] | None = None,
    analyses: Mapping[str, str] | None = None,
    id: str = "tests",
    title: str = "Tests of trend, interaction and non-linearity",
    rounding: Rounding = JAMA,
    number: str = "",
) -> Table:
    """Every test under `variance` (and the likelihood-ratio ones): statistic and P value.

    `exposures`, `models`, `modifiers` and `analyses` say what each id is called.
    """
    names = {**SCORES, **(analyses or {}), **(modifiers or {})}
    rows = tuple(
        Row(
            cells=(
                TESTS[e.estimand],
                exposures.get(e.exposure, e.exposure),
                names.get(about := e.stratum or e.level or e.analysis, about),
                models.get(e.model, e.model),
                "Wald" if e.method != "likelihood_ratio" else "Likelihood ratio",
                "–" if e.estimand == "p_trend" else fixed(e.estimate, 2),
                rounding.p(e.p_value),
            )
        )
        for e in estimates
        if e.estimand in TESTS and (e.variance == variance or e.method == "likelihood_ratio")
    )
    heads = ("Test", "Exposure", "Of or with", "Model", "Method", "χ²", "P value")
    return Table(id=id, title=title, number=number, header=tuple(Head(h) for h in heads), rows=rows, label_columns=5)


def flow_table(
    flow: Sequence[FlowStep], *, min_cell: int = 0, id: str = "flow", title: str = "Participant flow", number: str = ""
) -> Table:
    """The steps of the participant flow, small ones merged."""
    steps = merge_small_steps(flow, min_cell=min_cell)
    rows = []
    for s in steps:
        numbers = (s.n_before, s.n_excluded, s.n_after)
        cells = (shown_count(count(n), "small" if is_small(n, min_cell) else None, min_cell) for n in numbers)
        rows.append(Row(cells=(s.reason, *cells)))
    merged = ("Steps that exclude few people are put together.",) if has_merged_steps(steps) else ()
    heads = ("Reason for exclusion", "No. before", "No. excluded", "No. after")
    return Table(
        id=id, title=title, number=number, header=tuple(Head(h) for h in heads), rows=tuple(rows), notes=merged
    )
