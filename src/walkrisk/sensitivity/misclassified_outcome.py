"""Misclassification of the outcome in an adjusted model: ratios of true risks from answers that are sometimes wrong.

y* is the answer, Y the truth, Se = P(y* = 1 | Y = 1) and Sp = P(y* = 0 | Y = 0), which may differ between people (by
category of the exposure, say) but not otherwise with anything in the model. With d = Se + Sp - 1 > 0:

    E[y* | x] = (1 - Sp) + d p(x),  log p(x) = x'b

    score       sum x_i ((y*_i - (1 - Sp_i)) / d_i - exp(x_i'b)) = 0: modified Poisson on what the answer is worth
    likelihood  sum y* log(pi) + (1 - y*) log(1 - pi), pi = (1 - Sp) + d exp(x'b), over p < 1

The score is unbiased whatever the variance, and needs no p below 1; the likelihood uses the binomial law (Neuhaus 1999)
and has a smaller variance. Without covariates both are the corrected 2x2 table. Variances are sandwiches with the
corrected residual. Se and Sp that give a category no true cases or fewer contradict the data: there is no maximum.

References: Magder & Hughes 1997, doi 10.1093/oxfordjournals.aje.a009251; Neuhaus 1999, doi 10.1093/biomet/86.4.843;
for drawing Se and Sp: Fox, Lash & Greenland 2005, doi 10.1093/ije/dyi184.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.models.covariance import SurveyDesign, influence_covariance
from walkrisk.models.fit import Fit
from walkrisk.models.solver import POISSON, gram, inverse_information, maximise
from walkrisk.sensitivity.priors import Prior, draw
from walkrisk.sensitivity.quantiles import median_and_limits

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ESTIMATORS = ("score", "likelihood")
MOST_STEPS = 200
EDGE = 1 - 1e-6  # a true risk above this is on the edge of the log-binomial model


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Corrected:
    """Coefficients (p,) of true risks, their influence (n, p) and inverse information (p, p); or why there are none.

    `expected_cases` is the number of true cases that the answers imply, sum of (y* - (1 - Sp)) / d. `sentence` is empty
    for a sound fit.
    """

    coefficients: FloatArray
    influence: FloatArray
    bread: FloatArray
    expected_cases: float
    converged: bool
    sentence: str = ""

    def covariance(
        self, like: Fit, variance: str, *, cluster: npt.NDArray[Any] | None = None, design: SurveyDesign | None = None
    ) -> FloatArray:
        """Covariance (p, p), with the factor and sums (clusters, PSUs) of `variance` as of the fit `like`.

        Leverages are not taken account of: HC2 and HC3 are HC0 here. `model` is the inverse information of the
        likelihood. Raises ValueError as `models.covariance` does.
        """
        if variance.startswith("model"):
            return self.bread
        return influence_covariance(self.influence, like, variance, cluster=cluster, design=design)


def correct_outcome(
    x: FloatArray,
    y: FloatArray,
    sensitivity: FloatArray | float,
    specificity: FloatArray | float,
    *,
    weights: FloatArray | None = None,
    estimator: str = "score",
    start: FloatArray | None = None,
) -> Corrected:
    """The log-link model of true risks, design x (n, p) with the intercept first, answers y (n,), Se and Sp known.

    Se and Sp are numbers, or (n,) by person. Raises ValueError for probabilities outside 0 to 1, Se + Sp of 1 or less,
    or an unknown estimator.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; choose from {', '.join(ESTIMATORS)}")
    w = np.ones(len(y)) if weights is None else weights
    floor, d = _classification(sensitivity, specificity, len(y))
    worth = (y - floor) / d
    cases = float(w @ worth)
    if cases <= 0:
        return _none(x, cases, _too_many(float(w @ y), float(w @ floor)))
    found = None if _impossible(x, w * worth) else maximise(POISSON, x, worth, weights=w, start=start)
    if found is None or not found.converged:
        return _none(x, cases, _no_maximum())
    beta = found.coefficients
    if estimator == "likelihood":
        return _likelihood(x, y, w, floor, d, beta, cases)
    mean = np.exp(x @ beta)
    bread = inverse_information(POISSON, x, worth, x @ beta, w)
    influence = (x * (w * (worth - mean))[:, None]) @ bread
    return Corrected(coefficients=beta, influence=influence, bread=bread, expected_cases=cases, converged=True)


def _classification(se: FloatArray | float, sp: FloatArray | float, n: int) -> tuple[FloatArray, FloatArray]:
    """1 - Sp and Se + Sp - 1, each (n,)."""
    both = [np.broadcast_to(np.asarray(v, dtype=np.float64), (n,)) for v in (se, sp)]
    if not all(((v >= 0) & (v <= 1)).all() for v in both):
        raise ValueError("Sensitivity and specificity lie between 0 and 1.")
    d = both[0] + both[1] - 1
    if not (d > 0).all():
        raise ValueError(
            "Sensitivity and specificity must add up to more than 1: answers that are no better than chance say "
            "nothing about the truth."
        )
    return 1 - both[1], d


