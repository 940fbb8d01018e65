"""Deterministic bias analysis of a 2x2 table: misclassification, selection, an unmeasured confounder.

A table holds people with (first row) and without the outcome, exposed (first column) and unexposed: a, b / c, d.
Corrected tables are linear in the observed one, so the limits of a corrected measure are those of the delta method with
the bias parameters held fixed: var = sum of cell x (derivative by that cell)^2.

References: Fox, MacLehose & Lash 2021, Applying Quantitative Bias Analysis to Epidemiologic Data,
doi 10.1007/978-3-030-82673-4; Chu et al. 2006, doi 10.1016/j.annepidem.2006.04.001 (limits of a corrected odds ratio);
Schlesselman 1978, doi 10.1093/oxfordjournals.aje.a112581 (confounder). episensr 1.3.0 has the same numbers, without
limits for corrected risk ratios; it refuses corrected cells below 1, and here only those that are not positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import critical_value

FloatArray = npt.NDArray[np.float64]
Pair = float | tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A ratio (`std_error` of its log) or a difference, with its limits."""

    estimate: float
    std_error: float
    conf_low: float
    conf_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The three measures of one 2x2 table."""

    risk_ratio: Measure
    odds_ratio: Measure
    risk_difference: Measure


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CorrectedTable:
    """A table as observed and as corrected (2, 2), with the measures of both."""

    observed_table: FloatArray
    corrected_table: FloatArray
    observed: Measures
    corrected: Measures


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConfounderCorrection:
    """What an unmeasured confounder leaves of one measure.

    Tables (2, 2) of people with and without the confounder; `adjusted` is the measure in each of them, and so also the
    standardised and the Mantel-Haenszel one. `bias` is observed / adjusted for ratios, observed - adjusted for
    differences.
    """

    measure: str
    with_confounder: FloatArray
    without_confounder: FloatArray
    observed: Measure
    adjusted: Measure
    bias: float


def table_measures(table: npt.ArrayLike, *, conf_level: float = 0.95) -> Measures:
    """Risk ratio, odds ratio and risk difference of a 2x2 table, with Wald limits (on the log scale for ratios).

    Raises ValueError for what is no table of positive counts.
    """
    cells = _cells(table)
    return _measures(cells, np.eye(4), cells, conf_level)


def correct_misclassification(
    table: npt.ArrayLike, *, of: str, sensitivity: Pair, specificity: Pair, conf_level: float = 0.95
) -> CorrectedTable:
    """The table that `sensitivity` and `specificity` of the "exposure" or of the "outcome" imply.

    One number each if they are the same for all, or a pair: for the exposure those of people with and without the
    outcome, for the outcome those of exposed and unexposed. Of n people of a group, x classified positive, (x - (1 -
    Sp) n)/(Se + Sp - 1) are so. Raises ValueError for probabilities outside 0 to 1, classification no better than
    chance, or a corrected cell that is not positive: then these parameters cannot have produced this table.
    """
    cells = _cells(table)
    se, sp = _pair(sensitivity, "sensitivity"), _pair(specificity, "specificity")
    if (se + sp <= 1).any():
        raise ValueError("Sensitivity and specificity must sum to more than 1: the classification tells nothing.")
    return _corrected(cells, misclassification_map(of, se, sp), conf_level)


def correct_selection(
    table: npt.ArrayLike, *, probabilities: npt.ArrayLike, conf_level: float = 0.95
) -> CorrectedTable:
    """The table before selection with `probabilities` (2, 2), in the cells of the table: each cell divided by its own.

    The bias of the odds ratio is p_a p_d/(p_b p_c). Raises ValueError for probabilities that are 0, or above 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != (2, 2) or not ((p > 0) & (p <= 1)).all():
        raise ValueError("Selection needs 2 x 2 probabilities above 0 and up to 1, one for each cell of the table.")
    return _corrected(_cells(table), np.diag(1 / p.ravel()), conf_level)


def correct_confounder(
    table: npt.ArrayLike,
    *,
    measure: str = "RR",
    association: float,
    prevalence_exposed: float,
    prevalence_unexposed: float,
    conf_level: float = 0.95,
) -> ConfounderCorrection:
    """What a binary unmeasured confounder, of the same effect in exposed and unexposed, leaves of a measure.

    `association` of confounder and outcome within levels of exposure, in the measure itself: RR, OR or RD (then a
    difference). Prevalences are those among the exposed and the unexposed; for OR, among those of them without the
    outcome. RR and OR are divided by (g p1 + 1 - p1)/(g p0 + 1 - p0), g (p1 - p0) is taken from RD. Raises ValueError
    for impossible parameters, or if they ask for a negative number of people.
    """
    if measure not in ("RR", "OR", "RD"):
        raise ValueError(f"unknown measure {measure!r} of a confounder analysis; choose from RR, OR, RD")
    g, p1, p0 = association, prevalence_exposed, prevalence_unexposed
    if not (0 <= p1 <= 1 and 0 <= p0 <= 1):
        raise ValueError("The prevalences of a confounder lie between 0 and 1.")
    if not math.isfinite(g) or (measure != "RD" and g <= 0):
        raise ValueError(
            "The association of a confounder with the outcome is a positive ratio, or for RD a difference."
        )
    cells = _cells(table)
    having = np.ravel([_with_confounder(measure, g, p, cells[at]) for p, at in ((p1, [0, 2]), (p0, [1, 3]))], "F")
    if min(having.min(), (cells - having).min()) < -1e-9 * cells.max():
        raise ValueError(
            "These parameters would put a negative number of people into a cell, so no such confounder can be behind "
            "this table; its association or prevalence must be smaller."
        )
    all_observed = table_measures(table, conf_level=conf_level)
    observed = {
        "RR": all_observed.risk_ratio,
        "OR": all_observed.odds_ratio,
        "RD": all_observed.risk_difference,
    }[measure]
    bias = g * (p1 - p0) if measure == "RD" else (g * p1 + 1 - p1) / (g * p0 + 1 - p0)
    return ConfounderCorrection(
        measure=measure,
        with_confounder=having.reshape(2, 2),
        without_confounder=(cells - having).reshape(2, 2),
        observed=observed,
        adjusted=_moved(observed, bias, measure),
        bias=bias,
    )


