"""Probabilistic bias analysis of a 2x2 table: the distribution of the corrected ratio, from priors of bias parameters.

Each draw of the parameters corrects the table as `bias` does (systematic error); a normal deviate with the standard
error of the log ratio is then added (systematic and random error). Draws that would need a cell that is not positive
contradict the table: they are set aside and counted.

`random_error` "corrected" (the default) takes the standard error of the corrected ratio of each draw; "conventional"
that of the observed ratio, as in Fox, Lash & Greenland 2005, doi 10.1093/ije/dyi184, and episensr's `probsens`. The
latter is too small: dividing by Se + Sp - 1 spreads the estimate too (Chu et al. 2006,
doi 10.1016/j.annepidem.2006.04.001).

The draws of a classification (`draw_classification`) are apart from what a table makes of them, for other uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.sensitivity.bias import misclassification_map, scaled_measures, table_measures
from walkrisk.sensitivity.priors import Prior, PriorPair, draw, draw_pair
from walkrisk.sensitivity.quantiles import median_and_limits

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RANDOM_ERROR = ("corrected", "conventional")
CHUNK = 50_000  # draws at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Median and simulation limits of a distribution, and the Monte Carlo standard error of each of the three."""

    median: float
    low: float
    high: float
    error_of_median: float
    error_of_low: float
    error_of_high: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BiasDistribution:
    """Corrected ratios of a probabilistic bias analysis, by systematic error alone and (`_total`) with random error.

    `draws` were made, `impossible` of them set aside. `risk_ratios` and `odds_ratios` (draws - impossible,) are the
    corrected ones, in the order of the draws.
    """

    draws: int
    impossible: int
    conf_level: float
    risk_ratio: Simulated
    risk_ratio_total: Simulated
    odds_ratio: Simulated
    odds_ratio_total: Simulated
    risk_ratios: FloatArray
    odds_ratios: FloatArray
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """Draws (draws, 2) of sensitivity and specificity in two groups: of the outcome, or of the exposure."""

    sensitivity: FloatArray
    specificity: FloatArray


def draw_classification(
    sensitivity: PriorPair,
    specificity: PriorPair,
    draws: int,
    rng: np.random.Generator,
    *,
    correlation: float | None = None,
    correlation_specificity: float | None = None,
    dependence: str = "normal",
) -> Classification:
    """Draws of sensitivity and specificity: one prior each if the same in both groups, or a pair with its correlation.

    `correlation_specificity` is `correlation` if not given. Raises ValueError as `draw_pair` does, or for a prior that
    leaves 0 to 1.
    """
    se = draw_pair(sensitivity, draws, rng, correlation=correlation, dependence=dependence)
    also = correlation if correlation_specificity is None else correlation_specificity
    sp = draw_pair(specificity, draws, rng, correlation=also, dependence=dependence)
    return Classification(_probabilities(se, "sensitivity"), _probabilities(sp, "specificity"))


def probabilistic_misclassification(
    table: npt.ArrayLike,
    *,
    of: str,
    sensitivity: PriorPair,
    specificity: PriorPair,
    rng: np.random.Generator,
    draws: int = 100_000,
    correlation: float | None = None,
    correlation_specificity: float | None = None,
    dependence: str = "normal",
    random_error: str = "corrected",
    conf_level: float = 0.95,
) -> BiasDistribution:
    """The distribution of ratios corrected for misclassification of the "exposure" or "outcome".

    Pairs of priors are, for the exposure, those of people with and without the outcome, for the outcome those of
    exposed and unexposed (then differential, with a `correlation`). Draws with Se + Sp <= 1 are impossible too. Raises
    ValueError for impossible arguments, or if no draw is possible.
    """
    cells = _check(table, draws, random_error)
    made = draw_classification(
        sensitivity,
        specificity,
        draws,
        rng,
        correlation=correlation,
        correlation_specificity=correlation_specificity,
        dependence=dependence,
    )
    informative: BoolArray = np.all(made.sensitivity + made.specificity > 1, axis=1)
    values, errors = np.full((draws, 2), np.nan), np.full((draws, 2), np.nan)
    for start in range(0, draws, CHUNK):
        part = slice(start, start + CHUNK)
        maps = misclassification_map(of, made.sensitivity[part], made.specificity[part])
        values[part], errors[part] = _corrected(maps, cells, informative[part])
    return _distribution(table, values, errors, rng, random_error, conf_level)


def probabilistic_selection(
    table: npt.ArrayLike,
    *,
    probabilities: tuple[Prior, Prior, Prior, Prior],
    rng: np.random.Generator,
    draws: int = 100_000,
    random_error: str = "corrected",
    conf_level: float = 0.95,
) -> BiasDistribution:
    """The distribution of ratios corrected for selection, with priors of the selection probability of each cell.

    In the order of the table: with the outcome exposed, unexposed; without it exposed, unexposed. Drawn independently.
    Raises ValueError for impossible arguments, or if no draw is possible.
    """
    cells = _check(table, draws, random_error)
    p = np.column_stack([draw(prior, draws, rng) for prior in probabilities])
    if p.shape[1] != 4:
        raise ValueError("Selection needs four priors, one for each cell of the table.")
    p = _probabilities(p, "selection probability")
    maps = np.zeros((draws, 4, 4))
    with np.errstate(divide="ignore"):
        maps[:, range(4), range(4)] = 1 / p
    values, errors = _corrected(maps, cells, np.all(p > 0, axis=1))
    return _distribution(table, values, errors, rng, random_error, conf_level)


