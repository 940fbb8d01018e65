"""Counterfactual designs, and the risk that a fit gives to each of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Columns, Design, Factor, Term, build_design, mains_of, variables_of
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ALIAS_TOLERANCE = 1e-6
Settled = Mapping[Term, Mapping[int, float]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Predicted:
    """Risks (N,) of the rows of a design, and their derivative `slope` (N,) by the linear predictor.

    `settled` (N,) marks rows whose risk is exactly 0 or 1 because a coefficient is infinite (slope 0); `unknown` (N,)
    rows whose risk needs a combination of coefficients that the fit does not determine (risk NaN, slope 0).
    """

    risk: FloatArray
    slope: FloatArray
    settled: BoolArray
    unknown: BoolArray


def counterfactual_design(
    columns: Columns, terms: Sequence[Term], n: int, values: Mapping[str, float | FloatArray]
) -> Design:
    """The design of n people had everyone the `values`: a number for all, or one for each person (n,).

    `columns` and `terms` are those of the fitted design: levels and knots are recorded in the terms, so every column
    keeps its meaning. An exposure in several terms (a spline, a product) changes in all of them.

    Raises ValueError for a variable that no term reads (its contrast would be 1 whatever the data), a value that is
    not finite, or a value that a factor of the model does not know.
    """
    changed = dict(columns)
    for name, value in values.items():
        readers = [main for term in terms for main in mains_of(term) if name in variables_of(main)]
        if not readers:
            raise ValueError(
                f"'{name}' is in no term of the model, so setting it changes no risk; add it to the model first."
            )
        new = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)))
        if not np.isfinite(new).all():
            raise ValueError(f"'{name}' is set to a value that is not a finite number; give each person a finite one.")
        for term in readers:
            if isinstance(term, Factor) and not np.isin(new, term.levels).all():
                known = ", ".join(f"{v:g}" for v in term.levels)
                raise ValueError(
                    f"'{name}' is set to a category that the model has never seen; choose among the codes {known}."
                )
        changed[name] = new
    return build_design(changed, terms, n)


def level_designs(columns: Columns, terms: Sequence[Term], n: int, exposure: Factor) -> dict[str, Design]:
    """A counterfactual design for each level of a factor, by its label, the reference first."""
    return {
        label: counterfactual_design(columns, terms, n, {exposure.name: code})
        for code, label in zip(exposure.levels, exposure.labels, strict=True)
    }


def inverse_link(link: str, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mean g(eta) and its derivative g'(eta) for the link `log`, `logit` or `identity`."""
    if link == "log":
        with np.errstate(over="ignore"):
            mean = np.exp(eta)
        return mean, mean
    if link == "logit":
        mean = np.exp(-np.logaddexp(0.0, -eta))
        return mean, np.exp(-np.logaddexp(0.0, -eta) - np.logaddexp(0.0, eta))
    if link == "identity":
        return eta, np.ones_like(eta)
    raise ValueError(f"A model with the link '{link}' has no risks to standardise; fit a model of risks.")


def settled_cells(fit: Fit, y: FloatArray, weights: FloatArray) -> Settled:
    """The cells of factors and products whose people were all set aside with one same outcome: fitted risk 0 or 1."""
    people, out = weights > 0, dict[Term, dict[int, float]]()
    for term, cell in fit.design.cells.items():
        size = int(cell.max(initial=-1)) + 1
        n = np.bincount(cell[people], minlength=size)
        used = np.bincount(cell[fit.rows], minlength=size)
        events = np.bincount(cell[people], weights=y[people], minlength=size)
        sure = (n > 0) & (used == 0) & ((events == 0) | (events == n))
        if sure.any():
            out[term] = {int(c): float(events[c] > 0) for c in np.flatnonzero(sure)}
    return out


def predicted(fit: Fit, design: Design, *, y: FloatArray, weights: FloatArray, same_people: bool = True) -> Predicted:
    """The risk of each row of `design` (N, p) by a fit on y (n,) and weights (n,).

    A row in a cell whose people were set aside has their risk, exactly. Of the others, a row is known if it lies in
    the space of the rows the fit used, x_lost = C' x_estimated with X_lost = X_estimated C over those: then its linear
    predictor does not depend on coefficients that were left out. With `same_people` row i of `design` is person i of
    the fit, and one set aside whose counterfactual is the observed row has the observed outcome.
    """
    x = design.matrix
    if x.shape[1] != fit.design.matrix.shape[1]:
        raise ValueError(
            f"A counterfactual design has {x.shape[1]} columns where the fit has {fit.design.matrix.shape[1]}; "
            "build both from the same terms."
        )
    at = np.flatnonzero(fit.estimated)
    risk, slope = inverse_link(fit.link, x[:, at] @ fit.coefficients[at])
    risk, slope = np.array(risk), np.array(slope)
    known = _in_row_space(fit, x, at)
    settled = np.zeros(len(risk), dtype=bool)
    if not known.all() or not fit.rows[weights > 0].all():
        low, high = _in_settled_cells(design, settled_cells(fit, y, weights))
        risk[low], risk[high] = 0.0, 1.0
        settled, known = low ^ high, (known & ~(low & high)) | (low ^ high)
        if same_people and not known.all():
            own = ~known & ~fit.rows & (weights > 0) & (x == fit.design.matrix).all(axis=1)
            risk[own] = y[own]
            settled, known = settled | own, known | own
    risk[~known] = np.nan
    slope[settled | ~known] = 0.0
    return Predicted(risk=risk, slope=slope, settled=settled, unknown=~known)


def _in_row_space(fit: Fit, x: FloatArray, at: npt.NDArray[np.intp]) -> BoolArray:
    """Which rows of x (N, p) are combinations of the rows that the fit used."""
    lost = np.flatnonzero(~fit.estimated)
    if not lost.size:
        return np.ones(len(x), dtype=bool)
    used = fit.design.matrix[fit.rows]
    weight, *_ = np.linalg.lstsq(used[:, at], used[:, lost], rcond=None)
    off = np.abs(x[:, lost] - x[:, at] @ weight)
    size = np.abs(x[:, lost]) + np.abs(x[:, at]) @ np.abs(weight) + np.abs(used[:, lost]).max(axis=0)
    return np.asarray((off <= ALIAS_TOLERANCE * size).all(axis=1))


def _in_settled_cells(design: Design, settled: Settled) -> tuple[BoolArray, BoolArray]:
    n = len(design.matrix)
    low, high = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for term, cells in settled.items():
        for cell, risk in cells.items():
            (high if risk else low)[design.cells[term] == cell] = True
    return low, high