def _impossible(x: FloatArray, worth: FloatArray) -> bool:
    """Whether the people of a 0/1 column (a category) have no true cases or fewer, which no model can fit."""
    indicator = ((x == 0) | (x == 1)).all(axis=0)
    return bool((worth @ x[:, indicator] <= 0).any())


def _too_many(observed: float, false: float) -> str:
    return (
        f"This specificity makes {false:,.0f} false cases, and {observed:,.0f} were observed in all, so no true ones "
        "would be left; a specificity above 1 less the observed risk is needed."
    )


def _no_maximum() -> str:
    return (
        "With this sensitivity and specificity a category would hold no true cases or fewer, so the model has no "
        "estimate; a higher specificity, or one that differs between categories, is compatible with the data."
    )


def _none(x: FloatArray, cases: float, sentence: str) -> Corrected:
    n, p = x.shape
    return Corrected(
        coefficients=np.full(p, np.nan),
        influence=np.full((n, p), np.nan),
        bread=np.full((p, p), np.nan),
        expected_cases=cases,
        converged=False,
        sentence=sentence,
    )


def _likelihood(
    x: FloatArray, y: FloatArray, w: FloatArray, floor: FloatArray, d: FloatArray, beta: FloatArray, cases: float
) -> Corrected:
    """Fisher scoring with step halving from the solution of the score, drawn into p < 1."""
    top = float((x @ beta).max())
    if top >= 0:
        beta = beta.copy()
        beta[0] -= top + 0.01

    def parts(b: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        p = np.exp(x @ b)
        if p.max() >= 1:
            return -np.inf, p, p
        pi = floor + d * p
        value = float(w @ (np.where(y == 1, np.log(pi), np.log1p(-pi))))
        return value, (y - pi) / (pi * (1 - pi)) * d * p, (d * p) ** 2 / (pi * (1 - pi))

    value, slope, information = parts(beta)
    step, moved = np.zeros_like(beta), np.inf
    for _ in range(MOST_STEPS):
        try:
            step = np.asarray(np.linalg.solve(gram(x, w * information), x.T @ (w * slope)), dtype=np.float64)
        except np.linalg.LinAlgError:
            return _none(x, cases, _no_maximum())
        moved, size = float(np.abs(x @ step).max()), 1.0
        while size > 1e-10:
            new = parts(beta + size * step)
            if new[0] >= value - 1e-12 * abs(value):
                break
            size /= 2
        if size <= 1e-10:
            break
        beta = beta + size * step
        value, slope, information = new
        if moved < 1e-9:
            break
    if moved >= 1e-6 or np.exp(x @ beta).max() > EDGE:
        return _none(
            x,
            cases,
            "The likelihood of true risks has its maximum where one of them is 1, so no variance holds; choose the "
            "estimator score.",
        )
    bread = np.asarray(np.linalg.inv(gram(x, w * information)), dtype=np.float64)
    influence = (x * (w * slope)[:, None]) @ bread
    return Corrected(coefficients=beta, influence=influence, bread=bread, expected_cases=cases, converged=True)


# ---------------------------------------------------------------- reliability of an item


def kappa_of(sensitivity: FloatArray | float, specificity: FloatArray | float, observed: float) -> FloatArray:
    """Kappa of two answers, independent given the truth, each of this Se and Sp, where a share `observed` says yes.

    With q the share that says yes and p the true one, P(both yes) - q^2 = p (1 - p)(Se + Sp - 1)^2, so that

        kappa = p (1 - p)(Se + Sp - 1)^2 / (q (1 - q)) = (Se - q)(Sp - (1 - q)) / (q (1 - q))
    """
    q = observed
    return np.asarray((np.asarray(sensitivity) - q) * (np.asarray(specificity) - (1 - q)) / (q * (1 - q)))


def sensitivity_of_kappa(kappa: FloatArray | float, specificity: FloatArray | float, observed: float) -> FloatArray:
    """The sensitivity that a kappa, a specificity and a share of yes answers imply; above 1 where none does.

    Se = q + kappa q (1 - q) / (Sp - (1 - q)). Assumes as `kappa_of`: two equally good answers whose errors are
    independent given the truth, and no change in between (a change lowers kappa too, and Se would then be higher).
    """
    q = _share(observed)
    with np.errstate(divide="ignore"):
        room = np.asarray(specificity, dtype=np.float64) - (1 - q)
        return np.asarray(np.where(room > 0, q + np.asarray(kappa) * q * (1 - q) / room, np.inf))


def lowest_specificity(kappa: FloatArray | float, observed: float) -> FloatArray:
    """The specificity at which a kappa implies a sensitivity of 1, 1 - q + kappa q; from here up to 1 all agree."""
    q = _share(observed)
    return np.asarray(1 - q + np.asarray(kappa, dtype=np.float64) * q)


def _share(observed: float) -> float:
    if not 0 < observed < 1:
        raise ValueError(f"A share of yes answers lies between 0 and 1, not at {observed:g}.")
    return observed


def draw_from_kappa(
    kappa: Prior, observed: float, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draws of Se and Sp (draws,) that agree with a prior of kappa: Sp evenly between its lowest and 1, Se as implied.

    Raises ValueError for a kappa outside 0 to 1.
    """
    k = draw(kappa, draws, rng)
    if k.min() <= 0 or k.max() > 1:
        raise ValueError("A kappa of an item that says something lies above 0 and up to 1.")
    low = lowest_specificity(k, observed)
    specificity = low + (1 - low) * rng.random(draws)
    return np.minimum(sensitivity_of_kappa(k, specificity, observed), 1.0), specificity


# ---------------------------------------------------------------- draws


def compatible_draws(
    x: FloatArray,
    y: FloatArray,
    sensitivity: FloatArray,
    specificity: FloatArray,
    *,
    group: npt.NDArray[np.intp] | None = None,
    weights: FloatArray | None = None,
) -> BoolArray:
    """Draws (draws,) of Se and Sp (draws, g) that leave true cases in every category of the design, without refitting.

    A necessary condition: Se + Sp > 1 and, for everyone and for each 0/1 column of x, more answers than false ones.
    """
    w = np.ones(len(y)) if weights is None else weights
    number = np.zeros(len(y), dtype=np.intp) if group is None else group
    indicator = x[:, ((x == 0) | (x == 1)).all(axis=0)]
    d = sensitivity + specificity - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.zeros((len(d), indicator.shape[1]))
        for g in range(d.shape[1]):
            rows = number == g
            yes, people = (w * y)[rows] @ indicator[rows], w[rows] @ indicator[rows]
            worth += (yes - (1 - specificity[:, [g]]) * people) / d[:, [g]]
    return np.asarray((d > 0).all(axis=1) & (worth > 0).all(axis=1))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CorrectedDraws:
    """Corrected coefficients (draws, e) of the columns asked for and their standard errors; NaN: set aside."""

    estimates: FloatArray
    std_errors: FloatArray

    @property
    def impossible(self) -> int:
        """Draws that contradict the data."""
        return int((~np.all(np.isfinite(self.estimates), axis=1)).sum())


def corrected_draws(
    x: FloatArray,
    y: FloatArray,
    sensitivity: FloatArray,
    specificity: FloatArray,
    columns: tuple[int, ...],
    *,
    group: npt.NDArray[np.intp] | None = None,
    weights: FloatArray | None = None,
    estimator: str = "score",
    covariance: Callable[[Corrected], FloatArray] | None = None,
) -> CorrectedDraws:
    """The corrected model refitted for each draw of Se and Sp (draws, g), g = 1, or by `group` (n,) 0 .. g-1.

    Standard errors are of `covariance` (p, p), by default sandwiches of persons. Draws with Se + Sp <= 1, or for which
    the model has no maximum, are NaN.
    """
    number = np.zeros(len(y), dtype=np.intp) if group is None else group
    out = np.full((len(sensitivity), len(columns)), np.nan)
    errors = np.full_like(out, np.nan)
    at, start = list(columns), None
    for i in np.flatnonzero(np.all(sensitivity + specificity > 1, axis=1)):
        se, sp = sensitivity[i][number], specificity[i][number]
        found = correct_outcome(x, y, se, sp, weights=weights, estimator=estimator, start=start)
        if not found.converged:
            continue
        variance = (found.influence**2).sum(axis=0) if covariance is None else np.diag(covariance(found))
        out[i], errors[i] = found.coefficients[at], np.sqrt(variance[at])
        start = found.coefficients
    return CorrectedDraws(estimates=out, std_errors=errors)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Distribution:
    """Quantiles (median, low, high) (3, e) on the scale of the draws, and their Monte Carlo standard errors (3, e).

    `systematic` by the draws of Se and Sp alone, `total` with random error. `kept` draws of `draws`.
    """

    systematic: FloatArray
    total: FloatArray
    monte_carlo: FloatArray
    draws: int
    kept: int


def distribution_of(found: CorrectedDraws, rng: np.random.Generator, *, conf_level: float = 0.95) -> Distribution:
    """The distribution of corrected coefficients, each with a normal deviate of its own standard error added.

    Monte Carlo standard errors are those of `quantiles.median_and_limits`, of the draws that are compatible.
    Raises ValueError if fewer than 10 draws are compatible with the data.
    """
    fine = np.all(np.isfinite(found.estimates) & np.isfinite(found.std_errors), axis=1)
    kept = int(fine.sum())
    if kept < 10:
        raise ValueError(
            f"{len(fine) - kept} of {len(fine)} draws of sensitivity and specificity contradict the data (a category "
            "would hold no true cases or fewer); take priors with a higher specificity."
        )
    values = found.estimates[fine]
    total = values + rng.standard_normal((kept, 1)) * found.std_errors[fine]
    limits, errors = median_and_limits(total, conf_level)
    return Distribution(
        systematic=median_and_limits(values, conf_level)[0],
        total=limits,
        monte_carlo=errors,
        draws=len(fine),
        kept=kept,
    )
