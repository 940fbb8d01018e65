"""Power and precision of the design at hand: outcomes simulated on its own covariates and exposure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from walkrisk.errors import ModelFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor, build_design
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.power import (
    DesignAtHand,
    Simulated,
    closed_minimal,
    closed_power,
    expected_error,
    minimal_ratio,
    power_curve,
    simulate,
)
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate
from walkrisk.studies.kinds import category_names
from walkrisk.studies.precision import Power
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_model, seed_of
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]

SIMULATED = "modified_poisson"  # how each simulated study is analysed
CLOSED = "closed_form"
GRID = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97)  # powers, by the closed form, of the ratios simulated by default
DRAWN = 25  # points of the closed-form curve


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared analyses of power. Raises ModelFault where the main model gives no risks to start from."""
    for declared in ground.study.sensitivity.power:
        exposures = declared.exposures or exposures_of(ground.study)
        faults = []
        for exposure in exposures:
            try:
                _at_hand(ground, declared, exposure)
            except NoEstimate as none:
                faults.append(f"sensitivity.power ({declared.id}): {exposure}: {none.diagnostic.warnings}")
        if faults:
            raise ModelFault(faults)
        trials = [t for e in exposures for t in _trials(declared, e)]
        parts = tuple(Part(t.key, t.title, partial(_part, ground, declared, t)) for t in trials)
        yield Variation(declared.id, declared.title, parts, partial(_rows, ground, declared, trials))


# ---------------------------------------------------------------- the design


@dataclass(frozen=True, slots=True, eq=False)
class _AtHand:
    design: DesignAtHand
    level: str
    reference: str
    n: int
    events: int
    row: Estimate


def _at_hand(ground: Ground, declared: Power, exposure: str) -> _AtHand:
    """The main model's people with their risks at the reference, by modified Poisson. Raises NoEstimate."""
    model = main_model(ground.bench, exposure)
    frame, request = model.assembled.frame, replace(model.asked.request, analysis=declared.id)
    factor = frame.exposure
    assert isinstance(factor, Factor)
    levels = category_names(ground.study, exposure)
    level = ground.study.sensitivity.levels.get(exposure, levels[-1])
    weights = np.ones(frame.n) if frame.weights is None else frame.weights
    fit = fit_model(SIMULATED, build_design(frame.columns, frame.terms(), frame.n), frame.y, weights=frame.weights)
    columns = dict(zip(factor.labels[1:], fit.design.columns_of[factor], strict=True))
    if not fit.converged or level not in columns or not fit.estimable[columns[level]]:
        raise NoEstimate(request, f"The ratio of {level} is not estimable, so there are no risks to simulate from.")
    beta = np.where(fit.estimated, fit.coefficients, 0.0)
    pattern, own = np.zeros(len(beta)), np.zeros(len(beta))
    rank = {name: i for i, name in enumerate(factor.labels)}
    for name, column in columns.items():
        own[column] = beta[column]
        pattern[column] = rank[name] / rank[level] if declared.pattern == "steps" else float(name == level)
    kept = np.flatnonzero(fit.estimated)
    matrix = fit.design.matrix[fit.rows]
    design = DesignAtHand(
        x=np.ascontiguousarray(matrix[:, kept]),
        reference_risk=np.minimum(np.exp(matrix @ (beta - own)), 1.0),
        pattern=pattern[kept],
        column=int(np.searchsorted(kept, columns[level])),
        weights=weights[fit.rows],
    )
    row = Estimate(
        analysis=declared.id,
        exposure=exposure,
        level=level,
        reference=factor.labels[0],
        model=request.model,
        estimand="power",
        n=len(matrix),
        events=fit.events,
        method=SIMULATED,
        variance="HC0",
    )
    return _AtHand(design, level, factor.labels[0], len(matrix), fit.events, row)


