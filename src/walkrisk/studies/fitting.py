"""One model of a study on one sample: terms, complete rows, fit, covariances, diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.samples import Sample
from walkrisk.doors.frames import ModelFrame
from walkrisk.doors.regression import Asking
from walkrisk.doors.results import with_t_limits
from walkrisk.doors.variances import Choice
from walkrisk.errors import ModelFault
from walkrisk.estimates.ratios import profile_sentences
from walkrisk.estimates.results import Diagnostic, unfitted
from walkrisk.estimates.rows import Estimate
from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.covariance import SurveyDesign, survey_design
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Factor, Linear, Product, Term, factor, variables_of
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.small_samples import bias_reduced
from walkrisk.studies.vocabulary import BOOTSTRAP, WITH_T_LIMITS, base_of, uses_cluster, uses_design

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
    replicates: int = 2000
    seed: int = 1


class NoEstimate(ModelFault):
    """A model yields no estimate; `diagnostic` says why in the results."""

    def __init__(self, request: Request, sentence: str, *, n: int = 0, events: int = 0) -> None:
        where = ", ".join(t for t in (request.analysis, request.exposure, request.stratum, request.model) if t)
        super().__init__(f"{where}: {sentence}")
        self.diagnostic = unfitted(
            analysis=request.analysis,
            exposure=request.exposure,
            stratum=request.stratum,
            model=request.model,
            method=request.method,
            n=n,
            events=events,
            why=sentence,
        )


class NobodyLeft(NoEstimate):
    """Nobody of a sample can enter a model."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, "Nobody here has all variables of this model known, so nothing is estimated.")


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fit with its covariances by name, how each variance was chosen, and its diagnostics row."""

    fit: Fit
    covariances: dict[str, FloatArray]
    choices: Mapping[str, Choice]
    diagnostic: Diagnostic

    def df(self, variance: str, column: int | None = None) -> float:
        """Degrees of freedom of t limits of one coefficient (without a column the fewest); infinite for normal ones."""
        contrast = None
        if column is not None:
            contrast = np.zeros(self.fit.parameters)
            contrast[self.fit.position((column,))] = 1.0
        return self.choices[variance].df(self.fit, contrast)

    def with_t(self, row: Estimate, column: int, conf_level: float) -> Estimate:
        """A row of one coefficient with t limits where its variance has them."""
        choice = self.choices.get(row.variance)
        if choice is None or choice.limits == "normal" or row.std_error is None:
            return row
        return with_t_limits(row, self.df(row.variance, column), conf_level)


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
    designed = any(uses_design(v) for v in request.variances) and bool(request.strata and request.psu)
    clustered = any(uses_cluster(v) for v in request.variances)
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
    survey = _survey(request, sample, rows, design_sample) if _surveyed(request) else None
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
    fit = _fit(request, made)
    diagnostic = _diagnostic(request, fit)
    variances = request.variances
    if request.method in REDUCED and "HC0" in variances:
        variances = tuple(dict.fromkeys("model" if v == "HC0" else v for v in variances))
        diagnostic = with_warning(
            diagnostic, "In place of HC0 stands the model's variance: a sandwich is too narrow here."
        )
    choices = {v: choice_of(request, made, v) for v in variances}
    for sentence in frame.sentences:
        diagnostic = with_warning(diagnostic, sentence)
    covariances: dict[str, FloatArray] = {}
    for name, choice in choices.items():
        try:
            covariances[name] = choice.covariance(fit)
        except ValueError as error:
            covariances[name] = np.full((fit.parameters, fit.parameters), np.nan)
            diagnostic = with_warning(diagnostic, f"{name}: {sentence_of(error)}")
    return Fitted(fit, covariances, choices, diagnostic), frame.terms()


def _fit(request: Request, made: Assembled) -> Fit:
    frame = made.frame
    y, weights = frame.y, frame.weights
    try:
        design = frame.design()
        if request.method == "cox":
            assert made.time is not None
            return fit_cox(design, made.time, y, weights=weights, engine=request.engine)
        if request.method == "case_duplication":
            return case_duplication(design, y, weights=weights, engine=request.engine)
        if request.method in REDUCED:
            return bias_reduced(REDUCED[request.method], design, y, weights=weights)
        return fit_model(request.method, design, y, weights=weights, engine=request.engine)
    except ValueError as error:
        raise NoEstimate(request, sentence_of(error), n=frame.n, events=int(y.sum())) from None


REDUCED: Mapping[str, str] = {"bias_reduced_poisson": "modified_poisson", "firth_logistic": "logistic"}


def sentence_of(error: Exception) -> str:
    """What an estimator says it cannot do, as a sentence."""
    text = str(error)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def choice_of(request: Request, made: Assembled, variance: str) -> Choice:
    """A variance of a request with the clusters, survey design or bootstrap it needs."""
    frame = made.frame
    cluster = frame.cluster if uses_cluster(variance) else None
    resampled = variance == BOOTSTRAP
    return Choice(
        name=variance,
        cluster=frame.psu if resampled and frame.psu is not None else cluster,
        survey=made.survey if base_of(variance) == "survey" else None,
        limits="t" if variance in WITH_T_LIMITS else "normal",
        strata=frame.strata if resampled else None,
        replicates=request.replicates,
        seed=request.seed,
    )


def asking_of(request: Request, made: Assembled, variance: str, conf_level: float) -> Asking:
    """The question of a request under one of its variances, as the Python doors ask it."""
    frame = made.frame
    asked = replace(
        frame,
        cluster=frame.cluster if uses_cluster(variance) else None,
        strata=frame.strata if uses_design(variance) else None,
        psu=frame.psu if uses_design(variance) else None,
    )
    return Asking(frame=asked, choice=choice_of(request, made, variance), conf_level=conf_level)


def _columns_of(term: Term | str) -> tuple[str, ...]:
    return (term,) if isinstance(term, str) else variables_of(term)


def _surveyed(request: Request) -> bool:
    return any(base_of(v) == "survey" for v in request.variances)


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


def with_profile(diagnostic: Diagnostic, rows: Sequence[Estimate]) -> Diagnostic:
    """A diagnostics row with what there is to say of limits by profile likelihood."""
    for said in profile_sentences(rows):
        diagnostic = with_warning(diagnostic, said)
    return diagnostic


def with_warning(diagnostic: Diagnostic, sentence: str) -> Diagnostic:
    """A diagnostics row with one more sentence."""
    return replace(diagnostic, warnings=f"{diagnostic.warnings} {sentence}".strip())
