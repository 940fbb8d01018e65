"""Risk ratios by duplicating cases: a logistic model whose odds are risks.

Everyone with the outcome is entered a second time, without it. If a person's risk is p, the rows with and without the
outcome are then p and 1, so that the odds of the duplicated sample are risks and its log odds ratios log risk ratios.

Reference: Schouten et al. 1993 doi 10.1002/sim.4780121808.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, empty_fit, fit_model

FloatArray = npt.NDArray[np.float64]

METHOD = "case_duplication"


def case_duplication(
    design: Design, y: FloatArray, *, weights: FloatArray | None = None, engine: str = "newton"
) -> Fit:
    """Log risk ratios of a 0/1 outcome (n,) by logistic regression on the duplicated sample, as a fit of n people.

    With copies c of person i, mu the logistic mean and w the weight, the score is folded back to people,
    u_i = sum_c w_i x_i (y_ic - mu_i): a robust variance of this fit is the one clustered on people (HC0 of it is CR0 of
    the duplicated sample, `stata` has the factor n/(n-1)), and cluster or survey variances take people's own clusters.
    A model-based variance would count cases twice: `dispersion` is NaN, so that it is NaN too; variances that adjust
    for leverage are refused; `log_likelihood` would be that of no sample, and is NaN.

    Raises ValueError for what no model can be fitted to (as `fit_model`), or lengths that differ.
    """
    y = np.asarray(y, dtype=np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(w) == len(y) == len(design.matrix):
        raise ValueError("Outcome and weights must have a value for each row of the design.")
    if (w > 0).any() and y[w > 0].all():
        said = ["Everyone in this sample has the outcome, so there is no contrast of risks."]
        return empty_fit(METHOD, design, y, said)
    cases = np.flatnonzero(y == 1)
    twice = Design(
        np.asfortranarray(np.vstack([design.matrix, design.matrix[cases]])),
        design.names,
        design.columns_of,
        {term: np.concatenate([cell, cell[cases]]) for term, cell in design.cells.items()},
    )
    made = fit_model(
        "logistic",
        twice,
        np.concatenate([y, np.zeros(len(cases))]),
        weights=np.concatenate([w, w[cases]]),
        engine=engine,
    )
    return _folded(made, design, y, w, cases)


def _folded(made: Fit, design: Design, y: FloatArray, w: FloatArray, cases: npt.NDArray[np.intp]) -> Fit:
    n = len(y)
    if not made.bread.size:
        return replace(empty_fit(METHOD, design, y, []), warnings=_own_words(made.warnings))
    rows = made.rows[:n]
    q = made.scores.shape[1]
    scores = np.zeros((n + len(cases), q))
    scores[made.rows] = made.scores
    folded = scores[:n].copy()
    folded[cases] += scores[n:]
    at = np.flatnonzero(made.estimated)
    with np.errstate(over="ignore"):
        risk = np.exp(design.matrix[np.ix_(rows, at)] @ made.coefficients[at])
    top = float(risk.max())
    sentences = list(_own_words(made.warnings))
    if made.converged and top > 1:
        sentences.append(
            f"{int((risk > 1).sum())} fitted risks exceed 1 (largest {top:.3f}); "
            "risk ratios stay consistent, predicted risks do not."
        )
    return replace(
        made,
        method=METHOD,
        link="log",
        design=design,
        scores=folded[rows],
        rows=rows,
        n=n,
        log_likelihood=float("nan"),
        max_fitted_risk=top,
        warnings=tuple(sentences),
        outcome=y[rows],
        weights=w[rows],
        working=None,
        everyone=None,
        dispersion=float("nan"),
    )


def _own_words(sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(s.replace("The logistic fit", "The case-duplication fit") for s in sentences)
