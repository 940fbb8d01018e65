"""Cox proportional hazards, with score residuals for robust and design-based variances."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, empty_fit
from walkrisk.models.support import cells_without_events, independent_columns, undetermined
from walkrisk.models.survival import tied_times

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

MAX_ITERATIONS = 60

_RISK_TO_HAZARD = ("its fitted risk is 0 and it has no risk ratio", "its hazard is 0 and it has no hazard ratio")


def fit_cox(
    design: Design, time: FloatArray, event: FloatArray, *, weights: FloatArray | None = None, engine: str = "newton"
) -> Fit:
    """Cox model (Efron ties) of follow-up `time` (n,) and `event` 0/1 (n,) on a design, its intercept left out.

    `scores` are the Efron score residuals (Therneau & Grambsch 2000, doi 10.1007/978-1-4757-3294-8), times the weights;
    estimates and log-likelihood agree with lifelines', at a fraction of the cost. Times that differ by rounding only
    (1e-9 of the longest) are tied. A category of a factor (or of a product of factors) with people but without events
    has its maximum at a hazard of 0: there its people add nothing to any risk set, so they are set aside, its hazard
    ratio is not estimable, and the others are those of the fit without them. `engine` finds the maximum: `newton`
    (ours) or `statsmodels`, which for this model is lifelines, under the same certificate.
    """
    w = np.ones(len(time)) if weights is None else weights
    cells = cells_without_events(design, event, w)
    rows, sentences = cells.rows, [text.replace(*_RISK_TO_HAZARD) for text in cells.sentences]
    independent = independent_columns(design.matrix[w > 0])
    if not event[w > 0].any():
        return empty_fit(
            "cox", design, event, [*sentences, "Nobody has an event, so no hazard ratio can be estimated."]
        )
    at = independent[independent_columns(design.matrix[np.ix_(rows, independent)])]
    kept = at[at != 0]
    if not kept.size:
        return empty_fit("cox", design, event, [*sentences, "Nothing in this model varies among these people."])
    gone = [design.names[c] for c in range(1, design.matrix.shape[1]) if c not in independent]
    if gone:
        sentences.append(f"{', '.join(gone)}: a combination of earlier columns, so left out.")
    x = design.matrix[np.ix_(rows, kept)]
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    solved = _solved(x / spread, tied_times(time)[rows], event[rows], w[rows], engine)
    sentences += solved.sentences
    estimated = np.zeros(design.matrix.shape[1], dtype=bool)
    estimated[kept] = True
    estimable = estimated.copy()
    estimable[undetermined(design.matrix[rows], at, independent)] = False
    coefficients = np.full(design.matrix.shape[1], np.nan)
    coefficients[kept] = solved.beta / spread
    return Fit(
        method="cox",
        names=design.names,
        design=design,
        coefficients=coefficients,
        estimated=estimated,
        estimable=estimable,
        scores=solved.scores * spread,
        bread=np.linalg.inv(solved.information) / np.outer(spread, spread),
        rows=rows,
        n=len(time),
        events=int(event.sum()),
        log_likelihood=solved.log_likelihood,
        converged=not solved.sentences,
        iterations=solved.iterations,
        max_fitted_risk=float("nan"),
        no_reference=cells.no_reference,
        boundary=False,
        warnings=tuple(sentences),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    beta: FloatArray
    scores: FloatArray
    information: FloatArray
    log_likelihood: float
    iterations: int
    sentences: list[str]  # why there is no maximum


def _solved(x: FloatArray, time: FloatArray, event: FloatArray, w: FloatArray, engine: str) -> _Solved:
    """The maximum of the Efron partial likelihood by Newton's method with step halving, judged by score and step.

    The log-likelihood given back is that of weights with mean 1, as lifelines has it.
    """
    deaths = _deaths(time, event, w)
    start = np.zeros(x.shape[1]) if engine == "newton" else _by_lifelines(x, time, event, w)
    beta, iteration, moved = start, 0, np.inf
    value = _log_likelihood(x, w, beta, deaths)
    while iteration < MAX_ITERATIONS and moved >= 1e-9:
        iteration += 1
        scores, information = _scores(x, w, beta, deaths)
        try:
            step = np.linalg.solve(information, scores.sum(axis=0))
        except np.linalg.LinAlgError:
            break
        moved, size = float(np.max(np.abs(x @ step))), 1.0
        new = _log_likelihood(x, w, beta + step, deaths)
        while not new >= value - 1e-12 * abs(value) and size > 1e-12:
            size /= 2
            new = _log_likelihood(x, w, beta + size * step, deaths)
        if size <= 1e-12:
            break
        beta, value = beta + size * step, new
    scores, information = _scores(x, w, beta, deaths)
    short = float(np.max(np.abs(scores.sum(axis=0)) / np.maximum(np.abs(scores).sum(axis=0), 1e-300)))
    said = []
    if not moved < 1e-6:  # a coefficient on its way to infinity has a score near 0, but never a small step
        said.append("The Cox fit has no maximum: some people are separated from all events; no estimate is given.")
    elif not short < 1e-9:
        said.append(f"The Cox fit stopped short of the maximum (relative score {short:.1e}); no estimate is given.")
    if said:
        nothing = np.full(x.shape[1], np.nan)
        return _Solved(nothing, np.zeros_like(x), np.eye(x.shape[1]), float("nan"), iteration, said)
    mean = float(w.mean())
    value = (value + np.log(mean) * float(w[event == 1].sum())) / mean
    return _Solved(beta, scores, information, value, iteration, said)


def _by_lifelines(x: FloatArray, time: FloatArray, event: FloatArray, w: FloatArray) -> FloatArray:
    """The maximum as lifelines finds it, from which the certificate starts; zeros where it gives up."""
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    frame = frame.assign(_time=time, _event=event, _weight=w / w.mean())[w > 0]
    options = {"precision": 1e-12, "r_precision": 1e-14, "max_steps": 100}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitter = CoxPHFitter().fit(
                frame, "_time", "_event", weights_col="_weight", robust=True, fit_options=options
            )
    except (ConvergenceError, np.linalg.LinAlgError, ValueError):
        return np.zeros(x.shape[1])
    return np.asarray(fitter.params_, dtype=np.float64)


def efron_scores(
    x: FloatArray, time: FloatArray, event: FloatArray, w: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted score residuals (n, p) and information (p, p) of the Efron partial likelihood at `beta`."""
    return _scores(x, w, beta, _deaths(time, event, w))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Deaths:
    """Deaths, and who is at risk at them.

    A person is at risk at the first `reach` (n,) of the event times; `dead` (n,) marks deaths and `at` (d,) numbers
    their times. Sorted by time, one entry for each death: `time` (d,) its number, `gone` (d,) the share of the tied
    that went before, `share` (d,) the mean weight of the tied; `first` and `tied` (m,) are the first entry and the
    number of deaths of each time.
    """

    reach: IntArray
    dead: npt.NDArray[np.bool_]
    at: IntArray
    time: IntArray
    gone: FloatArray
    share: FloatArray
    first: IntArray
    tied: IntArray

    def at_risk(self, values: FloatArray) -> FloatArray:
        """Sums (m,) of values (n,) over those at risk."""
        sums = np.bincount(self.reach, weights=values, minlength=len(self.tied) + 1)
        return np.asarray(sums[::-1].cumsum()[::-1][1:])

    def dying(self, values: FloatArray) -> FloatArray:
        """Sums (m,) of values (n,) over those who die."""
        return np.bincount(self.at, weights=values[self.dead], minlength=len(self.tied)).astype(np.float64)

    def until_then(self, values: FloatArray) -> FloatArray:
        """Sums (n, ...) over the event times at which each person is at risk of values (d, ...)."""
        by_time = np.add.reduceat(values, self.first)
        return np.asarray(np.concatenate([np.zeros_like(by_time[:1]), np.cumsum(by_time, axis=0)])[self.reach])


