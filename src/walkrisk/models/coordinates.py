"""Coordinates in which an ill-conditioned design keeps its digits.

Beside an intercept, a calendar year with small differences is nearly constant, and x' diag(w) x of it nearly singular:
of its inverse, and of what is multiplied by it, the digits are lost that the columns have in common. In coordinates
gamma = back^-1 beta the columns z = x back are centred (the differences of values that close are exact) and orthonormal
in the weights, so that all is computed of the differences; coefficients are back gamma and covariances back V back'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.engines import search
from walkrisk.models.solver import Family, Solution, cholesky_inverse, gram, inverse_information

FloatArray = npt.NDArray[np.float64]

NARROW = 1e-4  # share of a column's size, beyond the earlier columns, below which digits are at stake
COLLINEAR = 1e-9  # below it the columns, once centred, are taken to determine nothing


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """The design `z` (m, q) in coordinates gamma, and `back` (q, q), with beta = back @ gamma."""

    z: FloatArray
    back: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Curved:
    """A solution with its breads (q, q), observed and expected, and the same in coordinates where it needed them."""

    solution: Solution
    bread: FloatArray
    expected: FloatArray
    coordinates: Coordinates | None = None
    inner: Curved | None = None


def well_conditioned(x: FloatArray, weight: FloatArray) -> Coordinates | None:
    """Coordinates of x (m, q) in which z' diag(weight) z is the identity times the sum of weights (m,) of 0 or more.

    A first column of 1 stays one. None where even the centred columns are collinear.
    """
    weight = np.clip(np.nan_to_num(weight, nan=0.0, posinf=1e6), 0.0, 1e6)
    intercept, mean = bool(np.all(x[:, 0] == 1)), np.zeros(x.shape[1])
    if intercept and weight.sum() > 0:
        mean[1:] = weight @ x[:, 1:] / weight.sum()
    centred = x - mean
    share = weight / max(float(weight.sum()), 1e-300)
    size = np.sqrt(share @ centred**2)
    if len(x) < x.shape[1] or not np.all(size > 0):
        return None
    triangle = np.linalg.qr(centred / size * np.sqrt(share)[:, None], mode="r")
    if np.min(np.abs(np.diag(triangle))) < COLLINEAR:
        return None
    triangle *= np.sign(np.diag(triangle))[:, None]
    z = np.linalg.solve(triangle.T, (centred / size).T).T
    back = np.linalg.inv(triangle) / size[:, None]
    if intercept:
        z[:, 0] = 1.0
        back[0] -= mean @ back
    return Coordinates(np.asfortranarray(z), back)


def is_narrow(x: FloatArray, weight: FloatArray) -> bool:
    """Whether some column of x keeps less than NARROW of its weighted size beyond the earlier columns."""
    products = gram(x, weight)
    size = np.sqrt(np.diag(products))
    try:
        return not np.min(np.diag(np.linalg.cholesky(products / np.outer(size, size)))) > NARROW
    except np.linalg.LinAlgError:
        return True


def curved(
    family: Family, x: FloatArray, data: tuple[FloatArray, FloatArray], solution: Solution, engine: str
) -> Curved:
    """A solution for x (m, q) with its breads; where these lose digits, both by way of other coordinates.

    `data` are outcome and weights (m,). Then the maximum is looked for once more in these coordinates.
    """
    y, w = data
    uneven = family.name in ("log_binomial", "identity_binomial", "identity_poisson")
    bread = cholesky_inverse(x, w * family.information(solution.eta, y))
    made = None
    if bread is None and solution.converged:
        made = well_conditioned(x, w * family.expected(solution.eta, y))
    if made is None:
        bread = inverse_information(family, x, y, solution.eta, w) if bread is None else bread
        return Curved(
            solution, bread, inverse_information(family, x, y, solution.eta, w, expected=True) if uneven else bread
        )
    found = search(engine, family, made.z, y, w)
    if not found.converged:
        found = replace(
            solution, coefficients=np.asarray(np.linalg.solve(made.back, solution.coefficients), np.float64)
        )
    bread = expected = inverse_information(family, made.z, y, found.eta, w)
    if uneven:
        expected = inverse_information(family, made.z, y, found.eta, w, expected=True)
    inner, back = Curved(found, bread, expected), made.back
    brought = replace(found, coefficients=back @ found.coefficients)
    return Curved(brought, back @ bread @ back.T, back @ expected @ back.T, made, inner)
