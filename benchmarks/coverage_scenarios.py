"""The scenarios of coverage.py: which population, which truth, which estimators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from coverage_intervals import REPLICATES, Columns, FloatArray, Found
from coverage_marginal import (
    bootstrap_methods,
    case_based_methods,
    follow_up_methods,
    marginal_methods,
    misspecified_methods,
    stratified_methods,
    table_methods,
)
from coverage_people import (
    COMMON,
    FRACTION,
    HARMFUL,
    MARGINAL,
    NEAR_ONE,
    RARE,
    additive,
    clustered_draw,
    curve_draw,
    curve_truth,
    drawn,
    drawn_without_events,
    follow_up_draw,
    follow_up_truth,
    fraction_difference,
    interaction_draw,
    interaction_truth,
    marginal_truth,
    population_fraction,
    stratified_draw,
    table_draw,
    table_truth,
)
from coverage_regressions import (
    boundary_methods,
    clustered_methods,
    curve_methods,
    difference_methods,
    interaction_methods,
    odds_methods,
    ratio_methods,
    reduced_methods,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A population: `draw` (generator, n) gives columns, `analyse` (columns, number of the data set) the estimates.

    `truth` by target; `sets` data sets at each of `sizes`; `about` in one sentence.
    """

    about: str
    truth: Mapping[str, float]
    draw: Callable[[np.random.Generator, int], dict[str, FloatArray]]
    analyse: Callable[[Columns, int], Found]
    sizes: tuple[int, ...] = (200, 1000, 11000)
    sets: int = 2000


SCENARIOS: Mapping[str, Scenario] = {
    "common": Scenario(
        about="log-linear risk of about 20 %, true RR 0.6 of level 2 of three (a quarter of the people)",
        truth={"log RR": math.log(0.6)},
        draw=drawn(COMMON),
        analyse=ratio_methods,
    ),
    "rare": Scenario(
        about="the same with a risk of about 4 %",
        truth={"log RR": math.log(0.6)},
        draw=drawn(RARE),
        analyse=ratio_methods,
    ),
    "rare, harmful": Scenario(
        about="log-linear risk of about 5 %, true RR 1.8",
        truth={"log RR": math.log(1.8)},
        draw=drawn(HARMFUL),
        analyse=ratio_methods,
    ),
    "rare, a level without events": Scenario(
        about="those data sets of `rare` in which one of the two levels compared has no event",
        truth={"log RR": math.log(0.6)},
        draw=drawn_without_events(RARE),
        analyse=reduced_methods,
        sizes=(200,),
    ),
    "near 1": Scenario(
        about=f"log-linear risks up to {float(NEAR_ONE(np.full(1, 2.0), np.full(1, 2.0), np.ones(1))[0]):.2f}",
        truth={"log RR": math.log(1.25)},
        draw=drawn(NEAR_ONE),
        analyse=boundary_methods,
    ),
    "additive": Scenario(
        about="risk linear in all, about 20 %, true RD -0.08",
        truth={"RD": -0.08},
        draw=drawn(additive),
        analyse=difference_methods,
    ),
    "logistic": Scenario(
        about="logistic risk of about 30 %, marginal contrasts of level 2 of three, confounded",
        truth=marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=marginal_methods,
    ),
    "logistic, one model wrong": Scenario(
        about="the same; z left out of one of the two models",
        truth=marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=misspecified_methods,
    ),
    "attributable": Scenario(
        about="log-linear risk of about 23 %, true RR 1.3 and 1.8, confounded",
        truth={"PAF": population_fraction(FRACTION), "log RR": math.log(1.8), "RD": fraction_difference()},
        draw=drawn(FRACTION),
        analyse=case_based_methods,
    ),
    "logistic, resampled": Scenario(
        about=f"the same; bootstrap of {REPLICATES} resamples",
        truth=marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=bootstrap_methods,
    ),
    "odds": Scenario(
        about="logistic risk of about 30 %, true conditional OR exp(0.8)",
        truth={"log OR": 0.8},
        draw=drawn(MARGINAL),
        analyse=odds_methods,
    ),
    "two by two": Scenario(
        about="no covariates, risks of 6 % in half of the people and 3 % in the other half",
        truth=table_truth(),
        draw=table_draw,
        analyse=table_methods,
    ),
    "strata, ratio": Scenario(
        about="six strata, common RR 0.6",
        truth={"log RR": math.log(0.6)},
        draw=stratified_draw("ratio"),
        analyse=lambda data, k: {key: v for key, v in stratified_methods(data, k).items() if key[2] == "log RR"},
    ),
    "strata, difference": Scenario(
        about="six strata, common RD -0.08",
        truth={"RD": -0.08},
        draw=stratified_draw("difference"),
        analyse=lambda data, k: {key: v for key, v in stratified_methods(data, k).items() if key[2] == "RD"},
    ),
    "20 clusters": Scenario(
        about="exposure of whole clusters, intracluster correlation 0.1, true RR 0.7",
        truth={"log RR": math.log(0.7)},
        draw=clustered_draw(20),
        analyse=clustered_methods,
    ),
    "100 clusters": Scenario(
        about="the same with 100 clusters",
        truth={"log RR": math.log(0.7)},
        draw=clustered_draw(100),
        analyse=clustered_methods,
    ),
    "interaction": Scenario(
        about="joint ratios 1.5, 1.4 and 2.5, risk of about 22 %",
        truth=interaction_truth(),
        draw=interaction_draw,
        analyse=interaction_methods,
    ),
    "interaction, resampled": Scenario(
        about=f"the same; bootstrap of {REPLICATES} resamples",
        truth=interaction_truth(),
        draw=interaction_draw,
        analyse=lambda data, k: interaction_methods(data, k, resampled=True),
    ),
    "curve": Scenario(
        about="log risk a restricted cubic spline of four declared knots, risk of about 18 %",
        truth=curve_truth(),
        draw=curve_draw,
        analyse=curve_methods,
    ),
    "follow-up": Scenario(
        about="proportional hazards, risk of about 20 % by the horizon, a fifth lost before it",
        truth=follow_up_truth(),
        draw=follow_up_draw,
        analyse=follow_up_methods,
    ),
}
