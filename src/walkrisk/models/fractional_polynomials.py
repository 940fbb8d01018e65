"""Fractional polynomials of one variable: columns, derivatives, and the shift and scale that make them computable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

POWERS: tuple[float, ...] = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)


def fractional_powers(
    x: FloatArray,
    powers: Sequence[float],
    *,
    shift: float = 0.0,
    scale: float = 1.0,
    name: str = "x",
    order: Literal[0, 1, 2] = 0,
) -> FloatArray:
    """The columns (n, m) of a fractional polynomial, or their derivative by x of `order` 1 or 2.

    With z = (x + shift)/scale and powers p1 <= ... <= pm, column j is z^pj (log z for a power of 0), multiplied by
    log z once for every earlier column of the same power. Raises ValueError unless every z is above 0 and finite, for
    powers that are not finite or not sorted, and for a scale that is not above 0.
    Reference: Royston & Altman 1994, doi 10.2307/2986270.
    """
    _check(powers, shift, scale)
    z = (np.asarray(x, dtype=np.float64) + shift) / scale
    bad = int((~(z > 0) | ~np.isfinite(z)).sum())
    if bad:
        raise ValueError(
            f"{bad} values of {name} are not above 0 after a shift of {shift:g} (or are unknown or infinite), where "
            "powers and logarithms are not defined; give a larger shift (`shift_and_scale` finds one)."
        )
    log_z = np.log(z)
    out = np.empty((len(z), len(powers)), order="F")
    for j, terms in enumerate(_terms(powers)):
        for _ in range(order):
            terms = _derivative(terms)
        column = np.zeros(len(z))
        for (power, logs), weight in terms.items():
            column += weight * (z**power if power else 1.0) * (log_z**logs if logs else 1.0)
        out[:, j] = column / scale**order
    return out


Sum = dict[tuple[float, int], float]  # (power of z, power of log z) -> weight


def _terms(powers: Sequence[float]) -> list[Sum]:
    out: list[Sum] = []
    for j, power in enumerate(powers):
        logs = list(powers[:j]).count(power) + (1 if power == 0 else 0)
        out.append({(float(power), logs): 1.0})
    return out


def _derivative(terms: Sum) -> Sum:
    """d/dz z^p (log z)^k = p z^(p-1) (log z)^k + k z^(p-1) (log z)^(k-1)."""
    out: Sum = {}
    for (power, logs), weight in terms.items():
        for key, factor in (((power - 1, logs), power), ((power - 1, logs - 1), float(logs))):
            if factor:
                out[key] = out.get(key, 0.0) + weight * factor
    return out


def _check(powers: Sequence[float], shift: float, scale: float) -> None:
    shown = ", ".join(f"{p:g}" for p in powers)
    if not powers or not all(math.isfinite(p) for p in powers) or list(powers) != sorted(powers):
        raise ValueError(f"A fractional polynomial needs one or more finite powers in increasing order, got ({shown}).")
    if not (math.isfinite(shift) and math.isfinite(scale) and scale > 0):
        raise ValueError(f"A fractional polynomial needs a finite shift and a scale above 0, got {shift:g}, {scale:g}.")


def candidate_powers(degree: int, powers: Sequence[float] = POWERS) -> tuple[tuple[float, ...], ...]:
    """All sets of `degree` powers with repetition, in a fixed order: 8 of degree 1, 36 of degree 2."""
    return tuple(combinations_with_replacement(sorted(powers), degree))


def shift_and_scale(values: FloatArray) -> tuple[float, float]:
    """A shift that makes all known values positive and a scale that brings them near 1, by the rule of R's `mfp`.

    Shift: 0 if the smallest value is above 0; else the smallest gap between different values less the smallest value,
    rounded up to one decimal. Scale: 10^r with r the decimal logarithm of the mean shifted value, rounded toward
    nearest. Neither changes a model with one power, apart from the unit of its coefficient; a shift changes the curve.
    Raises ValueError with fewer than two different finite values.
    """
    known = np.unique(values[~np.isnan(values)])
    if known.size < 2 or not np.all(np.isfinite(known)):
        raise ValueError("A fractional polynomial needs two or more different, finite values of its variable.")
    shift = 0.0
    if known[0] <= 0:
        shift = math.ceil((float(np.diff(known).min()) - float(known[0])) * 10) / 10
    size = math.log10(float(np.mean(values[~np.isnan(values)])) + shift)
    return shift, 10.0 ** (math.copysign(round(abs(size)), size))
