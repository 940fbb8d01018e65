"""How much a ratio rests on single people: delete-one changes, and the fewest people whose absence would change it.

With scores u_i, bread A^-1 and leverages h_i of a fit, leaving person i out changes the coefficients by

    one step:     beta(-i) - beta = -A^-1 u_i / (1 - h_i)      (Pregibon)
    first order:  -A^-1 u_i                                    (what the derivative by a person's weight says)

The first is the first Newton step from the whole sample's maximum, and exact for least squares; `refitted_without`
gives the exact change. Nothing here says who: results are counts, sums and largest values.

References: Belsley, Kuh & Welsch 1980 doi 10.1002/0471725153; Pregibon 1981 doi 10.1214/aos/1176345513;
Broderick, Giordano & Meager 2020 doi 10.48550/arXiv.2011.14999.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.batch import fit_batch
from walkrisk.models.covariance import influence, leverages
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

CANONICAL = ("modified_poisson", "logistic")  # working weight = variance, so that its derivative is known
REFITS = 40  # of a search for the fewest people


def one_step_changes(fit: Fit) -> FloatArray:
    """beta(-i) - beta (n, q) of the estimated coefficients by one Newton step; 0 for people set aside.

    For a fit without leverages (Cox) the first-order change. Leaving a person out who alone determines a coefficient
    (leverage 1) has no one-step change: NaN. Assumes the maximum is inside the domain; NaN where it is on the boundary.
    """
    out = first_order_changes(fit)
    if fit.working is None:
        return out
    with np.errstate(divide="ignore", invalid="ignore"):
        out[fit.rows] /= np.where(leverages(fit) < 1 - 1e-10, 1 - leverages(fit), np.nan)[:, None]
    return out


def first_order_changes(fit: Fit) -> FloatArray:
    """-A^-1 u_i (n, q): what leaving a person out changes in the estimated coefficients, to first order."""
    return -influence(fit, "HC0")


def refitted_without(fit: Fit, people: IntArray) -> FloatArray:
    """beta(-i) - beta (len(people), q) by fitting again without each of `people` (rows of the fit), exactly.

    Raises ValueError for a method that `fit_batch` does not know, and for rows that the fit set aside.
    """
    if fit.outcome is None or fit.weights is None:
        raise ValueError(f"{fit.method} cannot be fitted again in a batch; use the one-step changes.")
    place = np.cumsum(fit.rows) - 1
    if not fit.rows[people].all():
        raise ValueError("Some of these people were set aside by the fit, so leaving them out changes nothing.")
    beta = fit.coefficients[fit.estimated]

    def blocks(size: int = 64) -> list[FloatArray]:
        made = []
        for first in range(0, len(people), size):
            at = place[people[first : first + size]]
            w = np.tile(fit.weights, (len(at), 1))  # type: ignore[arg-type]
            w[np.arange(len(at)), at] = 0.0
            made.append(w)
        return made

    if not len(people):
        return np.zeros((0, len(beta)))
    found = fit_batch(fit.method, fit.x, fit.outcome, blocks(), base=fit.weights, start=beta, likelihood=False)
    return np.asarray(found.coefficients - beta)


def cook_distances(fit: Fit) -> FloatArray:
    """Cook-like distances (n,) of all coefficients together, as R's cooks.distance has them; 0 for people set aside.

    D_i = d_i' A_e d_i / (q phi), d_i the one-step change, A_e the expected information, phi the dispersion (1 but for
    least squares). Raises ValueError where the fit has no leverages (Cox).
    """
    if fit.working is None:
        raise ValueError(f"Cook's distance is not defined for {fit.method}; use the changes of each ratio.")
    if fit.conditioned is not None:  # the distance is the same in any coordinates
        return cook_distances(fit.conditioned.fit)
    assert fit.leverage_x is not None
    moved = one_step_changes(fit)[fit.rows]
    root = np.linalg.cholesky(np.linalg.inv(_expected(fit)))
    out = np.zeros(fit.n)
    out[fit.rows] = ((moved @ root) ** 2).sum(axis=1) / (fit.parameters * fit.dispersion)
    return out


def _expected(fit: Fit) -> FloatArray:
    return fit.bread if fit.expected_bread is None else fit.expected_bread


# ---------------------------------------------------------------- the fewest people


def relative_change_of_error(fit: Fit, position: int) -> FloatArray:
    """d log SE (n,) of one estimated coefficient as a person is left out, to first order; SE that of HC0.

    With g = A^-1 e, h = A^-1 B g and V = g'Bg, leaving out i changes V by -(u_i'g)^2 + 2 a_i (x_i'g)(x_i'h) from the
    sums over people, and by the slope of V in the coefficients times their change. Raises ValueError for a method
    whose working weights are not its variances (`CANONICAL`).
    """
    if fit.conditioned is not None:
        return _in_coordinates(fit, position)
    contrast = np.zeros(fit.parameters)
    contrast[position] = 1.0
    return _relative_change(fit, contrast)


def _in_coordinates(fit: Fit, position: int) -> FloatArray:
    assert fit.conditioned is not None
    return _relative_change(fit.conditioned.fit, fit.conditioned.back[position])


def _relative_change(fit: Fit, contrast: FloatArray) -> FloatArray:
    if fit.method not in CANONICAL or fit.working is None:
        raise ValueError(f"The change of a standard error is known for {', '.join(CANONICAL)}, not for {fit.method}.")
    x, u, a = fit.x, fit.scores, fit.working
    g = fit.bread @ contrast
    along = u @ g
    v = float(along @ along)
    xg, xh = x @ g, x @ (fit.bread @ (u.T @ along))
    bend = a
    if fit.link == "logit":
        bend = a * -np.tanh(x @ fit.coefficients[fit.estimated] / 2)  # 1 - 2 mean
    slope = -2 * x.T @ (along * xg * a) - 2 * x.T @ (bend * xg * xh)
    change = -(along**2) + 2 * a * xg * xh - u @ (fit.bread @ slope)
    out = np.zeros(fit.n)
    out[fit.rows] = change / (2 * v)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Fewest:
    """The people to leave out, the most influential first, and how many the first-order changes say are needed.

    `order` (m,) are rows; `predicted` is None where all that move the right way together do not suffice.
    """

    order: IntArray
    predicted: int | None


def fewest(changes: FloatArray, needed: float) -> Fewest:
    """Who to leave out so that the sum of `changes` (n,) of a number reaches `needed`, and how many that takes.

    The largest changes in the direction of `needed` come first; the set of k people whose absence moves the number
    most, to first order, is the first k. Raises ValueError if nothing is needed.
    """
    if needed == 0 or not np.isfinite(needed):
        raise ValueError("The number is where it should go already, so nobody must be left out.")
    toward = np.where(np.isfinite(changes), changes, 0.0) * np.sign(needed)
    order = np.argsort(-toward, kind="stable")[: int((toward > 0).sum())].astype(np.intp)
    reached = np.cumsum(toward[order]) >= abs(needed) * (1 - 1e-12)
    return Fewest(order, int(reached.argmax()) + 1 if reached.any() else None)


def verified(crossed: Callable[[int], bool], start: int, most: int) -> int | None:
    """The smallest k found with crossed(k) while crossed(k - 1) is not so, by doubling and halving from `start`.

    `crossed(k)` fits again without the first k people of an order. None if not even crossed(most).
    """
    low, high = 0, max(1, min(start, most))
    for _ in range(REFITS):
        if crossed(high):
            break
        if high >= most:
            return None
        low, high = high, min(most, high + max(1, high // 8))
    else:
        return None
    step = max(1, high // 16)
    while low == 0 and high > 1:
        trial = max(1, high - step)
        if not crossed(trial):
            low = trial
            break
        high, step = trial, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        if crossed(middle):
            high = middle
        else:
            low = middle
    return high


# ---------------------------------------------------------------- what may be shown


@dataclass(frozen=True, slots=True)
class Bin:
    """People with a value in [low, high); the first and last bin are open to their side."""

    low: float
    high: float
    n: int


def binned(values: FloatArray, edges: FloatArray) -> tuple[Bin, ...]:
    """Counts of values (n,) between increasing `edges` (k,), what lies beyond them in the first and last bin."""
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(at, minlength=len(edges) - 1)
    return tuple(Bin(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True))


def merged(bins: Sequence[Bin], least: int) -> tuple[Bin, ...]:
    """Bins merged until each holds `least` people or nobody, small ones going towards the middle of the histogram.

    Empty bins at either end are cut off, so that no limit of the picture is somebody's value. A histogram with fewer
    than `least` people altogether is empty.
    """
    if sum(b.n for b in bins) < least:
        return ()
    middle = int(np.argmax([b.n for b in bins]))
    left = _merged_inwards(list(bins[:middle]), least)
    right = _merged_inwards(list(bins[middle + 1 :][::-1]), least)
    out = [*left.done, _joined([*left.rest, bins[middle], *right.rest]), *right.done[::-1]]
    return tuple(out)


@dataclass(frozen=True, slots=True)
class _Inwards:
    done: list[Bin]
    rest: list[Bin]


def _merged_inwards(bins: list[Bin], least: int) -> _Inwards:
    """Bins from an end of the histogram inwards, with what is left over at the middle."""
    done: list[Bin] = []
    held: list[Bin] = []
    for b in bins:
        if not held and b.n == 0:
            if done:
                done.append(b)
            continue
        held.append(b)
        if sum(h.n for h in held) >= least:
            done.append(_joined(held))
            held = []
    return _Inwards(done, held)


def _joined(bins: list[Bin]) -> Bin:
    return Bin(min(b.low for b in bins), max(b.high for b in bins), sum(b.n for b in bins))
