"""Probabilistic bias analysis of covariate-adjusted ratios of several exposure levels at once, from their estimates.

Levels 0 (reference), 1, ..., K. Adjusted log ratios b (K,) with covariance V (K, K) come from any model; each draw of
the bias parameters gives a log bias (K,), which is taken off; a normal deviate with covariance V is then taken off too
(systematic and random error):

    unmeasured binary confounder, ratio g with the outcome, prevalence p_k at level k
        bias_k = (g p_k + 1 - p_k)/(g p_0 + 1 - p_0)
    selection with probability s_ky at level k and outcome y, observed risk r_k
        risk before it  R_k = (r_k/s_k1)/(r_k/s_k1 + (1 - r_k)/s_k0),  bias_k = (r_k/r_0)/(R_k/R_0)

The first is exact for a model that is multiplicative in risks, if the confounder is independent of the covariates
within levels of the exposure and has the same ratio everywhere. The second is exact without covariates (an odds ratio
has s_k1 s_00/(s_k0 s_01) with them too); with covariates `confounding_records` weights the records instead. Draws
that would need a risk above 1 contradict the data: they are set aside and counted.

References: Fox, MacLehose & Lash 2021, doi 10.1007/978-3-030-82673-4; Schneeweiss 2006, doi 10.1002/pds.1200;
Greenland 2005, doi 10.1111/j.1467-985X.2004.00349.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.sensitivity.confounding import possible_risks
from walkrisk.sensitivity.priors import Prior
from walkrisk.sensitivity.probabilistic_bias import Simulated, simulated

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FEWEST = 100  # draws of which limits are given


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConfounderDraws:
    """Draws of a confounder: `association` (D,), `prevalence` (D, K + 1), `log_bias` (D, K), which are `possible`."""

    association: FloatArray
    prevalence: FloatArray
    log_bias: FloatArray
    possible: BoolArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SelectionDraws:
    """Draws of selection: `probability` (D, K + 1, 2) without and with the outcome, `log_bias` (D, K), `possible`."""

    probability: FloatArray
    log_bias: FloatArray
    possible: BoolArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CorrectedRatios:
    """Ratios of K levels after a probabilistic bias analysis, by systematic error alone and with random error.

    `systematic` and `total` summarise the columns of `ratios` and `ratios_total` (D', K), the possible draws.
    """

    draws: int
    impossible: int
    systematic: tuple[Simulated, ...]
    total: tuple[Simulated, ...]
    ratios: FloatArray
    ratios_total: FloatArray


def draw_together(
    priors: Sequence[Prior], draws: int, rng: np.random.Generator, *, correlation: float = 0.0
) -> FloatArray:
    """Draws (D, k) of k priors whose normal scores all have the same `correlation`: sqrt(c) Z + sqrt(1 - c) Z_j.

    Each column follows its own prior (a Gaussian copula). Raises ValueError for a correlation outside 0 to 1.
    """
    from scipy import special

    if not 0 <= correlation <= 1:
        raise ValueError(f"The correlation of several priors lies between 0 and 1, not {correlation:g}.")
    common, own = rng.standard_normal((draws, 1)), rng.standard_normal((draws, len(priors)))
    scores = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    u = np.clip(special.ndtr(scores), 1e-16, 1 - 1e-16)
    return np.column_stack([prior.quantile(u[:, j]) for j, prior in enumerate(priors)])


def confounder_draws(
    *,
    association: Prior,
    prevalence: Sequence[Prior],
    risks: FloatArray,
    draws: int,
    rng: np.random.Generator,
    correlation: float = 0.0,
) -> ConfounderDraws:
    """Draws of a binary confounder: its ratio with the outcome, and its prevalence at each of K + 1 levels.

    `risks` (K + 1,) are the observed risks of the levels, which say what is possible; `correlation` is that of the
    prevalences. Raises ValueError for priors that leave 0 to 1 (prevalence) or are not positive (association).
    """
    if len(prevalence) != len(risks):
        raise ValueError(f"There are {len(risks)} exposure levels, but {len(prevalence)} priors of prevalence.")
    p = _shares(draw_together(prevalence, draws, rng, correlation=correlation), "prevalence of the confounder")
    g = draw_together([association], draws, rng)[:, 0]
    if not (g > 0).all():
        raise ValueError("The association of a confounder with the outcome is a positive ratio; its prior is not.")
    mixed = np.log(g[:, None] * p + 1 - p)
    possible: BoolArray = np.all(possible_risks(g[:, None], p, risks), axis=1)
    return ConfounderDraws(association=g, prevalence=p, log_bias=mixed[:, 1:] - mixed[:, :1], possible=possible)


def selection_draws(
    *,
    with_outcome: Sequence[Prior],
    without_outcome: Sequence[Prior],
    risks: FloatArray,
    draws: int,
    rng: np.random.Generator,
    correlation: float = 0.0,
) -> SelectionDraws:
    """Draws of selection probabilities at each of K + 1 levels, with and without the outcome.

    `risks` (K + 1,) are the observed risks of the levels; `correlation` is that of all probabilities. A probability of
    0 is impossible, as people of that kind are here. Raises ValueError for priors that leave 0 to 1.
    """
    k = len(risks)
    if len(with_outcome) != k or len(without_outcome) != k:
        raise ValueError(f"There are {k} exposure levels; give a prior with and without the outcome for each.")
    drawn = draw_together([*without_outcome, *with_outcome], draws, rng, correlation=correlation)
    s = _shares(drawn, "selection probability").reshape(draws, 2, k).transpose(0, 2, 1)
    possible: BoolArray = np.all(s > 0, axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        cases = risks / s[:, :, 1]
        before = np.log(cases / (cases + (1 - risks) / s[:, :, 0]))
        observed = np.log(risks)
        log_bias = (observed[1:] - observed[0]) - (before[:, 1:] - before[:, :1])
    return SelectionDraws(probability=s, log_bias=log_bias, possible=possible)


def corrected_ratios(
    log_ratios: FloatArray,
    covariance: FloatArray,
    log_bias: FloatArray,
    possible: BoolArray,
    rng: np.random.Generator,
    *,
    conf_level: float = 0.95,
) -> CorrectedRatios:
    """Ratios of K levels with the bias of each draw (D, K) taken off, and with random error of `covariance` (K, K).

    The draws are correlated across levels as the estimates are. Raises ValueError if fewer than 100 draws are possible.
    """
    impossible = int((~possible).sum())
    require_possible(len(possible), impossible)
    systematic = log_ratios - log_bias[possible]
    total = systematic - random_error(covariance, len(systematic), rng)
    return summarised(systematic, total, impossible=impossible, conf_level=conf_level)


def summarised(systematic: FloatArray, total: FloatArray, *, impossible: int, conf_level: float) -> CorrectedRatios:
    """Medians and limits of log ratios (D', K) by systematic error alone and with random error."""
    ratios, ratios_total = np.exp(systematic), np.exp(total)
    return CorrectedRatios(
        draws=len(systematic) + impossible,
        impossible=impossible,
        systematic=tuple(simulated(v, conf_level) for v in ratios.T),
        total=tuple(simulated(v, conf_level) for v in ratios_total.T),
        ratios=ratios,
        ratios_total=ratios_total,
    )


def random_error(covariance: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Normal deviates (D, K) with a covariance (K, K), which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(rng.standard_normal((draws, len(values))) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T)


def require_possible(draws: int, impossible: int) -> None:
    """Raises ValueError if fewer than 100 draws agree with the data."""
    if draws - impossible < FEWEST:
        raise ValueError(
            f"{impossible} of {draws} draws of the bias parameters contradict the data (they would need a risk above 1 "
            f"or a selection probability of 0), which leaves fewer than {FEWEST} for limits; take priors of a weaker "
            "association or of prevalences nearer to each other, or more draws."
        )


def _shares(values: FloatArray, name: str) -> FloatArray:
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"A prior of a {name} must stay between 0 and 1.")
    return values
