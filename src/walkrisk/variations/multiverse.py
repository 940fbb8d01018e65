"""Multiverses: every specification estimated, tested together, and its variation divided among the decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.errors import DataFault
from walkrisk.estimates.results import Point, Specification
from walkrisk.estimates.rows import Estimate
from walkrisk.sensitivity.specification_curve import STATISTICS, Together, joint_p, shares_of_variance
from walkrisk.studies.bench import Rows
from walkrisk.studies.kinds import category_names
from walkrisk.studies.multiverse import Multiverse
from walkrisk.variations.ground import Ground, exposures_of, seed_of
from walkrisk.variations.multiverse_null import NULLS, null_part, validation_part
from walkrisk.variations.specifications import Found, Specified, specified
from walkrisk.variations.specified_blocks import solved
from walkrisk.variations.specified_samples import Workshop
from walkrisk.variations.variation import Arrays, Part, Variation, whichever_can

FloatArray = npt.NDArray[np.float64]

A_PART = 256  # specifications of a part
INNER = (0.025, 0.975)


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared multiverses. Raises DataFault where no specification of one has anybody to analyse."""
    return whichever_can(partial(_planned, ground, declared) for declared in ground.study.sensitivity.multiverses)


def specifications(ground: Ground, declared: Multiverse, exposure: str) -> list[Specified]:
    """The specifications of an exposure: all admissible ones, or a random so many, the study's own first."""
    found = list(declared.combinations(exposure))
    own = declared.reference
    if declared.sample is not None and declared.sample < len(found):
        others = [places for places in found if places != own]
        random = seed_of(ground, declared.id, 0)
        taken = sorted(random.choice(len(others), declared.sample - 1, replace=False).tolist())
        found = [own, *(others[i] for i in taken)]
    else:
        found = [own, *(places for places in found if places != own)]
    return [specified(ground.study, declared, number, places) for number, places in enumerate(found, start=1)]


def _planned(ground: Ground, declared: Multiverse) -> Variation:
    followed = declared.exposures or exposures_of(ground.study)
    shop = Workshop(ground, {exposure: specifications(ground, declared, exposure) for exposure in followed})
    parts: list[Part] = []
    for exposure, specs in shop.specs.items():
        anyone = {(s.data, s.people): s for s in specs if shop.sets(s) == (None,)}
        if anyone and not any(shop.included(s).any() for s in anyone.values()):
            raise DataFault(
                f"sensitivity.multiverses ({declared.id}): nobody is left in any specification of {exposure}; "
                "take some restrictions out."
            )
        ordered = in_order(specs)
        for i in range(0, len(ordered), A_PART):
            some = ordered[i : i + A_PART]
            title = f"specifications {i + 1} to {i + len(some)} of {len(ordered)} ({exposure})"
            work = partial(_specifications_part, shop, some, exposure, declared.scale)
            parts.append(Part(f"{exposure}_specifications_{i // A_PART + 1}", title, work))
        for i in range(0, declared.permutations + (declared.permutations > 0), NULLS):
            number = min(NULLS, declared.permutations + 1 - i)
            title = f"data sets without association {i + 1} to {i + number} ({exposure})"
            work = partial(null_part, shop, declared, exposure, i, number)
            parts.append(Part(f"{exposure}_null_{i // NULLS + 1}", title, work))
        if declared.permutations and declared.null == "shuffled":
            work = partial(validation_part, shop, declared, exposure)
            parts.append(Part(f"{exposure}_validation", f"one-step estimates against refits ({exposure})", work))
    return Variation(declared.id, declared.title, tuple(parts), partial(_finish, ground, declared, shop, parts))


def in_order(specs: Sequence[Specified]) -> list[Specified]:
    """Specifications with those that share covariates and estimator next to each other, as they are solved together."""

    def key(s: Specified) -> tuple[object, ...]:
        covariates = s.study.models[s.analysis.models[0]].covariates
        return (repr(s.missing), covariates, s.method, s.data, s.people, repr(s.form), s.number)

    return sorted(specs, key=key)


