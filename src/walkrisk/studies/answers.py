"""The Python doors asked by a declared study: a request's people as a question, the answer as rows of the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.cohorts.samples import Sample
from walkrisk.doors.regression import Asking
from walkrisk.doors.results import Estimates
from walkrisk.errors import WalkriskError
from walkrisk.estimates.ratios import LevelCount, count_levels
from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor, Linear, Term
from walkrisk.studies.bench import Bench, everyone
from walkrisk.studies.fitting import REDUCED, Assembled, NoEstimate, Request, asking_of, assemble, sentence_of
from walkrisk.studies.vocabulary import MANTEL_HAENSZEL, base_of, uses_cluster, uses_design

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

WEIGHTS, CLUSTER, STRATA, PSU, TIME = "(weights)", "(cluster)", "(strata)", "(psu)", "(time)"


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of one request under each of its variances, and how the fits behind them went."""

    rows: tuple[Estimate, ...]
    diagnostic: Diagnostic


def answered(
    bench: Bench,
    request: Request,
    people: Sample,
    terms: Sequence[Term | str],
    ask: Callable[[Asking], Estimates],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Answer:
    """What `ask` answers to a request on its complete rows, once for each variance.

    What cannot be answered becomes a sentence of the diagnostics. Raises NoEstimate if nothing was answered.
    """
    made = people_of(bench, request, people, terms, labels=labels)
    level = bench.study.settings.conf_level
    own = (MANTEL_HAENSZEL,) if request.method == MANTEL_HAENSZEL else request.variances

    def call(variance: str) -> Estimates:
        return ask(asking_of(request, made, variance, level))

    return collected(request, made, call, own)


def people_of(
    bench: Bench,
    request: Request,
    people: Sample,
    terms: Sequence[Term | str],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Assembled:
    """The complete rows of a request; `labels` name the categories of exposures cut otherwise than in the study."""
    return assemble(
        request,
        people,
        terms,
        bench.cohort.variables,
        labels=bench.labels() if labels is None else labels,
        design_sample=everyone(bench, request),
    )


def collected(request: Request, made: Assembled, call: Callable[[str], Estimates], variances: Sequence[str]) -> Answer:
    """The answers of a door, one a variance, in the results' places."""
    frame = made.frame
    events = int((frame.y == 1).sum())
    said: list[str] = list(frame.sentences)
    found: list[Estimates] = []
    for variance in variances:
        try:
            found.append(call(variance))
        except WalkriskError as fault:
            said += [f"{variance}: {sentence_of(ValueError(s))}" for s in fault.faults]
        except ValueError as error:
            said.append(f"{variance}: {sentence_of(error)}")
    said += [s for answer in found for s in (*answer.tried, *answer.warnings)]
    text = " ".join(dict.fromkeys(said))
    if not found:
        raise NoEstimate(request, text, n=frame.n, events=events)
    rows = tuple(placed(request, row) for answer in found for row in answer.rows)
    return Answer(rows, _diagnostic(request, found[0], frame.n, events, text))


def placed(request: Request, row: Estimate) -> Estimate:
    """A row of a door in the place of its request."""
    return replace(
        row,
        analysis=request.analysis,
        exposure=request.exposure,
        stratum=request.stratum or row.stratum,
        model=request.model,
    )


def _diagnostic(request: Request, answer: Estimates, n: int, events: int, text: str) -> Diagnostic:
    fit = answer.fit
    method = answer.rows[0].method if answer.rows else request.method
    return Diagnostic(
        analysis=request.analysis,
        exposure=request.exposure,
        stratum=request.stratum,
        model=request.model,
        method=method,
        n=n,
        events=events,
        parameters=fit.parameters if fit else 0,
        converged=fit.converged if fit else True,
        iterations=fit.iterations if fit else 0,
        boundary=fit.boundary if fit else False,
        max_fitted_risk=_known(fit.max_fitted_risk) if fit else None,
        log_likelihood=_known(fit.log_likelihood) if fit else None,
        warnings=text,
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# ---------------------------------------------------------------- counts


def counted(rows: Sequence[Estimate], counts: Sequence[LevelCount]) -> tuple[Estimate, ...]:
    """Rows by category with the people and events of the whole category, whatever a model lost to missing covariates.

    A category that nobody of the model is in has a row without an estimate. The bias-reduced ratio of a
    category without events has no limits but those by the model: a sum over people has nothing there to be made of,
    and would be far too small.
    """
    by_level = {c.label: c for c in counts}
    out = []
    for row in rows:
        count = by_level.get(row.level)
        if count is not None:
            row = replace(row, n=count.n, events=count.events)
        if row.events == 0 and row.method in REDUCED and base_of(row.variance) != "model":
            row = replace(row, std_error=None, conf_low=None, conf_high=None, p_value=None)
        out.append(row)
    return tuple(_complete(out, [c.label for c in counts], by_level))


def _complete(rows: list[Estimate], labels: Sequence[str], counts: Mapping[str, LevelCount]) -> list[Estimate]:
    """Rows with one for each category in each block, in the categories' order."""
    blocks: dict[tuple[str, ...], list[Estimate]] = {}
    for row in rows:
        blocks.setdefault((row.estimand, row.method, row.variance), []).append(row)
    out: list[Estimate] = []
    for (estimand, *_), block in blocks.items():
        there = {row.level for row in block}
        if estimand not in ("nnt", "paf") and there <= set(labels):
            empty = replace(block[0], estimate=None, std_error=None, conf_low=None, conf_high=None, p_value=None)
            block += [
                replace(empty, level=c.label, n=c.n, events=c.events) for c in counts.values() if c.label not in there
            ]
            block.sort(key=lambda row: labels.index(row.level))
        out += block
    return out


def category_counts(bench: Bench, people: Sample, request: Request) -> tuple[LevelCount, ...]:
    """People and events by category of the exposure of a request; nothing for an exposure without categories."""
    if request.exposure not in people.categories:
        return ()
    return count_levels(
        people.categories[request.exposure], people.columns[request.outcome], bench.labels()[request.exposure]
    )


# ---------------------------------------------------------------- a data frame for doors that take one


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """The complete rows of a request as a data frame, with the words that say which column is what."""

    data: pd.DataFrame
    outcome: str
    exposure: Term
    covariates: list[str]
    named: Mapping[str, str]

    def choices(self, variance: str) -> dict[str, Any]:
        """Keywords of a door for one variance: its name, and the columns it uses."""
        used = {"weights"} | ({"cluster"} if uses_cluster(variance) else set())
        used |= {"strata", "psu"} if uses_design(variance) else set()
        return {"variance": variance, **{k: v for k, v in self.named.items() if k in used}}


def given(bench: Bench, request: Request, made: Assembled) -> Given:
    """The frame of a request as the doors read one: factors as categories in the order of their levels.

    People of the survey design who are not analysed are rows with an unknown outcome.
    """
    frame = made.frame
    columns: dict[str, Any] = {request.outcome: frame.y}
    for term in frame.terms():
        if not isinstance(term, (Factor, Linear)):
            raise TypeError(f"no column for {term!r}")
        values = frame.columns[term.name]
        columns[term.name] = _categories(term, values) if isinstance(term, Factor) else values
    named = {"weights": frame.weights, "cluster": frame.cluster, "strata": frame.strata, "psu": frame.psu}
    columns |= {f"({k})": v for k, v in named.items() if v is not None}
    if made.time is not None:
        columns[TIME] = made.time
    data = pd.DataFrame(columns)
    whole = everyone(bench, request)
    if whole is not None and request.strata and request.psu:
        others = pd.DataFrame({STRATA: whole.columns[request.strata], PSU: whole.columns[request.psu]})
        data = pd.concat([data, others], ignore_index=True)
    return Given(
        data=data,
        outcome=request.outcome,
        exposure=frame.exposure,
        covariates=[t.name for t in frame.covariates if isinstance(t, (Factor, Linear))],
        named={k: f"({k})" for k, v in named.items() if v is not None},
    )


def _categories(term: Factor, values: FloatArray) -> pd.Categorical:
    return pd.Categorical(np.array(term.labels)[np.searchsorted(term.levels, values)], categories=list(term.labels))


def without_losses(answer: Estimates, there: Given, n: int) -> Estimates:
    """An answer without the sentence that counts the rows which `given` added for the survey design."""
    if len(there.data) == n:
        return answer
    lost = f"{len(there.data) - n} of {len(there.data)} rows "
    return replace(answer, warnings=tuple(s for s in answer.warnings if not s.startswith(lost)))