# ---------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class _Trial:
    """One true ratio: on a side of 1 (0: 1 itself), declared or by the power the closed form gives it."""

    exposure: str
    side: int
    number: int
    ratio: float | None
    power: float | None

    @property
    def key(self) -> str:
        return f"{self.exposure}.{ {-1: 'below', 0: 'one', 1: 'above'}[self.side] }.{self.number}"

    @property
    def title(self) -> str:
        return f"{self.exposure}, true ratio {self.number + 1} { {-1: 'below', 0: 'at', 1: 'above'}[self.side] } 1"


def sides(declared: Power) -> list[tuple[int, str]]:
    """The sides of 1 that are simulated, with their names."""
    wanted = [(-1, "below"), (1, "above")]
    if declared.ratios:
        return [(s, name) for s, name in wanted if any((r - 1) * s > 0 for r in declared.ratios)]
    return [(s, name) for s, name in wanted if declared.direction in (name, "both")]


def stratum_of(side: str, power: float | None = None) -> str:
    """The stratum of a row: on which side of 1, with what power; or a true ratio of 1."""
    return "true ratio 1" if power is None else f"{side} 1, power {power:g}"


def _trials(declared: Power, exposure: str) -> Iterator[_Trial]:
    yield _Trial(exposure, 0, 0, 1.0, None)
    for side, _ in sides(declared):
        given = [r for r in declared.ratios if (r - 1) * side > 0]
        grid: list[tuple[float | None, float | None]] = [(r, None) for r in given] or [(None, p) for p in GRID]
        for i, (ratio, power) in enumerate(grid):
            yield _Trial(exposure, side, i, ratio, power)


def _part(ground: Ground, declared: Power, trial: _Trial) -> Arrays:
    """The true log ratio, how many detected it, how many have no estimate, the median SE, risks above 1."""
    design = _at_hand(ground, declared, trial.exposure).design
    z = ground.bench.z
    log_ratio = math.log(trial.ratio) if trial.ratio else _at_power(design, trial, z)
    if log_ratio is None:
        return {"trial": np.full(5, np.nan)}
    place = main_analysis(ground.study).exposures.index(trial.exposure)
    rng = seed_of(ground, declared.id, place, trial.side + 1, trial.number)
    found = simulate(design, log_ratio, declared.replicates, rng)
    return {"trial": np.array([log_ratio, *_counts(found, z)])}


def _at_power(design: DesignAtHand, trial: _Trial, z: float) -> float | None:
    assert trial.power is not None
    return closed_minimal(design, max(trial.power, 2 * NormalDist().cdf(-z) + 0.02), z, sign=trial.side)


def _counts(found: Simulated, z: float) -> tuple[float, float, float, float]:
    known = found.std_error[np.isfinite(found.std_error)]
    return (
        float(found.detected(z).sum()),
        float(np.isnan(found.std_error).sum()),
        float(np.median(known)) if len(known) else math.nan,
        float(found.above_one),
    )


# ---------------------------------------------------------------- rows


def _rows(ground: Ground, declared: Power, trials: Sequence[_Trial], parts: Sequence[Arrays]) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics: list[Diagnostic] = []
    for exposure in dict.fromkeys(t.exposure for t in trials):
        made = _at_hand(ground, declared, exposure)
        mine = [(t.side, p["trial"]) for t, p in zip(trials, parts, strict=True) if t.exposure == exposure]
        said: list[str] = []
        for side, name in ((0, "one"), *sides(declared)):
            found = np.array([row for s, row in mine if s == side and np.isfinite(row[0])])
            if not len(found):
                said.append(f"No ratio {name} 1 up to 50 (or 1/50) is detected with the powers asked for.")
                continue
            points += _points(declared, made, name, found, ground.bench.z)
            said += _said(name, found, declared.replicates)
            if side == 0:
                estimates += _at_one(declared, made, found[0], ground.bench.z)
            else:
                rows, sentences = _minimal(ground, declared, made, (side, name), found)
                estimates += rows
                said += sentences
            points += _closed_points(declared, made, side, name, found, ground.bench.z) if side else []
        diagnostics.append(_diagnostic(declared, made, said))
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def _points(declared: Power, made: _AtHand, name: str, found: FloatArray, z: float) -> Iterator[Point]:
    for log_ratio, hits, _, error, _ in found:
        base = Point(analysis=declared.id, exposure=made.row.exposure, level=made.level, series="", item=name)
        low, high = _wilson(hits, declared.replicates)
        share = hits / declared.replicates
        yield replace(base, series="power", x=math.exp(log_ratio), y=share, low=low, high=high, n=declared.replicates)
        yield replace(base, series="width", x=math.exp(log_ratio), y=math.exp(2 * z * error))


