"""Choosing the powers of a fractional polynomial: all of them by deviance, then the closed test procedure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Columns, FractionalPolynomial, Linear, Term, build_design, variables_of
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.fractional_polynomials import POWERS, candidate_powers, shift_and_scale

FloatArray = npt.NDArray[np.float64]
Simpler = tuple[str, tuple[float, ...], float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One set of powers and its deviance, -2 log-likelihood; () is the model without the variable."""

    powers: tuple[float, ...]
    deviance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionStep:
    """One test of the procedure: the best polynomial against a simpler model, and what its P value led to."""

    against: str
    chi2: float
    df: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the procedure chose: the `term` (None: leave the variable out), its powers, the tests that led there.

    `candidates` are all models that were fitted, by degree and then deviance; `failed` the powers that did not
    converge and took no part.
    """

    term: FractionalPolynomial | None
    powers: tuple[float, ...]
    steps: tuple[SelectionStep, ...]
    candidates: tuple[Candidate, ...]
    failed: tuple[tuple[float, ...], ...]


def select_powers(
    method: str,
    columns: Columns,
    name: str,
    others: Sequence[Term],
    y: FloatArray,
    *,
    degree: Literal[1, 2] = 2,
    alpha: float = 0.05,
    keep: bool = False,
    powers: Sequence[float] = POWERS,
    shift: float | None = None,
    scale: float | None = None,
    weights: FloatArray | None = None,
) -> Selection:
    """The fractional polynomial of `name` next to terms `others`, chosen by the function selection procedure.

    Every set of powers up to `degree` (8, and 36 of degree 2) is fitted by `method`; the best of a degree has the
    smallest deviance (the earlier set in sorted order on a tie). The best of the highest degree m is then tested
    against: no term (2m degrees of freedom; if P >= alpha, none is chosen), a straight line (2m - 1), and for m = 2
    the best single power (2); the first model it does not beat at `alpha` is chosen. `keep` skips the first test.

    The deviance is -2 x the likelihood of `method`. That of modified Poisson is a working likelihood, which for a 0/1
    outcome overstates the variance by up to 1/(1 - risk), so its tests are conservative and simpler curves win more
    often; `log_binomial` and `logistic` have the likelihood of the data. `shift` and `scale` default to the rule of
    `shift_and_scale`; a straight line is a line whatever these are. Raises ValueError for values not above 0 after
    the shift, and if no model of a degree converges.
    Reference: Royston & Altman 1994, doi 10.2307/2986270; Ambler & Royston 2001, doi 10.1080/00949650108812083
    (type I error of the procedure); Sauerbrei & Royston 1999, doi 10.1111/1467-985X.00122.
    """
    if degree not in (1, 2) or not 0 < alpha <= 1:
        raise ValueError(
            f"Powers are chosen for degree 1 or 2 at an alpha above 0 and at most 1, got {degree}, {alpha:g}."
        )
    if any(name in variables_of(t) for t in others):
        raise ValueError(f"{name} stands in the other terms too, so its powers cannot be chosen; leave it out of them.")
    found_shift, found_scale = shift_and_scale(columns[name])
    at = FractionalPolynomial(
        name, (1.0,), found_shift if shift is None else shift, found_scale if scale is None else scale
    )
    null = fit_model(method, build_design(columns, others, len(y)), y, weights=weights)
    tried = {
        p: _fitted(method, columns, replace(at, powers=p), others, y, weights)
        for m in range(1, degree + 1)
        for p in candidate_powers(m, powers)
    }
    line = tried.get((1.0,)) or _fitted(method, columns, Linear(name), others, y, weights)
    good = {p: -2 * f.log_likelihood for p, f in tried.items() if _usable(f, null)}
    enough = all(any(len(p) == m for p in good) for m in range(1, degree + 1))
    if not (null.converged and _usable(line, null) and enough):
        raise ValueError(f"Too few models of {name} converged to choose powers from; use modified Poisson or a spline.")
    best = [min((p for p in good if len(p) == m), key=lambda p: good[p]) for m in range(1, degree + 1)]
    simpler = _simpler(-2 * null.log_likelihood, -2 * line.log_likelihood, best[0], good[best[0]], degree)
    chosen, steps = _closed_test(simpler[1:] if keep else simpler, best[-1], good[best[-1]], alpha)
    ranked = sorted(good.items(), key=lambda pair: (len(pair[0]), pair[1]))
    return Selection(
        term=replace(at, powers=chosen) if chosen else None,
        powers=chosen,
        steps=steps,
        candidates=tuple(Candidate(powers=p, deviance=d) for p, d in [((), -2 * null.log_likelihood), *ranked]),
        failed=tuple(p for p in tried if p not in good),
    )


def _simpler(null: float, line: float, one: tuple[float, ...], deviance: float, degree: int) -> list[Simpler]:
    """The models that the best of the highest degree is tested against: name, powers, deviance, degrees of freedom."""
    made: list[Simpler] = [("no term", (), null, 2 * degree), ("a straight line", (1.0,), line, 2 * degree - 1)]
    return [*made, ("one power", one, deviance, 2)] if degree == 2 else made


def _fitted(
    method: str, columns: Columns, term: Term, others: Sequence[Term], y: FloatArray, weights: FloatArray | None
) -> Fit:
    return fit_model(method, build_design(columns, [term, *others], len(y)), y, weights=weights)


def _usable(fit: Fit, null: Fit) -> bool:
    """Whether a fit is the maximum on the people of the model without the term, with every column of the term in it."""
    term = next(iter(fit.design.columns_of))
    return (
        fit.converged
        and fit.wald
        and bool(fit.estimable[list(fit.design.columns_of[term])].all())
        and np.array_equal(fit.rows, null.rows)
    )


def _closed_test(
    simpler: Sequence[Simpler], best: tuple[float, ...], deviance: float, alpha: float
) -> tuple[tuple[float, ...], tuple[SelectionStep, ...]]:
    from scipy.special import chdtrc

    steps: list[SelectionStep] = []
    for against, powers, worse, df in simpler:
        chi2 = max(worse - deviance, 0.0)
        p_value = float(chdtrc(df, chi2))
        steps.append(SelectionStep(against=against, chi2=chi2, df=df, p_value=p_value))
        if p_value >= alpha:
            return powers, tuple(steps)
    return best, tuple(steps)
