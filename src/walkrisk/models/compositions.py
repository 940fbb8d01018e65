"""Compositions, such as the parts of a day: isometric log-ratio coordinates, their mean and their variation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

REPLACED = 0.65  # of the detection limit, which Martin-Fernandez et al. found to distort least


def pivot_basis(parts: int) -> FloatArray:
    """The orthonormal basis (D, D - 1) of pivot coordinates: z = log(x) @ basis.

    Coordinate i compares part i with the geometric mean of the parts after it:
    z_i = sqrt((D - i)/(D - i + 1)) log(x_i / (x_(i+1) ... x_D)^(1/(D - i))). Raises ValueError for fewer than 2 parts.
    Reference: Egozcue et al. 2003, doi 10.1023/A:1023818214614; Hron et al. 2012, doi 10.1080/02664763.2011.644268.
    """
    if parts < 2:
        raise ValueError(f"A composition needs two or more parts, got {parts}.")
    basis = np.zeros((parts, parts - 1))
    for i in range(parts - 1):
        rest = parts - i - 1
        size = np.sqrt(rest / (rest + 1))
        basis[i, i] = size
        basis[i + 1 :, i] = -size / rest
    return basis


def pivot_coordinates(parts: FloatArray, names: Sequence[str] | None = None) -> FloatArray:
    """The pivot coordinates (n, D - 1) of compositions (n, D) in any unit: the total of a row does not matter.

    Raises ValueError naming how many values of each part are 0, negative, unknown or infinite.
    """
    checked_parts(parts, names)
    return np.asfortranarray(np.log(parts) @ pivot_basis(parts.shape[1]))


def checked_parts(parts: FloatArray, names: Sequence[str] | None = None) -> FloatArray:
    """`parts` (n, D) if all are above 0 and finite, else a ValueError naming how many of each part are not."""
    shown = names or [f"part {j + 1}" for j in range(parts.shape[1])]
    wrong = ~np.isfinite(parts) | (parts < 0)
    if wrong.any():
        raise ValueError(
            f"Parts that are negative, unknown or infinite: {_counts(wrong, shown)}; correct or leave out."
        )
    zero = parts == 0
    if zero.any():
        raise ValueError(
            f"Parts of 0 have no logarithm: {_counts(zero, shown)}. Merge parts, leave these people out, or replace "
            "zeros by a share of a declared detection limit (`replace_zeros`)."
        )
    return parts


def _counts(where: npt.NDArray[np.bool_], names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({int(n)} people)" for name, n in zip(names, where.sum(axis=0), strict=True) if n)


def replace_zeros(
    parts: FloatArray, names: Sequence[str], detection: Mapping[str, float], *, share: float = REPLACED
) -> FloatArray:
    """Compositions (n, D) with zeros replaced by `share` x the detection limit of their part, row totals kept.

    Multiplicative replacement: a zero of part j becomes d_j = share x detection[j], and the row's other parts shrink by
    the factor 1 - (sum of its d)/(row total), so ratios between them stay as they are. Raises ValueError for parts
    with zeros but no limit, limits or a share that are not above 0, and replacements larger than a row holds.
    Reference: Martin-Fernandez et al. 2003, doi 10.1023/A:1023866030544.
    """
    zero = parts == 0
    missing = [n for j, n in enumerate(names) if zero[:, j].any() and n not in detection]
    if missing:
        raise ValueError(
            f"Zeros of {', '.join(missing)} need a detection limit; declare the smallest measurable value."
        )
    limits = np.array([float(detection.get(n, 1.0)) for n in names])
    if not np.all(np.isfinite(limits) & (limits > 0)) or not 0 < share <= 1:
        raise ValueError("Detection limits must be above 0 and finite, and the share of them above 0 and at most 1.")
    added = zero * limits * share
    with np.errstate(invalid="ignore", divide="ignore"):
        shrink = 1 - added.sum(axis=1) / parts.sum(axis=1)
    if not np.all(shrink[zero.any(axis=1)] > 0):
        raise ValueError("A detection limit is larger than some people's whole composition; declare it in their unit.")
    out = np.where(zero, added, parts * np.where(zero.any(axis=1), shrink, 1.0)[:, None])
    return np.asarray(checked_parts(out, names))


def mean_composition(parts: FloatArray, *, total: float | None = None, weights: FloatArray | None = None) -> FloatArray:
    """The centre (D,) of compositions (n, D): their geometric mean, closed to `total` (default: the mean row total).

    Raises ValueError for zeros, and for weights that are negative, unknown or all 0.
    Reference: Aitchison 1986, doi 10.1007/978-94-009-4109-0.
    """
    w = _weights(weights, len(parts))
    centre = np.exp(w @ np.log(checked_parts(parts)))
    size = float(w @ parts.sum(axis=1)) if total is None else float(total)
    if not (np.isfinite(size) and size > 0):
        raise ValueError(f"The total of a composition must be above 0 and finite, got {size:g}.")
    return np.asarray(centre / centre.sum() * size)


def variation_matrix(parts: FloatArray, *, weights: FloatArray | None = None) -> FloatArray:
    """The variance (D, D) of the log ratio of every two parts, with n - 1; small: the two go together.

    With weights w of sum 1: sum w (r - mean)^2 / (1 - 1/n) over the n people of weight above 0.
    """
    if len(parts) < 2:
        raise ValueError("A variation matrix needs two or more people.")
    w = _weights(weights, len(parts))
    people = int((w > 0).sum())
    if people < 2:
        raise ValueError("A variation matrix needs two or more people with a weight above 0.")
    logs = np.log(checked_parts(parts))
    centred = logs - w @ logs
    spread = (centred * w[:, None]).T @ centred / (1 - 1 / people)
    own = np.diag(spread)
    out = own[:, None] + own - 2 * spread
    np.fill_diagonal(out, 0.0)
    return np.asarray(out)


def _weights(weights: FloatArray | None, n: int) -> FloatArray:
    if not n:
        raise ValueError("Nobody is left, so a composition has no mean.")
    if weights is None:
        return np.full(n, 1 / n)
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not weights.sum() > 0:
        raise ValueError("Weights must be 0 or more, finite, and not all 0.")
    return np.asarray(weights / weights.sum())
