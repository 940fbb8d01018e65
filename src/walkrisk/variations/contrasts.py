"""The main model of an exposure fitted, category by category, to be taken apart by people or groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor
from walkrisk.models.fit import Fit
from walkrisk.studies.analyse import ratio_rows
from walkrisk.studies.fitting import NoEstimate
from walkrisk.variations.ground import Ground, MainModel, main_analysis, main_fit, main_model

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """A main model of an exposure fitted, with the row and the place (among estimated columns) of each category."""

    model: MainModel
    fit: Fit
    rows: tuple[Estimate, ...]
    positions: tuple[int, ...]

    @property
    def weights(self) -> FloatArray:
        """Weights (n,) of the model's rows."""
        frame = self.model.assembled.frame
        return np.ones(frame.n) if frame.weights is None else frame.weights


def contrasts(ground: Ground, exposure: str) -> Contrasts:
    """The main model of an exposure with its ratios under the first variance.

    Raises NoEstimate where the main model has no Wald variance, or no category has a ratio.
    """
    model = main_model(ground.bench, exposure)
    fitted, terms = main_fit(ground.bench, exposure)
    fit, factor = fitted.fit, terms[0]
    assert isinstance(factor, Factor)
    request = model.asked.request
    if not (fit.converged and fit.wald):
        raise NoEstimate(request, "The main model has no maximum inside its domain, so people are not left out of it.")
    columns = dict(zip(factor.labels[1:], fit.design.columns_of[factor], strict=True))
    found = ratio_rows(ground.bench, main_analysis(ground.study), exposure)
    rows = [
        e
        for e in found.estimates
        if e.variance == request.variances[0] and e.estimate is not None and e.std_error and e.level in columns
    ]
    if not rows:
        raise NoEstimate(request, "No category has a ratio in the main model, so nothing rests on anybody.")
    return Contrasts(model, fit, tuple(rows), tuple(fit.position((columns[e.level],))[0] for e in rows))


def emptied(row: Estimate, **changed: Any) -> Estimate:
    """A row without its numbers, with something changed."""
    bare = replace(row, estimate=None, std_error=None, conf_low=None, conf_high=None, p_value=None)
    return replace(bare, **changed)