def _specifications_part(shop: Workshop, specs: Sequence[Specified], exposure: str, scale: str) -> Arrays:
    found = solved(shop, specs, exposure, scale=scale)

    def numbers(name: str) -> FloatArray:
        return np.array([np.nan if getattr(f, name) is None else getattr(f, name) for f in found], dtype=np.float64)

    out: dict[str, npt.NDArray[np.generic]] = {
        name: numbers(name) for name in ("n", "events", "log_ratio", "std_error", "conf_low", "conf_high", "p_value")
    }
    out["number"] = np.array([s.number for s in specs], dtype=np.int64)
    for name in ("level", "reference", "warnings"):
        out[name] = np.array([getattr(f, name) for f in found], dtype=np.str_)
    return out


def _finish(
    ground: Ground,
    declared: Multiverse,
    shop: Workshop,
    parts: Sequence[Part],
    made: Sequence[Arrays],
) -> Rows:
    left = {part.key: arrays for part, arrays in zip(parts, made, strict=True)}
    estimates: list[Estimate] = []
    points: list[Point] = []
    rows: list[Specification] = []
    for exposure, specs in shop.specs.items():
        mine = {key: arrays for key, arrays in left.items() if key.startswith(f"{exposure}_")}
        blocks = [a for key, a in mine.items() if "_specifications_" in key]
        found = _found(blocks)
        own = [_row(declared, exposure, spec, found[spec.number]) for spec in specs]
        rows += own
        estimates += _headline(ground, declared, exposure, own)
        estimates += _shares(declared, exposure, specs, found)
        points += _options(declared, exposure, specs, found)
        nulls = [a for key, a in mine.items() if "_null_" in key]
        if nulls:
            more, drawn = _joint(ground, declared, exposure, nulls, mine.get(f"{exposure}_validation"), found)
            estimates += more
            points += drawn
    return Rows(estimates=tuple(estimates), points=tuple(points), specifications=tuple(rows))


def _found(blocks: Sequence[Arrays]) -> dict[int, Found]:
    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    out = {}
    for a in blocks:
        for i, number in enumerate(a["number"].tolist()):
            out[number] = Found(
                n=int(a["n"][i]),
                events=int(a["events"][i]),
                log_ratio=known(a["log_ratio"][i]),
                std_error=known(a["std_error"][i]),
                conf_low=known(a["conf_low"][i]),
                conf_high=known(a["conf_high"][i]),
                p_value=known(a["p_value"][i]),
                level=str(a["level"][i]),
                reference=str(a["reference"][i]),
                warnings=str(a["warnings"][i]),
            )
    return out


def _row(declared: Multiverse, exposure: str, spec: Specified, found: Found) -> Specification:
    return Specification(
        analysis=declared.id,
        exposure=exposure,
        level=found.level,
        reference=found.reference,
        specification=spec.number,
        choices=declared.words(spec.places),
        n=found.n,
        events=found.events,
        estimate=None if found.log_ratio is None else float(np.exp(found.log_ratio)),
        std_error=found.std_error,
        conf_low=found.conf_low,
        conf_high=found.conf_high,
        p_value=found.p_value,
        warnings=found.warnings,
    )


def _headline(ground: Ground, declared: Multiverse, exposure: str, rows: Sequence[Specification]) -> Iterator[Estimate]:
    known = np.array([r.estimate for r in rows if r.estimate is not None])
    names = category_names(ground.study, exposure)
    base = Estimate(analysis=declared.id, exposure=exposure, estimand="count")
    for level, value in (("specifications", len(rows)), ("without estimate", len(rows) - len(known))):
        yield _with(base, level=level, estimate=float(value))
    if not len(known):
        return
    logs = np.log(known)
    low, middle, high = np.exp(np.quantile(logs, [INNER[0], 0.5, INNER[1]]))
    yield _with(
        base,
        estimand="risk_ratio",
        level=ground.study.sensitivity.levels.get(exposure, names[-1]),
        reference=names[0],
        estimate=float(middle),
        conf_low=float(low),
        conf_high=float(high),
        method="median_of_specifications",
    )
    for level, end in (("smallest", known.min()), ("largest", known.max())):
        yield _with(base, estimand="extreme_ratio", level=level, estimate=float(end))
    limits = [(r.conf_low, r.conf_high) for r in rows if r.conf_low is not None and r.conf_high is not None]
    shares = {"below no association": float((known < 1).mean())}
    if limits:
        shares["interval below no association"] = float(np.mean([high < 1 for _, high in limits]))
        shares["interval above no association"] = float(np.mean([low > 1 for low, _ in limits]))
    for level, share in shares.items():
        yield _with(base, estimand="share", level=level, estimate=share)


