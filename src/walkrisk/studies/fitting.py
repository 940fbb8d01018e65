"""One model of a study on one sample: terms, complete rows, fit, covariances, diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.samples import Sample
from walkrisk.doors.frames import CLUSTERED, ModelFrame
from walkrisk.errors import ModelFault
from walkrisk.estimates.results import Diagnostic
from walkrisk.models.covariance import SurveyDesign, covariance, survey_design
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Factor, Linear, Product, Term, factor
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model of one analysis: its place in the results, what is fitted, and by which columns of the sample."""

    analysis: str
    exposure: str
    stratum: str = ""
    model: str
    method: str
    outcome: str
    time: str | None = None
    variances: tuple[str, ...]
    weights: str | None = None
    strata: str | None = None
    psu: str | None = None
    cluster: str | None = None
    engine: str = "newton"


class NobodyLeft(ModelFault):
    """Nobody of a sample can enter a model; `diagnostic` says so in the results."""

    def __init__(self, request: Request, sentence: str = "") -> None:
        sentence = sentence or "Nobody here has all variables of this model known, so nothing is estimated."
        where = ", ".join(t for t in (request.analysis, request.exposure, request.stratum, request.model) if t)
        super().__init__(f"{where}: {sentence}")
        self.diagnostic = Diagnostic(
            analysis=request.analysis,
            exposure=request.exposure,
            stratum=request.stratum,
            model=request.model,
            method=request.method,
            n=0,
            events=0,
            parameters=0,
            converged=False,
            iterations=0,
            boundary=False,
            max_fitted_risk=None,
            log_likelihood=None,
            warnings=sentence,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fit with its covariances by name and its diagnostics row."""

    fit: Fit
    covariances: dict[str, FloatArray]
    diagnostic: Diagnostic


def terms_of(names: Sequence[str], variables: Mapping[str, Variable]) -> list[Linear | str]:
    """Linear terms for plain variables, the name where the variable has levels (its factor is made on the rows)."""
    return [n if n in variables and variables[n].levels else Linear(n) for n in names]


def complete_rows(sample: Sample, names: Sequence[str], columns: Mapping[str, FloatArray]) -> BoolArray:
    """Rows (n,) where every named column is known."""
    rows = np.ones(sample.n, dtype=bool)
    for name in names:
        rows &= ~np.isnan(columns[name])
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """The complete rows of a request as a model frame, with the survey design of everyone where one is declared."""

    frame: ModelFrame
    time: FloatArray | None
    survey: SurveyDesign | None


def assemble(
    request: Request,
    sample: Sample,
    terms: Sequence[Term | str],
    variables: Mapping[str, Variable],
    *,
    labels: Mapping[str, Sequence[str]],
    design_sample: Sample | None = None,
) -> Assembled:
    """The complete rows of a sample with `terms` (a text names a factor); the first term is the exposure.

    `labels` gives the level names of exposure categories; `design_sample` everyone of the survey design. Raises
    NobodyLeft if no row is complete.
    """
    columns = dict(sample.columns)
    columns.update(sample.categories)
    needed = {n for t in terms for n in _columns_of(t)} | {request.outcome}
    needed |= {n for n in (request.time, request.weights) if n}
    designed, clustered = "survey" in request.variances, bool(set(CLUSTERED) & set(request.variances))
    if designed:
        needed |= {n for n in (request.strata, request.psu) if n}
    if clustered and request.cluster:
        needed.add(request.cluster)
    rows = complete_rows(sample, sorted(needed), columns)
    used = {n: columns[n][rows] for n in needed}
    made = [
        _factor(t, used, variables, labels) if isinstance(t, str) else _product(t, used, variables, labels)
        for t in terms
    ]
    if not rows.any():
        raise NobodyLeft(request)
    first = made[0]
    exposure = first if not isinstance(first, Product) else first.first
    constant = [t.name for t in made if isinstance(t, Factor) and len(t.levels) < 2]
    frame = ModelFrame(
        names=(request.exposure or exposure.name,),
        columns=used,
        y=used[request.outcome],
        exposure=exposure,
        covariates=tuple(made[1:]),
        weights=used[request.weights] if request.weights else None,
        cluster=used[request.cluster] if request.cluster and clustered else None,
        strata=used[request.strata] if request.strata and designed else None,
        psu=used[request.psu] if request.psu and designed else None,
        whole=None,
        rows=rows,
        levels=tuple(labels.get(exposure.name, ())) or (exposure.labels if isinstance(exposure, Factor) else ()),
        extra={},
        sentences=(f"{', '.join(constant)}: the same for everyone here, so left out.",) if constant else (),
    )
    survey = _survey(request, sample, rows, design_sample) if designed else None
    return Assembled(frame, used[request.time] if request.time else None, survey)


def fit_terms(
    request: Request,
    sample: Sample,
    terms: Sequence[Term | str],
    variables: Mapping[str, Variable],
    *,
    labels: Mapping[str, Sequence[str]],
    design_sample: Sample | None = None,
) -> tuple[Fitted, list[Term]]:
    """Fit `terms` (a text names a factor) on the complete rows of a sample, with every variance of the request."""
    made = assemble(request, sample, terms, variables, labels=labels, design_sample=design_sample)
    frame = made.frame
    design = frame.design()
    if request.method == "cox":
        assert made.time is not None
        fit = fit_cox(design, made.time, frame.y, weights=frame.weights)
    else:
        fit = fit_model(request.method, design, frame.y, weights=frame.weights, engine=request.engine)
    covariances = {v: covariance(fit, v, cluster=frame.cluster, design=made.survey) for v in request.variances}
    diagnostic = _diagnostic(request, fit)
    for sentence in frame.sentences:
        diagnostic = with_warning(diagnostic, sentence)
    return Fitted(fit, covariances, diagnostic), frame.terms()


def _columns_of(term: Term | str) -> tuple[str, ...]:
    if isinstance(term, str):
        return (term,)
    if isinstance(term, Product):
        return (term.first.name, term.second.name)
    return (term.name,)


def _factor(
    name: str, used: Mapping[str, FloatArray], variables: Mapping[str, Variable], labels: Mapping[str, Sequence[str]]
) -> Factor:
    if name in labels:
        return factor(name, used[name], dict(enumerate(labels[name], start=1)))
    return factor(name, used[name], variables[name].levels)


def _product(
    term: Term, used: Mapping[str, FloatArray], variables: Mapping[str, Variable], labels: Mapping[str, Sequence[str]]
) -> Term:
    if not isinstance(term, Product):
        return term
    first, second = (
        _factor(f.name, used, variables, labels) if isinstance(f, Factor) else f for f in (term.first, term.second)
    )
    return Product(first, second)


def _survey(request: Request, sample: Sample, rows: BoolArray, whole: Sample | None) -> SurveyDesign:
    assert request.strata
    assert request.psu
    everyone = whole or sample
    try:
        return survey_design(
            sample.columns[request.strata][rows],
            sample.columns[request.psu][rows],
            whole=(everyone.columns[request.strata], everyone.columns[request.psu]),
        )
    except ValueError as error:
        raise ModelFault(
            f"design: {error}, so no design-based variance exists; merge these strata before the analysis."
        ) from None


def _diagnostic(request: Request, fit: Fit) -> Diagnostic:
    return Diagnostic(
        analysis=request.analysis,
        exposure=request.exposure,
        stratum=request.stratum,
        model=request.model,
        method=request.method,
        n=fit.n,
        events=fit.events,
        parameters=fit.parameters,
        converged=fit.converged,
        iterations=fit.iterations,
        boundary=fit.boundary,
        max_fitted_risk=_known(fit.max_fitted_risk),
        log_likelihood=_known(fit.log_likelihood),
        warnings=" ".join(fit.warnings),
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def with_warning(diagnostic: Diagnostic, sentence: str) -> Diagnostic:
    """A diagnostics row with one more sentence."""
    return replace(diagnostic, warnings=f"{diagnostic.warnings} {sentence}".strip())