def misclassification_map(of: str, sensitivity: FloatArray, specificity: FloatArray) -> FloatArray:
    """The maps (..., 4, 4) from observed to corrected cells a, b, c, d, for sensitivities and specificities (..., 2).

    Any leading shape: one map for each draw of a probabilistic analysis. Raises ValueError for an unknown `of`.
    """
    if of not in ("exposure", "outcome"):
        raise ValueError(f"Misclassification is of the 'exposure' or of the 'outcome', not of {of!r}.")
    se, sp = np.broadcast_arrays(sensitivity, specificity)
    maps = np.zeros((*se.shape[:-1], 4, 4))
    groups = ((0, 1), (2, 3)) if of == "exposure" else ((0, 2), (1, 3))  # positive, negative of either group
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, (positive, negative) in enumerate(groups):
            gain = se[..., i] + sp[..., i] - 1
            maps[..., positive, positive] = sp[..., i] / gain
            maps[..., positive, negative] = -(1 - sp[..., i]) / gain
            maps[..., negative, positive] = -(1 - se[..., i]) / gain
            maps[..., negative, negative] = se[..., i] / gain
    return maps


def scaled_measures(corrected: FloatArray, maps: FloatArray, cells: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log risk ratio, log odds ratio and risk difference (..., 3) of corrected cells (..., 4), and standard errors.

    `maps` (..., 4, 4) leads from the observed `cells` (4,) to the corrected ones.
    """
    a, b, c, d = (corrected[..., i] for i in range(4))
    exposed, unexposed = a + c, b + d
    values = np.stack(
        [np.log(a / exposed) - np.log(b / unexposed), np.log(a * d) - np.log(b * c), a / exposed - b / unexposed], -1
    )
    gradients = np.stack(
        [
            np.stack([c / (a * exposed), -d / (b * unexposed), -1 / exposed, 1 / unexposed], -1),
            np.stack([1 / a, -1 / b, -1 / c, 1 / d], -1),
            np.stack([c / exposed**2, -d / unexposed**2, -a / exposed**2, b / unexposed**2], -1),
        ],
        -2,
    )
    return values, np.sqrt((gradients @ maps) ** 2 @ cells)


def _corrected(cells: FloatArray, map_: FloatArray, conf_level: float) -> CorrectedTable:
    corrected = map_ @ cells
    if not (corrected > 0).all():
        raise ValueError(
            "These parameters give a corrected cell that is not positive, so they cannot have produced this table; "
            "raise the sensitivity or specificity of the group concerned."
        )
    return CorrectedTable(
        observed_table=cells.reshape(2, 2),
        corrected_table=corrected.reshape(2, 2),
        observed=_measures(cells, np.eye(4), cells, conf_level),
        corrected=_measures(corrected, map_, cells, conf_level),
    )


def _measures(corrected: FloatArray, map_: FloatArray, cells: FloatArray, conf_level: float) -> Measures:
    z = critical_value(conf_level)
    values, errors = scaled_measures(corrected, map_, cells)
    made = []
    for i, (value, error) in enumerate(zip(values.tolist(), errors.tolist(), strict=True)):
        ends = (value, value - z * error, value + z * error)
        middle, low, high = ends if i == 2 else map(math.exp, ends)
        made.append(Measure(estimate=middle, std_error=error, conf_low=low, conf_high=high))
    return Measures(risk_ratio=made[0], odds_ratio=made[1], risk_difference=made[2])


def _moved(observed: Measure, bias: float, measure: str) -> Measure:
    ends = (observed.estimate, observed.conf_low, observed.conf_high)
    middle, low, high = (v - bias if measure == "RD" else v / bias for v in ends)
    return Measure(estimate=middle, std_error=observed.std_error, conf_low=low, conf_high=high)


def _with_confounder(measure: str, g: float, p: float, group: FloatArray) -> tuple[float, float]:
    """Those with and without the outcome, of one exposure group (2,), who have the confounder."""
    cases, others = group.tolist()
    n = cases + others
    if measure == "OR":
        return g * p * cases / (g * p + 1 - p), p * others
    having = g * p * cases / (g * p + 1 - p) if measure == "RR" else p * (cases + g * (1 - p) * n)
    return having, p * n - having


def _cells(table: npt.ArrayLike) -> FloatArray:
    cells = np.asarray(table, dtype=np.float64)
    if cells.shape != (2, 2) or not (np.isfinite(cells) & (cells > 0)).all():
        raise ValueError(
            "Bias analysis needs a 2 x 2 table of positive counts: with and without the outcome by exposed and "
            "unexposed; an empty cell has no ratio to correct."
        )
    return cells.ravel()


def _pair(value: Pair, name: str) -> FloatArray:
    pair = np.broadcast_to(np.asarray(value, dtype=np.float64), (2,))
    if not ((pair >= 0) & (pair <= 1)).all():
        raise ValueError(f"A {name} is a probability between 0 and 1, or a pair of them.")
    return pair