def _with(base: Estimate, **changes: Any) -> Estimate:
    return replace(base, **changes)


def _known(specs: Sequence[Specified], found: Mapping[int, Found]) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Options (K, D) and log ratios (K,) of the specifications that have an estimate."""
    has = [s for s in specs if found[s.number].log_ratio is not None]
    places = np.array([s.places for s in has], dtype=np.intp)
    return places, np.array([found[s.number].log_ratio for s in has], dtype=np.float64)


def _shares(
    declared: Multiverse, exposure: str, specs: Sequence[Specified], found: Mapping[int, Found]
) -> Iterator[Estimate]:
    places, logs = _known(specs, found)
    if len(logs) < 2:
        return
    shares = shares_of_variance(places, logs)
    base = Estimate(analysis=declared.id, exposure=exposure, estimand="share_of_variance")
    for j, (decision, share) in enumerate(zip(declared.decisions, shares.decisions.tolist(), strict=True)):
        varied = len(np.unique(places[:, j])) > 1
        yield _with(base, level=decision.id, estimate=share if varied else None)
    yield _with(base, level="interactions", estimate=shares.interactions)
    yield _with(base, estimand="sd_log_ratio", level="all", estimate=float(np.sqrt(shares.variance)))


def _options(
    declared: Multiverse, exposure: str, specs: Sequence[Specified], found: Mapping[int, Found]
) -> Iterator[Point]:
    """The median and the range of estimates under each option; x is the number of specifications."""
    places, logs = _known(specs, found)
    for j, decision in enumerate(declared.decisions):
        for i, o in enumerate(decision.options):
            mine = logs[places[:, j] == i] if len(logs) else logs
            if not len(mine):
                continue
            low, middle, high = (float(np.exp(v)) for v in (mine.min(), np.median(mine), mine.max()))
            yield Point(
                analysis=declared.id,
                exposure=exposure,
                series="option",
                item=f"{decision.id}={o.id}",
                x=float(len(mine)),
                y=middle,
                low=low,
                high=high,
            )


def _joint(
    ground: Ground,
    declared: Multiverse,
    exposure: str,
    nulls: Sequence[Arrays],
    validation: Arrays | None,
    found: Mapping[int, Found],
) -> tuple[list[Estimate], list[Point]]:
    drawn = {name: np.concatenate([a[name] for a in nulls]) for name in STATISTICS}
    whole = Together(**drawn)
    observed = Together(**{n: v[:1] for n, v in drawn.items()})
    null = Together(**{n: v[1:] for n, v in drawn.items()})
    base = Estimate(analysis=declared.id, exposure=exposure, estimand="joint", method=declared.null)
    numbers = nulls[0]["numbers"]
    rows = [_with(base, estimand="count", level="in the joint test", estimate=float(len(numbers)))]
    if len(numbers):
        p = joint_p(observed, null)
        for name in STATISTICS:
            value = float(getattr(whole, name)[0])
            value = float(np.exp(value)) if name == "median" else value
            rows.append(_with(base, level=name, estimate=value, p_value=p[name]))
        full = np.array([found[int(n)].log_ratio for n in numbers], dtype=np.float64)
        gap = float(np.nanmedian(np.abs(full - nulls[0]["one_step"]) / nulls[0]["one_step_se"]))
        rows.append(_with(base, estimand="one_step_deviation", level="as observed", estimate=gap))
    if validation is not None and len(validation["full"]):
        off = np.abs(validation["full"] - validation["one_step"]) / validation["std_error"]
        rows.append(_with(base, estimand="one_step_deviation", level="shuffled, largest", estimate=float(off.max())))
        rows.append(_with(base, estimand="count", level="refitted", estimate=float(len(off))))
    points = [
        Point(analysis=declared.id, exposure=exposure, series="null_median", x=float(i), y=float(np.exp(v)))
        for i, v in enumerate(null.median.tolist(), start=1)
    ]
    return rows, points
