"""`walkrisk compare`: what two runs, or a run and a publication, have alike, and from which step on they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from walkrisk.comparisons import published_stages, stages
from walkrisk.comparisons.beside import plain_counts_give_small, without_derived
from walkrisk.comparisons.sides import Side, published_estimates, side_of
from walkrisk.comparisons.stages import Labels, Stage
from walkrisk.errors import UsageFault
from walkrisk.estimates.numbers import count
from walkrisk.estimates.pairs import CountPair, Pair, Paired, fitted_counts, gives_small, pair_counts, pair_estimates
from walkrisk.reports.files import MANIFEST, check_output
from walkrisk.reports.intact import kept_manifest, kind_of
from walkrisk.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

LETTERS: Labels = ("A", "B")
LONGEST_LABEL = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEstimate:
    """A row of comparison.csv: an estimate in both, and their difference.

    `difference` is B/A of ratios (`scale` ratio) and B - A of anything else; `std_error` is its own (on the log for
    ratios) as if the two were of different people, `z` the difference over it. `also_differs` names parts of the key
    in which the rows differ. Counts are empty where one run hides them, or all of them would give a small one away.
    """

    analysis: Annotated[str, "analysis of the studies"]
    exposure: Annotated[str, "exposure"]
    stratum: Annotated[str, "stratum; empty for everyone"]
    level: Annotated[str, "category"]
    reference: Annotated[str, "category it is compared with"]
    model: Annotated[str, "covariate set"]
    estimand: Annotated[str, "what is estimated"]
    method_a: Annotated[str, "method in the first"]
    method_b: Annotated[str, "method in the second"]
    variance_a: Annotated[str, "variance in the first"]
    variance_b: Annotated[str, "variance in the second"]
    also_differs: Annotated[str, "parts of the key in which the two rows differ: variance, or method and variance"]
    n_a: Annotated[int | None, "people in the first; empty where suppressed or hidden"]
    n_b: Annotated[int | None, "people in the second"]
    events_a: Annotated[int | None, "events in the first"]
    events_b: Annotated[int | None, "events in the second"]
    estimate_a: Annotated[float | None, "estimate of the first"]
    conf_low_a: Annotated[float | None, "its lower confidence limit"]
    conf_high_a: Annotated[float | None, "its upper confidence limit"]
    estimate_b: Annotated[float | None, "estimate of the second"]
    conf_low_b: Annotated[float | None, "its lower confidence limit"]
    conf_high_b: Annotated[float | None, "its upper confidence limit"]
    scale: Annotated[str, "ratio (difference is second / first) or difference (second - first)"]
    difference: Annotated[float | None, "second / first of ratios, second - first of anything else"]
    std_error: Annotated[float | None, "its standard error, of the log for ratios, as if of different people"]
    z: Annotated[float | None, "the difference (of the logs for ratios) over its standard error"]
    limits_overlap: Annotated[bool | None, "whether the confidence limits overlap"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparison:
    """Two sides, the steps from data to fits one by one, and every estimate that both have.

    `flow_hidden` and `counts_hidden` are whether no count of the flow, or of the categories, is told because those of
    the two beside each other would give one of 1..min_cell - 1.
    """

    a: Side
    b: Side
    labels: Labels
    stages: tuple[Stage, ...]
    paired: Paired
    counts: tuple[CountPair, ...]
    flow_hidden: bool
    counts_hidden: bool
    min_cell: int
    out: Path | None = None

    @property
    def simulated(self) -> bool:
        """Whether the data of one of the two are simulated."""
        return self.a.simulated or self.b.simulated

    @property
    def parts_at(self) -> Stage | None:
        """The first step of the results from which on the two differ; None if they do not."""
        return stages.parts_at(self.stages)

    @property
    def rows(self) -> tuple[ComparedEstimate, ...]:
        """Every estimate that both have, in the order of the first."""
        return tuple(_row(pair, hidden=self.counts_hidden) for pair in self.paired.pairs)

    def to_frame(self) -> pd.DataFrame:
        """The rows of comparison.csv."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows], columns=list(ComparedEstimate.__dataclass_fields__))

    @property
    def verdict(self) -> str:
        """From which step on they differ, in a sentence."""
        at = self.parts_at
        a, b = self.labels
        if at is None:
            return f"{a} and {b} have the same results."
        where = f" ({at.at})" if at.at else ""
        return f"{a} and {b} differ from the {at.title[:1].lower()}{at.title[1:]} on{where}."

    @property
    def summary(self) -> str:
        """What a person wants to know, in a dozen lines."""
        lines = [f"{label}: {s.title}{' (SIMULATED DATA)' if s.simulated else ''}" for label, s in self._sides()]
        lines.append(self.verdict)
        lines += [f"- {s.title}: {' '.join(s.words)}" for s in self.stages]
        lines += self.notes
        if self.out is not None:
            lines.append(f"The comparison is in {self.out}.")
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """What must be known to read it: what stays hidden, and that versions differ."""
        return list(_notes(self))

    def _sides(self) -> list[tuple[str, Side]]:
        return [(self.labels[0], self.a), (self.labels[1], self.b)]