def probabilistic_confounder(
    table: npt.ArrayLike,
    *,
    association: Prior,
    prevalence_exposed: Prior,
    prevalence_unexposed: Prior,
    rng: np.random.Generator,
    draws: int = 100_000,
    correlation: float = 0.0,
    dependence: str = "normal",
    conf_level: float = 0.95,
) -> BiasDistribution:
    """The distribution of ratios adjusted for a binary unmeasured confounder.

    `association` is the risk ratio of confounder and outcome, prevalences those among exposed and unexposed, with the
    `correlation` of their scores. The odds ratio is the standardised one of the same two tables. Random error has the
    standard error of the observed ratio: the correction of a risk ratio is a factor that the counts are not part of.
    Raises ValueError for impossible arguments, or if no draw is possible.
    """
    cells = _check(table, draws, "conventional")
    pair = (prevalence_exposed, prevalence_unexposed)
    p = draw_pair(pair, draws, rng, correlation=correlation, dependence=dependence)
    p = _probabilities(p, "prevalence of the confounder")
    g = draw(association, draws, rng)
    a, b, c, d = cells
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = g[:, None] * p + 1 - p
        a1, b1 = g * p[:, 0] * a / mixed[:, 0], g * p[:, 1] * b / mixed[:, 1]
        c1, d1 = p[:, 0] * (a + c) - a1, p[:, 1] * (b + d) - b1
        parts = np.column_stack([a1, b1, c1, d1, a - a1, b - b1, c - c1, d - d1])
        possible = (g > 0) & np.all(parts >= 0, axis=1)
        risks = np.column_stack([g * b, np.full(draws, b)]) / mixed[:, 1:] / (b + d)  # unexposed with, without it
        expected = np.column_stack([c1, c - c1]) * risks / (1 - risks)
        ratio = a * (b + d) / (b * (a + c)) * mixed[:, 1] / mixed[:, 0]
        values = np.log(np.column_stack([ratio, a / expected.sum(axis=1)]))
    values[~possible] = np.nan
    return _distribution(table, values, np.zeros_like(values), rng, "conventional", conf_level)


def _corrected(maps: FloatArray, cells: FloatArray, possible: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Log risk and odds ratios (draws, 2) and standard errors, NaN where a draw is impossible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        corrected = maps @ cells
        possible = possible & (corrected > 0).all(axis=1)
        values, errors = scaled_measures(corrected, maps, cells)
    values[~possible] = np.nan
    return values[:, :2], errors[:, :2]


def _distribution(
    table: npt.ArrayLike,
    values: FloatArray,
    errors: FloatArray,
    rng: np.random.Generator,
    random_error: str,
    conf_level: float,
) -> BiasDistribution:
    kept: BoolArray = np.all(np.isfinite(values), axis=1)
    draws, impossible = len(kept), int((~kept).sum())
    if impossible == draws:
        raise ValueError(
            "No draw of the bias parameters is compatible with this table (every one gives a cell that is not "
            "positive); look at the priors: they may be of other people, or too pessimistic."
        )
    observed = table_measures(table, conf_level=conf_level)
    usual = np.array([observed.risk_ratio.std_error, observed.odds_ratio.std_error])
    spread = errors[kept] if random_error == "corrected" else usual
    systematic = values[kept]
    total = np.exp(systematic - rng.standard_normal(len(systematic))[:, None] * spread)
    ratios = np.exp(systematic)
    made = [simulated(v, conf_level) for v in (*ratios.T, *total.T)]
    said = (
        f"{impossible} of {draws} draws of the bias parameters contradict the table (a cell that is not positive) and "
        "were set aside; the distribution is that of the others."
    )
    return BiasDistribution(
        draws=draws,
        impossible=impossible,
        conf_level=conf_level,
        risk_ratio=made[0],
        odds_ratio=made[1],
        risk_ratio_total=made[2],
        odds_ratio_total=made[3],
        risk_ratios=ratios[:, 0],
        odds_ratios=ratios[:, 1],
        warnings=(said,) if impossible else (),
    )


def simulated(values: FloatArray, conf_level: float) -> Simulated:
    """Median and limits of draws (draws,) with their Monte Carlo standard errors, as `quantiles.median_and_limits`."""
    middle, error = median_and_limits(values, conf_level)
    return Simulated(
        median=float(middle[0]),
        low=float(middle[1]),
        high=float(middle[2]),
        error_of_median=float(error[0]),
        error_of_low=float(error[1]),
        error_of_high=float(error[2]),
    )


def _check(table: npt.ArrayLike, draws: int, random_error: str) -> FloatArray:
    if draws < 100:
        raise ValueError(f"A distribution needs at least 100 draws (100000 is usual), not {draws}.")
    if random_error not in RANDOM_ERROR:
        raise ValueError(f"unknown random error {random_error!r}; choose from {', '.join(RANDOM_ERROR)}")
    table_measures(table)
    return np.asarray(table, dtype=np.float64).ravel()


def _probabilities(values: FloatArray, name: str) -> FloatArray:
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"A prior of a {name} must stay between 0 and 1.")
    return values
