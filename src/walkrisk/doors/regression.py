"""Ratios and differences straight from the coefficients of a regression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.doors.faults import as_faults
from walkrisk.doors.frames import ModelFrame
from walkrisk.doors.results import Estimates, estimates, fitted_model, with_t_limits
from walkrisk.doors.variances import Choice
from walkrisk.errors import ModelFault, UsageFault
from walkrisk.estimates.ratios import LevelCount, level_ratios, per_unit, profile_sentences
from walkrisk.estimates.rows import Estimate, critical_value
from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.design import Design, Factor, Linear, variables_of
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.gee import Correlation, Gee, gee
from walkrisk.models.small_samples import bias_reduced

FloatArray = npt.NDArray[np.float64]

ESTIMANDS = {
    "modified_poisson": "risk_ratio",
    "log_binomial": "risk_ratio",
    "case_duplication": "risk_ratio",
    "bias_reduced_poisson": "risk_ratio",
    "logistic": "odds_ratio",
    "firth_logistic": "odds_ratio",
    "identity_binomial": "risk_difference",
    "identity_poisson": "risk_difference",
    "linear": "risk_difference",
}


BIAS_REDUCED = ("bias_reduced_poisson", "firth_logistic")
BOUNDARY = (
    "A log-binomial maximum on the boundary is a sign that the log model may not hold; then these limits are far too "
    "narrow. Set modified_poisson or a standardised method beside it."
)
EXACT = 1e-10  # a standard error below this is that of a fit without residuals


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Asking:
    """A question ready to be answered: its rows, its variance, its level of confidence."""

    frame: ModelFrame
    choice: Choice
    conf_level: float

    @property
    def z(self) -> float:
        """The normal quantile of the intervals."""
        return critical_value(self.conf_level)

    def row(self, estimand: str, method: str) -> Estimate:
        """The row every estimate of this question starts from."""
        return Estimate(
            analysis="",
            exposure=self.frame.exposure_name,
            model="adjusted" if self.frame.covariates else "crude",
            estimand=estimand,
            method=method,
            variance=self.choice.name,
        )

    def said(self) -> list[str]:
        """Sentences about the rows and the variance."""
        return [*self.frame.sentences, *self.choice.sentences]


def with_levels(asking: Asking) -> Asking:
    """The question with a 0/1 number as exposure turned into a factor of the levels 0 and 1.

    Raises UsageFault for another numeric exposure.
    """
    frame = asking.frame
    exposure = frame.exposure
    if isinstance(exposure, Factor):
        return asking
    if not isinstance(exposure, Linear) or not np.isin(frame.columns[exposure.name], (0.0, 1.0)).all():
        raise UsageFault(
            f"This method compares categories, but {frame.exposure_name} enters as a number; "
            f"write categories({frame.exposure_name!r}, quantiles=4) or give limits."
        )
    factor = Factor(exposure.name, (0.0, 1.0), ("0", "1"))
    return replace(asking, frame=replace(frame, exposure=factor, levels=factor.labels))


def curved(frame: ModelFrame) -> bool:
    """Whether the exposure stands in another term too (a product, a power): no coefficient alone is its ratio."""
    return any(frame.exposure.name in variables_of(term) for term in frame.covariates)


def refuse_curved(frame: ModelFrame) -> None:
    """Raises UsageFault for a `curved` exposure."""
    if curved(frame):
        raise UsageFault(
            f"{frame.exposure_name} stands in a product or a power too, so no single ratio describes it; use "
            "standardised_risks(...) for ratios averaged over everyone, interaction(...) or dose_response(...)."
        )


def fit_by(method: str, frame: ModelFrame, design: Design | None = None) -> Fit:
    """The fit of a regression method on a frame. Raises ModelFault if it yields nothing to report."""
    design = design or frame.design()
    with as_faults():
        fit = _fitted(method, frame, design)
    if not fit.converged:
        raise ModelFault(fit.warnings or f"The {method} model gives no estimate.")
    return fit


def _fitted(method: str, frame: ModelFrame, design: Design) -> Fit:
    if method == "case_duplication":
        return case_duplication(design, frame.y, weights=frame.weights)
    if method in ("bias_reduced_poisson", "firth_logistic"):
        kind = "modified_poisson" if method == "bias_reduced_poisson" else "logistic"
        return bias_reduced(kind, design, frame.y, weights=frame.weights)
    return fit_model(method, design, frame.y, weights=frame.weights)


def level_counts(frame: ModelFrame) -> tuple[LevelCount, ...]:
    """People and events by level of the exposure, in the order of the levels; the code is that of the factor."""
    exposure = frame.exposure
    assert isinstance(exposure, Factor)
    codes = frame.columns[exposure.name]
    out = []
    for label in frame.levels:
        code = exposure.levels[exposure.labels.index(label)] if label in exposure.labels else -1.0
        here = codes == code
        out.append(LevelCount(code, label, int(here.sum()), int(frame.y[here].sum())))
    return tuple(out)


def ratios_of(asking: Asking, fit: Fit, method: str, covariance: FloatArray) -> list[Estimate]:
    """Rows of the exposure's coefficients: by level, or per unit of a numeric exposure."""
    exposure = asking.frame.exposure
    row = asking.row(ESTIMANDS[method], method)
    covariances = {asking.choice.name: covariance}
    if isinstance(exposure, Factor):
        made = level_ratios(fit, exposure, level_counts(asking.frame), covariances, row=row, z=asking.z)
    else:
        assert isinstance(exposure, Linear)
        level = f"per {exposure.per:g}"
        made = per_unit(fit, exposure, covariances, row=replace(row, level=level), z=asking.z, log_scale=False)
    return [_with_df(asking, fit, r) for r in made]