def compare(
    a: str | Path | Run,
    b: str | Path | Run,
    *,
    out: str | Path | None = None,
    labels: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two runs (their output folders, or runs in hand), or a run and a published.toml.

    With `out`, a folder with comparison.csv, comparison.html, tables and figures is left there, which a later
    comparison may replace. `labels` are what the two are called. Raises UsageFault if one of the two is neither, and
    StudyFault for a published.toml with faults.
    """
    if out is not None:
        _check_out(Path(out), [Path(x) for x in (a, b) if not isinstance(x, Run)])
    sides = side_of(a), side_of(b)
    if all(s.published for s in sides):
        raise UsageFault("Both are publications; one of the two must be a run.")
    named = labels or (LETTERS if not any(s.published for s in sides) else _published_labels(sides))
    _check_labels(named)
    made = _compared(*sides, labels=named)
    if out is None:
        return made
    from walkrisk.comparisons.comparison_files import write_comparison

    return write_comparison(made, Path(out))


def _check_out(out: Path, compared: list[Path]) -> None:
    """Raises UsageFault where a comparison would take the place of a run, or stand within one."""
    places = (out.absolute(), *out.absolute().parents)
    if any(x.absolute() in places for x in compared):
        raise UsageFault(f"{out} is, or lies in, one of the folders compared; choose another --out.")
    if (out / MANIFEST).is_file() and kind_of(kept_manifest(out)) != "comparison":
        raise UsageFault(f"{out} holds a run, which a comparison does not replace; choose another --out.")
    check_output(out)


def _published_labels(sides: tuple[Side, Side]) -> Labels:
    return ("Published", "Obtained") if sides[0].published else ("Obtained", "Published")


def _check_labels(labels: Labels) -> None:
    if labels[0] == labels[1] or not all(0 < len(x.strip()) <= LONGEST_LABEL and x.isprintable() for x in labels):
        raise UsageFault(f"The labels must be two different texts of 1 to {LONGEST_LABEL} characters.")


def _compared(a: Side, b: Side, *, labels: Labels) -> Comparison:
    k = max(a.min_cell, b.min_cell)
    if a.published or b.published:
        return _with_publication(a, b, labels=labels, min_cell=k)
    flow = stages.flow_pairs(a.results, b.results)
    counts = pair_counts(a.results.estimates, b.results.estimates)
    flow_hidden = plain_counts_give_small(flow, min_cell=k)
    analysed = [p for p in flow if p.what == "n_after"][-1:]
    totals = (fitted_counts(a.results.diagnostics), fitted_counts(b.results.diagnostics))
    counts_hidden = gives_small(counts, min_cell=k, totals=totals) or plain_counts_give_small(analysed, min_cell=k)
    paired = pair_estimates(a.results.estimates, b.results.estimates)
    if counts_hidden:
        paired = without_derived(paired, a, b)
    steps = (
        stages.inputs(a, b),
        stages.declaration(a, b, labels),
        stages.flow(a.results, b.results, labels, hidden=flow_hidden),
        stages.cut_points(a.results, b.results, labels),
        stages.counts(counts, labels, hidden=counts_hidden),
        stages.model(paired, a.results, b.results, labels),
        stages.fits(a.results, b.results),
    )
    return Comparison(
        a=a,
        b=b,
        labels=labels,
        stages=steps,
        paired=paired,
        counts=(*flow, *counts),
        flow_hidden=flow_hidden,
        counts_hidden=counts_hidden,
        min_cell=k,
    )


def _with_publication(a: Side, b: Side, *, labels: Labels, min_cell: int) -> Comparison:
    run, published = (b, a.published) if a.published else (a, b.published)
    assert published is not None
    counts = published_stages.fact_pairs(published, run)
    hidden = plain_counts_give_small(counts, min_cell=min_cell)
    theirs = published_estimates(published, run)
    mine = run.results.estimates
    paired = pair_estimates(theirs, mine) if a.published else pair_estimates(mine, theirs)
    alone = paired.only_a if a.published else paired.only_b
    steps = (
        published_stages.facts(published, run, hidden=hidden),
        published_stages.ratios(paired, len(alone), labels),
    )
    return Comparison(
        a=a,
        b=b,
        labels=labels,
        stages=steps,
        paired=paired,
        counts=counts,
        flow_hidden=False,
        counts_hidden=hidden,
        min_cell=min_cell,
    )


def _notes(made: Comparison) -> Iterator[str]:
    k = made.min_cell
    published = bool(made.a.published or made.b.published)
    kinds = (
        ("the participant flow", made.flow_hidden),
        ("the sample" if published else "the categories", made.counts_hidden),
    )
    hidden = " and of ".join(name for name, hides in kinds if hides)
    if hidden:
        yield (
            f"Disclosure: counts of {hidden} beside each other would give a count of 1 to {k - 1} people, so none of "
            "them is shown here, nor a crude ratio, a risk or another number that counts follow from. Whoever has both "
            "sets of outputs can work it out: publish one of them only, make the second with --released and the first "
            "one's folder, or both with --round-counts."
        )
    unknown = sum(p.unknown for p in made.counts)
    if unknown:
        yield f"{count(unknown)} counts are suppressed in one of the two and were not compared."
    theirs = made.b.environment
    other = [name for name, v in made.a.environment.items() if name in theirs and theirs[name] != v]
    if other:
        yield f"Made with other versions of {', '.join(other)}."


def _row(pair: Pair, *, hidden: bool) -> ComparedEstimate:
    a, b = pair.a, pair.b
    counts: dict[str, Any] = {
        f"{what}_{side}": None if hidden else getattr(e, what)
        for what in ("n", "events")
        for side, e in (("a", a), ("b", b))
    }
    both = {
        f"{what}_{side}": getattr(e, what)
        for what in ("estimate", "conf_low", "conf_high", "method", "variance")
        for side, e in (("a", a), ("b", b))
    }
    return ComparedEstimate(
        analysis=a.analysis,
        exposure=a.exposure,
        stratum=a.stratum,
        level=a.level,
        reference=a.reference,
        model=a.model,
        estimand=a.estimand,
        also_differs=" ".join(pair.but_for),
        scale="ratio" if pair.on_log else "difference",
        difference=pair.difference,
        std_error=pair.std_error,
        z=pair.z,
        limits_overlap=pair.limits_overlap,
        **counts,
        **both,
    )