def _deaths(time: FloatArray, event: FloatArray, w: FloatArray) -> _Deaths:
    dead = event == 1
    grid = np.unique(time[dead])
    reach = np.searchsorted(grid, time, side="right")
    at = reach[dead] - 1
    tied = np.bincount(at, minlength=len(grid))
    first = np.cumsum(tied) - tied
    number = np.repeat(np.arange(len(grid)), tied)
    gone = (np.arange(len(number)) - first[number]) / tied[number]
    share = (np.bincount(at, weights=w[dead], minlength=len(grid)) / tied)[number]
    return _Deaths(reach=reach, dead=dead, at=at, time=number, gone=gone, share=share, first=first, tied=tied)


def _log_likelihood(x: FloatArray, w: FloatArray, beta: FloatArray, deaths: _Deaths) -> float:
    eta = x @ beta
    with np.errstate(over="ignore", invalid="ignore"):
        hazard = w * np.exp(eta)
        left = deaths.at_risk(hazard)[deaths.time] - deaths.gone * deaths.dying(hazard)[deaths.time]
    if not (np.isfinite(left).all() and (left > 0).all()):
        return -np.inf
    return float(w[deaths.dead] @ eta[deaths.dead] - deaths.share @ np.log(left))


def _scores(x: FloatArray, w: FloatArray, beta: FloatArray, deaths: _Deaths) -> tuple[FloatArray, FloatArray]:
    """Of the k-th of tied deaths, with s0 and s1 the sums of hazard and hazard x x over those at risk, d0 and d1 over
    the tied, f = k / number tied: mean covariate (s1 - f d1) / (s0 - f d0), increment of the hazard 1 / (s0 - f d0)."""
    p = x.shape[1]
    time, f, dead, at = deaths.time, deaths.gone, deaths.dead, deaths.at
    hazard = w * np.exp(x @ beta)
    left = deaths.at_risk(hazard)[time] - f * deaths.dying(hazard)[time]
    jump, mean = deaths.share / left, np.empty((len(time), p))
    for c in range(p):
        weighted = hazard * x[:, c]
        mean[:, c] = (deaths.at_risk(weighted)[time] - f * deaths.dying(weighted)[time]) / left
    jump_mean = jump[:, None] * mean
    run, run_mean = deaths.until_then(jump), deaths.until_then(jump_mean)
    own = np.add.reduceat(f * jump, deaths.first)[at]  # the tied are at risk in their k-th step with weight 1 - f
    own_mean = np.add.reduceat(f[:, None] * jump_mean, deaths.first)[at]
    average = (np.add.reduceat(mean, deaths.first) / deaths.tied[:, None])[at]
    scores = -hazard[:, None] * (x * run[:, None] - run_mean)
    scores[dead] += w[dead][:, None] * (x[dead] - average) + hazard[dead][:, None] * (x[dead] * own[:, None] - own_mean)
    exposure = hazard * run
    exposure[dead] -= hazard[dead] * own
    information = (x * exposure[:, None]).T @ x - (mean * deaths.share[:, None]).T @ mean
    return scores, information
