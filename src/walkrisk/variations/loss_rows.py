"""The rows of weights for loss to follow-up, from the arrays of one data set or of imputed ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.balance import balance_table
from walkrisk.estimates.characteristics import describe
from walkrisk.estimates.results import Characteristic, Diagnostic, Point
from walkrisk.estimates.rows import Estimate, ratio
from walkrisk.estimates.weighting import Weights
from walkrisk.sensitivity.loss_weights import PERCENTILES, spread
from walkrisk.sensitivity.pooling import pool_scalar
from walkrisk.studies.bench import Rows
from walkrisk.studies.losses import LossWeights
from walkrisk.studies.names import variables_of
from walkrisk.studies.vocabulary import estimand_of
from walkrisk.variations.ground import Ground, exposures_of, main_analysis
from walkrisk.variations.loss_sample import default_covariates, described_covariate, describing, eligible_people
from walkrisk.variations.variation import Arrays

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Numbers = dict[str, npt.NDArray[np.generic]]

KNOWN = " weights_known"  # added to the name of a variance that takes the weights as known
FOLLOWED, LOST = "Followed up", "Lost to follow-up"
COUNTS = ("eligible", "followed", "lost", "unlikely", "models", "parameters")
SPREAD = (
    *("n", "mean", "sd", "smallest", "largest", "truncated", "in_model", "effective"),
    *(f"p{p:g}" for p in PERCENTILES),
)
BINS = 24


def spread_numbers(weights: Weights, categories: FloatArray, levels: int, *, model: BoolArray) -> Numbers:
    """The spread of the weights of those followed, and their histogram (K, BINS) by category with its edges
    (BINS + 1,); and how many enter the weighted `model` (n,), with the effective sample size of these."""
    found = spread(weights)
    entering = spread(replace(weights, values=weights.values * model))
    values = [found.n, found.mean, found.std, found.smallest, found.largest, found.truncated]
    values += [entering.n, entering.effective]
    used = weights.values > 0
    w = weights.values[used]
    low, high = float(w.min()), float(w.max())
    edges = np.linspace(low, high if high > low else low + 1e-6, BINS + 1)
    by_level = [np.histogram(w[categories[used] == k], bins=edges)[0] for k in range(1, levels + 1)]
    return {
        "spread": np.array([*values, *found.percentiles.values()], dtype=np.float64),
        "bins": np.array(by_level, dtype=np.float64),
        "edges": edges,
    }


def rows(ground: Ground, declared: LossWeights, sets: Sequence[Arrays]) -> Rows:
    """Ratio rows (pooled over sets if there are several), counts, points of the figures, diagnostics."""
    exposures = exposures_of(ground.study)
    estimates: list[Estimate] = list(_count_rows(declared, sets))
    points: list[Point] = list(_balance_points(declared, sets))
    for exposure in exposures:
        estimates += _ratio_rows(ground, declared, exposure, sets)
        estimates += _lost_rows(ground, declared, exposure, sets)
        points += _spread_points(declared, exposure, sets)
        if len(sets) == 1:
            points += _histogram_points(ground, declared, exposure, sets[0])
    described, differences = _characteristics(ground, declared)
    return Rows(
        estimates=tuple(estimates),
        diagnostics=tuple(_diagnostics(ground, declared, sets)),
        points=(*points, *differences),
        characteristics=tuple(described),
    )


def _labels(ground: Ground, exposure: str) -> tuple[str, ...]:
    return ground.bench.labels()[exposure]


def _ratio_rows(ground: Ground, declared: LossWeights, exposure: str, sets: Sequence[Arrays]) -> Iterator[Estimate]:
    analysis = main_analysis(ground.study)
    method = analysis.method or ground.study.settings.method
    labels, first = _labels(ground, exposure), sets[0]
    reference = int(first[f"{exposure}.reference"][0])
    names = [str(v) for v in first[f"{exposure}.variance_names"]]
    logs = np.array([s[f"{exposure}.log"] for s in sets])
    variances = np.array([s[f"{exposure}.variances"] for s in sets])
    n = np.array([s[f"{exposure}.n"] for s in sets]).mean(axis=0)
    events = np.array([s[f"{exposure}.events"] for s in sets]).mean(axis=0)
    dfcom = min(float(s[f"{exposure}.fit"][0] - s[f"{exposure}.fit"][2]) for s in sets)
    for v, variance in enumerate(names):
        for k, label in enumerate(labels):
            base = Estimate(
                analysis=declared.id,
                exposure=exposure,
                level=label,
                reference=labels[reference],
                model=analysis.models[0],
                estimand=estimand_of(method, analysis.estimand),
                n=round(float(n[k])),
                events=round(float(events[k])),
                method=method,
                variance=variance,
            )
            if k == reference:
                yield replace(base, estimate=1.0)
            elif not np.isfinite(logs[:, k]).all():
                yield base
            elif len(sets) == 1:
                yield ratio(base, float(logs[0, k]), float(np.sqrt(variances[0, v, k])), ground.bench.z)
            else:
                yield _pooled(base, logs[:, k], variances[:, v, k], dfcom, ground.study.settings.conf_level)


def _pooled(base: Estimate, logs: FloatArray, variances: FloatArray, dfcom: float, conf_level: float) -> Estimate:
    made = pool_scalar(logs, variances, dfcom=dfcom, conf_level=conf_level)
    middle, low, high = (float(np.exp(v)) for v in (made.estimate, made.conf_low, made.conf_high))
    return replace(base, estimate=middle, std_error=made.std_error, conf_low=low, conf_high=high, p_value=made.p_value)


def _count_rows(declared: LossWeights, sets: Sequence[Arrays]) -> Iterator[Estimate]:
    counts = np.array([s["counts"] for s in sets], dtype=np.float64).mean(axis=0)
    for what, value in zip(COUNTS, counts, strict=True):
        yield Estimate(analysis=declared.id, level=what, estimand="count", n=round(float(value)), estimate=float(value))
    yield Estimate(
        analysis=declared.id,
        level="lost",
        estimand="share",
        n=round(float(counts[0])),
        estimate=float(counts[2] / counts[0]),
    )


def _lost_rows(ground: Ground, declared: LossWeights, exposure: str, sets: Sequence[Arrays]) -> Iterator[Estimate]:
    """The share lost of each category of an exposure; `n` are those eligible."""
    mean = np.array([s[f"{exposure}.lost_by_level"] for s in sets], dtype=np.float64).mean(axis=0)
    for label, people, lost in zip(_labels(ground, exposure), *mean, strict=True):
        yield Estimate(
            analysis=declared.id,
            exposure=exposure,
            level=label,
            estimand="share",
            n=round(float(people)) if np.isfinite(people) else None,
            estimate=float(lost / people) if people and np.isfinite(people) else None,
        )


def _spread_points(declared: LossWeights, exposure: str, sets: Sequence[Arrays]) -> Iterator[Point]:
    mean = np.array([s[f"{exposure}.spread"] for s in sets], dtype=np.float64).mean(axis=0)
    for what, value in zip(SPREAD, mean, strict=True):
        whole = what in ("n", "truncated", "in_model", "effective")
        yield Point(
            analysis=declared.id,
            exposure=exposure,
            series="weights",
            item=what,
            y=float(value),
            n=round(float(value)) if whole else None,
        )


def _histogram_points(ground: Ground, declared: LossWeights, exposure: str, only: Arrays) -> Iterator[Point]:
    """People in each bin of the weights by category: x its lower edge, low and high its edges, y the share in it."""
    edges = np.asarray(only[f"{exposure}.edges"], dtype=np.float64)
    for label, counts in zip(_labels(ground, exposure), np.asarray(only[f"{exposure}.bins"]), strict=True):
        total = float(counts.sum())
        for i, count in enumerate(counts):
            yield Point(
                analysis=declared.id,
                exposure=exposure,
                level=label,
                series="histogram",
                x=float(edges[i]),
                y=float(count) / total if total else 0.0,
                low=float(edges[i]),
                high=float(edges[i + 1]),
                n=int(count),
            )


def _balance_points(declared: LossWeights, sets: Sequence[Arrays]) -> Iterator[Point]:
    """Standardised differences of the followed from everyone eligible: x without weights, y with them."""
    named = [tuple(map(str, pair)) for pair in sets[0]["balance_of"]]
    found = [dict(zip([tuple(map(str, p)) for p in s["balance_of"]], s["balance"], strict=True)) for s in sets]
    for name, level in named:
        values = np.array([f[name, level] for f in found if (name, level) in f], dtype=np.float64).mean(axis=0)
        yield Point(
            analysis=declared.id,
            series="balance",
            item=name,
            level=level,
            x=_finite(values[0]),
            y=_finite(values[1]),
        )
    yield from _largest(declared, sets)
    yield from _chances(declared, sets)


def _largest(declared: LossWeights, sets: Sequence[Arrays]) -> Iterator[Point]:
    """The largest absolute standardised differences of all: x without weights, y with them."""
    values = np.array([np.nanmax(np.abs(s["balance"][:, :2]), axis=0) for s in sets]).mean(axis=0)
    yield Point(analysis=declared.id, series="balance_largest", x=_finite(values[0]), y=_finite(values[1]))


def _chances(declared: LossWeights, sets: Sequence[Arrays]) -> Iterator[Point]:
    mean = np.array([s["chance"] for s in sets], dtype=np.float64).mean(axis=0)
    for what, value in zip(("smallest", "largest", "mean"), mean, strict=True):
        yield Point(analysis=declared.id, series="chance", item=what, y=float(value))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _characteristics(ground: Ground, declared: LossWeights) -> tuple[list[Characteristic], list[Point]]:
    """Those followed and those lost, as read, described; none if earlier weights have described the same people."""
    same = [d for d in ground.study.sensitivity.losses if (d.steps, d.also) == (declared.steps, declared.also)]
    if same[0].id != declared.id:
        return [], []
    people, variables = eligible_people(ground, ground.bench, declared), variables_of(ground.study)
    names = describing(ground.study, declared.covariates or default_covariates(ground.study))
    groups = {FOLLOWED: people.followed, LOST: ~people.followed}
    table = f"{declared.id}_followed"
    described = list(describe(table, people.sample.columns, [variables[n] for n in names.values()], groups))
    return described, list(_difference_points(ground, declared, tuple(names.values())))


def _difference_points(ground: Ground, declared: LossWeights, names: Sequence[str]) -> Iterator[Point]:
    """Standardised differences, lost less followed, of the variables described: item the variable, level its code."""
    people = eligible_people(ground, ground.bench, declared)
    covariates = [described_covariate(ground.study, people.sample, name) for name in names]
    group = np.where(people.followed, 0, 1).astype(np.intp)
    both = [c for c in covariates if all((~np.isnan(c.values[group == g])).any() for g in (0, 1))]
    table = balance_table(both, group, (FOLLOWED, LOST))
    for row in table.rows:
        if row.kind == "categorical" and row.level == "":
            continue
        yield Point(
            analysis=declared.id, series="lost", item=row.covariate, level=row.level, x=_finite(row.standardised)
        )


def _diagnostics(ground: Ground, declared: LossWeights, sets: Sequence[Arrays]) -> Iterator[Diagnostic]:
    """The model of loss, and the weighted model of each exposure."""
    analysis = main_analysis(ground.study)
    counts = np.array([s["counts"] for s in sets], dtype=np.float64).mean(axis=0)
    yield _diagnostic(
        declared, "", "loss to follow-up", "logistic", (counts[0], counts[2], counts[5]), _said(sets, "said")
    )
    for exposure in exposures_of(ground.study):
        fit = np.array([s[f"{exposure}.fit"] for s in sets], dtype=np.float64).mean(axis=0)
        made = _diagnostic(
            declared,
            exposure,
            analysis.models[0],
            analysis.method or ground.study.settings.method,
            (fit[0], fit[1], fit[2]),
            _said(sets, f"{exposure}.said"),
        )
        yield replace(made, iterations=round(float(fit[3])), max_fitted_risk=_finite(fit[4]))


def _said(sets: Sequence[Arrays], name: str) -> str:
    """The sentences of the sets; those that not all of them have count the sets."""
    times: dict[str, int] = {}
    for s in sets:
        for text in s[name]:
            if str(text):
                times[str(text)] = times.get(str(text), 0) + 1
    if len(sets) == 1:
        return " ".join(times)
    common = [t for t, k in times.items() if k == len(sets)]
    rest = len(times) - len(common)
    return " ".join([*common, *([f"{rest} further sentences differ between imputed sets."] if rest else [])])


def _diagnostic(
    declared: LossWeights, exposure: str, model: str, method: str, counts: tuple[float, float, float], said: str
) -> Diagnostic:
    n, events, parameters = (round(float(v)) for v in counts)
    return Diagnostic(
        analysis=declared.id,
        exposure=exposure,
        stratum="",
        model=model,
        method=method,
        n=n,
        events=events,
        parameters=parameters,
        converged=True,
        iterations=0,
        boundary=False,
        max_fitted_risk=None,
        log_likelihood=None,
        warnings=said,
    )