def _closed_points(
    declared: Power, made: _AtHand, side: int, name: str, found: FloatArray, z: float
) -> Iterator[Point]:
    furthest = float(np.abs(found[:, 0]).max()) * 1.05
    for t in np.linspace(0, furthest, DRAWN):
        log_ratio = side * float(t)
        yield Point(
            analysis=declared.id,
            exposure=made.row.exposure,
            level=made.level,
            series=CLOSED,
            item=name,
            x=math.exp(log_ratio),
            y=closed_power(made.design, log_ratio, z),
        )


def _wilson(hits: float, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    p, d = hits / count, 1 + z**2 / count
    middle, half = (p + z**2 / (2 * count)) / d, z / d * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _at_one(declared: Power, made: _AtHand, found: FloatArray, z: float) -> list[Estimate]:
    """How often a ratio of 1 is called one, and how wide intervals are then: upper over lower limit."""
    low, high = _wilson(found[1], declared.replicates)
    size = replace(
        made.row, stratum=stratum_of("one"), estimate=found[1] / declared.replicates, conf_low=low, conf_high=high
    )
    width = replace(made.row, stratum=stratum_of("one"), estimand="interval_ratio", estimate=math.exp(2 * z * found[3]))
    closed = math.exp(2 * z * expected_error(made.design, 0.0))
    return [size, width, replace(width, method=CLOSED, estimate=closed)]


def _minimal(
    ground: Ground, declared: Power, made: _AtHand, side: tuple[int, str], found: FloatArray
) -> tuple[list[Estimate], list[str]]:
    """The smallest detectable ratios on a side of 1, simulated and in closed form."""
    (sign, name), z = side, ground.bench.z
    rows, said = [], []
    try:
        curve = power_curve(
            made.design, found[:, 0], found[:, 1].astype(np.intp), np.full(len(found), declared.replicates)
        )
    except ValueError as error:
        curve = None
        said.append(f"Ratios {name} 1: {error}")
    for power in declared.powers:
        blank = replace(made.row, stratum=stratum_of(name, power), estimand="minimal_detectable_ratio")
        closed = closed_minimal(made.design, power, z, sign=sign)
        rows.append(replace(blank, method=CLOSED, estimate=None if closed is None else math.exp(closed)))
        least = minimal_ratio(made.design, curve, power, sign=sign) if curve else None
        if least is None:
            rows.append(blank)
            said.append(f"No ratio {name} 1 up to 50 (or 1/50) is detected with power {power:g}.")
            continue
        low, high = least.limits(z)
        rows.append(replace(blank, estimate=least.ratio, std_error=least.std_error, conf_low=low, conf_high=high))
    return rows, said


def _said(name: str, found: FloatArray, replicates: int) -> list[str]:
    out = []
    if found[:, 2].any():
        out.append(
            f"Of {len(found) * replicates} simulated studies with a true ratio {name if name != 'one' else 'of'} 1, "
            f"{int(found[:, 2].sum())} had no maximum; they count as having detected nothing."
        )
    if found[:, 4].any():
        out.append(
            f"With true ratios {name} 1, up to {int(found[:, 4].max())} people would have risks above 1, which were "
            "set to 1."
        )
    return out


def _diagnostic(declared: Power, made: _AtHand, said: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        analysis=declared.id,
        exposure=made.row.exposure,
        stratum="",
        model=made.row.model,
        method=SIMULATED,
        n=made.n,
        events=made.events,
        parameters=made.design.x.shape[1],
        converged=True,
        iterations=0,
        boundary=False,
        max_fitted_risk=float(made.design.reference_risk.max()),
        log_likelihood=None,
        warnings=" ".join(dict.fromkeys(said)),
    )
