"""Trend over ordered categories: Cochran-Armitage, and polynomial contrasts of category coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.contrasts import Contrasts, JointTest, contrasts
from walkrisk.estimates.rows import chi_square_p
from walkrisk.models.design import Factor
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]


def cochran_armitage(
    events: Sequence[float], totals: Sequence[float], scores: Sequence[float] | None = None
) -> JointTest:
    """The Cochran-Armitage test for a trend of proportions d_k / n_k over scores s_k (1, 2, ... by default).

    chi2 = [sum s_k (d_k - n_k p)]^2 / (p (1 - p) [sum n_k s_k^2 - (sum n_k s_k)^2 / N]) on 1 degree of freedom, with
    p = sum d / N and no continuity correction. Raises ValueError for fewer than two categories of people, counts that
    are negative or more than their total, the same score for all, and when nobody or everybody is a case.
    Reference: Armitage 1955, doi 10.2307/3001775.
    """
    d, n = np.asarray(events, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    s = np.arange(1.0, len(n) + 1) if scores is None else np.asarray(scores, dtype=np.float64)
    if not len(d) == len(n) == len(s) or not np.all(np.isfinite([d, n, s])) or np.any((d < 0) | (n < d)):
        raise ValueError("A trend test needs for each category a score and events between 0 and its people.")
    size = float(n.sum())
    if (n > 0).sum() < 2 or np.ptp(s[n > 0]) == 0:
        raise ValueError("A trend test needs people in two or more categories of different scores.")
    p = float(d.sum()) / size
    if not 0 < p < 1:
        raise ValueError("Nobody or everybody is a case, so there is no trend to test.")
    centred = s - float(n @ s) / size
    chi2 = float(centred @ (d - n * p)) ** 2 / (p * (1 - p) * float(n @ centred**2))
    return JointTest(chi2=chi2, df=1, p_value=chi_square_p(chi2, 1), f=chi2, residual_df=None, p_f=None)


def orthogonal_polynomials(scores: FloatArray, degree: int, *, weights: FloatArray | None = None) -> FloatArray:
    """Polynomials (n, degree) of scores (n,), orthonormal to each other and to the constant: sum w P_j P_k = [j = k].

    The leading coefficients are positive. Without weights these are R's `poly`, and on 1 .. K its `contr.poly`.
    Raises ValueError unless there are more different scores (of weight above 0) than the degree.
    """
    w = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not np.all(np.isfinite(scores)) or not np.all(np.isfinite(w) & (w >= 0)):
        raise ValueError("Polynomials need scores that are known and finite, and weights of 0 or more.")
    distinct = len(np.unique(scores[w > 0]))
    if degree < 1 or distinct <= degree:
        raise ValueError(f"{distinct} different scores allow polynomials of degree 1 to {distinct - 1}, not {degree}.")
    x = scores - float(w @ scores) / float(w.sum())
    done = [np.full(len(x), 1 / np.sqrt(w.sum()))]
    for _ in range(degree):
        column = done[-1] * x / np.sqrt(float(w @ (done[-1] * x) ** 2))
        for _again in range(2):
            for earlier in done:
                column = column - earlier * float(w @ (earlier * column))
        done.append(column / np.sqrt(float(w @ column**2)))
    return np.column_stack(done[1:])


def polynomial_contrasts(
    fit: Fit,
    term: Factor,
    covariance: FloatArray,
    *,
    scores: Sequence[float] | None = None,
    people: Sequence[float] | None = None,
    degree: int | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Contrasts:
    """Linear, quadratic, ... contrasts (degree,) of the log ratios of a factor's K categories, degree up to K - 1.

    sum_k w_k P_j(s_k) b_k, with b of the reference 0 and P orthonormal over scores s (1 .. K by default). With `people`
    (K,) as w these are the coefficients of polynomials orthogonal over persons, as if they stood in the model instead
    of the factor (R's `poly`); without, w = 1 (R's `contr.poly`, for categories of one size and spacing).
    """
    k = len(term.levels)
    s = np.arange(1.0, k + 1) if scores is None else np.asarray(scores, dtype=np.float64)
    w = np.ones(k) if people is None else np.asarray(people, dtype=np.float64)
    if s.shape != (k,) or w.shape != (k,):
        raise ValueError(f"{term.name} has {k} categories; give as many scores and counts of people.")
    made = orthogonal_polynomials(s, k - 1 if degree is None else degree, weights=w)
    matrix = np.zeros((made.shape[1], len(fit.design.names)))
    matrix[:, list(fit.design.columns_of[term])] = (made * w[:, None])[1:].T
    return contrasts(fit, matrix, covariance, conf_level=conf_level, df=df)