def _with_df(asking: Asking, fit: Fit, row: Estimate) -> Estimate:
    if asking.choice.limits == "normal" or row.std_error is None:
        return row
    exposure = asking.frame.exposure
    columns = fit.design.columns_of[exposure]
    column = columns[exposure.labels.index(row.level) - 1] if isinstance(exposure, Factor) else columns[0]
    contrast = np.zeros(fit.parameters)
    contrast[fit.position((column,))[0]] = 1.0
    return with_t_limits(row, asking.choice.df(fit, contrast), asking.conf_level)


def regression(
    asking: Asking,
    method: str,
    *,
    fit: Fit | None = None,
    tried: tuple[str, ...] = (),
    correlation: str | None = None,
) -> Estimates:
    """Estimates of one regression method; with `correlation` by generalised estimating equations."""
    if not isinstance(asking.frame.exposure, (Factor, Linear)):
        raise UsageFault(
            f"{asking.frame.exposure_name} enters as a curve, so no single ratio describes it; use dose_response(...)."
        )
    refuse_curved(asking.frame)
    asking = _with_own_variance(asking, method)
    said, details = asking.said(), dict[str, Any]()
    if correlation is not None:
        made = _by_equations(asking, method, correlation)
        fit, details = made.fit, {"correlation": correlation, "alpha": made.alpha, "scale": made.phi}
        if asking.choice.name == "cluster":
            asking = replace(asking, choice=replace(asking.choice, name="CR0", sentences=()))
            said = [*asking.said(), "The variance of the estimating equations is CR0, their plain sandwich."]
    fit = fit or fit_by(method, asking.frame)
    with as_faults():
        covariance = asking.choice.covariance(fit)
    if fit.wald and not np.isfinite(covariance).all():
        raise ModelFault(f"{method} has no variance {asking.choice.name}; choose HC0, stata or a cluster variance.")
    rows, more = _without_cases(asking, method, ratios_of(asking, fit, method, covariance))
    said += [*more, *profile_sentences(rows)]
    if fit.boundary and method == "log_binomial":
        said.append(BOUNDARY)
    if fit.boundary and not asking.frame.has_likelihood:
        rows = [replace(row, conf_low=None, conf_high=None, p_value=None) for row in rows]
        said.append(
            "No limits: on the boundary they are by profile likelihood, which knows no weights, clusters or survey "
            "design; choose modified_poisson or a standardised method."
        )
    model = fitted_model(fit, asking.choice.name, covariance)
    if np.isfinite(asking.choice.groups_df()):
        details["df"] = asking.choice.groups_df()  # without missing data, for pooling
    return estimates(rows, fit=model, said=[*said, *_no_ratio(asking, fit)], tried=tried, details=details)


def _with_own_variance(asking: Asking, method: str) -> Asking:
    """Bias-reduced fits have the model's variance unless another is named: a sandwich is far too narrow for few events.

    Where a level has no events its residuals all but vanish, and with them the sandwich (coverage of 21 to 27 %).
    """
    weighted = asking.frame.weights is not None
    if weighted and asking.choice.name.startswith("model"):
        said = "The variance `model` takes weights as numbers of people; for sampling weights choose HC0 or survey."
        return replace(asking, choice=replace(asking.choice, sentences=(*asking.choice.sentences, said)))
    if method not in BIAS_REDUCED or asking.choice.name != "HC0" or weighted:
        return asking
    said = "The variance of the bias-reduced fit is the model's (a sandwich is too narrow where events are few)."
    choice = replace(asking.choice, name="model", sentences=(*asking.choice.sentences, said))
    return replace(asking, choice=choice)


def _without_cases(asking: Asking, method: str, rows: list[Estimate]) -> tuple[list[Estimate], list[str]]:
    """Bias-reduced ratios of (or against) a level without cases have no robust limits; nor has an exact fit any."""
    reference = next((r for r in rows if r.level == r.reference), None)
    said, out = [], []
    for row in rows:
        empty = row.events == 0 or (reference is not None and reference.events == 0)
        bare = replace(row, std_error=None, conf_low=None, conf_high=None, p_value=None)
        if method in BIAS_REDUCED and empty and row.std_error is not None and row.variance != "model":
            said.append(f"{row.level}: no limits, as a level without cases leaves nothing to variance {row.variance}.")
            row = bare
        elif row.std_error is not None and row.std_error < EXACT:
            said.append(f"{row.level}: no limits, as the model fits these people exactly.")
            row = replace(bare, estimate=None)
        out.append(row)
    return out, said


def _by_equations(asking: Asking, method: str, correlation: str) -> Gee:
    frame, allowed = asking.frame, ("cluster", "CR0", "CR1", "CR1S")
    faults = []
    if method not in ("modified_poisson", "logistic"):
        faults.append(f"`correlation` is for modified_poisson and logistic, not for {method}.")
    if frame.cluster is None or frame.cluster.ndim > 1:
        faults.append("`correlation` needs `cluster`, one column that says which rows belong together.")
    elif asking.choice.name not in allowed:
        faults.append(f"`variance` with `correlation` is one of {', '.join(allowed)}, got {asking.choice.name!r}.")
    if correlation not in get_args(Correlation):
        faults.append(f"`correlation` must be one of {', '.join(get_args(Correlation))}, got {correlation!r}.")
    if faults:
        raise UsageFault(faults)
    assert frame.cluster is not None
    with as_faults():
        made = gee(
            method,
            frame.design(),
            frame.y,
            frame.cluster,
            correlation=correlation,  # type: ignore[arg-type]
            weights=frame.weights,
        )
    if not made.fit.converged:
        raise ModelFault(made.fit.warnings or "The estimating equations have no solution; choose independence.")
    return made


def _no_ratio(asking: Asking, fit: Fit) -> list[str]:
    exposure = asking.frame.exposure
    if exposure in fit.no_reference and isinstance(exposure, Factor):
        return [f"The reference {exposure.labels[0]} has no cases, so no ratio against it is estimable."]
    return []
