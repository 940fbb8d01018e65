"""From what a run computed to what it may publish: small counts withheld everywhere at once, and why.

A count of 1 to min_cell - 1 is hidden, and so is what would let it be worked out: from sums within and between tables,
from another analysis of nearly the same people, from an earlier release, from numbers that follow from counts (crude
ratios and risks, percentages, means, attributable fractions, two variances of one fit). What is left is exact, or
rounded where the study asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.disclosure import blanking, coarsening, rounding, sensitivity_counts
from walkrisk.disclosure.blanking import Secrets
from walkrisk.disclosure.further_counts import further_counts
from walkrisk.disclosure.imputed import guarded_imputed
from walkrisk.disclosure.sayings import published_text
from walkrisk.errors import UsageFault
from walkrisk.estimates.marking import Links, Marks, Released, block_samples, count_marks
from walkrisk.estimates.ratio_counts import cuts_by_exposure, ratio_blocks
from walkrisk.estimates.results import OUTCOME_TABLE, Diagnostic, Results
from walkrisk.estimates.samples import Sample, clash, secret_samples
from walkrisk.estimates.telling_moments import of_two_numbers
from walkrisk.estimates.withheld import COUNTED, Withheld
from walkrisk.studies.study import Study

_LIMITS = re.compile(r"truncated to [\d.]+ to [\d.]+ \(")


@dataclass(frozen=True, slots=True)
class Protected:
    """What may be published: the rows, what of the data was said, rows of the data file (None: not told), and the
    list of what is withheld."""

    results: Results
    warnings: tuple[str, ...]
    data_rows: int | None
    withheld: tuple[Withheld, ...]

    @property
    def marks(self) -> Marks:
        """The marked counts, for tables."""
        return blanking.marks_from(self.withheld)


def protect(
    study: Study,
    results: Results,
    *,
    warnings: Sequence[str] = (),
    data_rows: int | None = None,
    released: Released | None = None,
) -> Protected:
    """What of a run may be published beside what earlier releases of the study show."""
    k, base = study.settings.min_cell, study.settings.round_counts
    if not k:
        made, gone = rounding.rounded(study, results, base, of_two_numbers(results.characteristics))
        return Protected(made, tuple(warnings), rounding.to_base(data_rows, base), tuple(gone))
    released = released or Released()
    flow, said = coarsening.published_flow(results.flow, min_cell=k)
    before = () if base else released.samples
    own = [_telling(s, before, k) for s in _known(study, results, flow)]
    known = [*own, *released.samples]
    samples = secret_samples(_samples(study, results), known=known, min_cell=k)
    links = _links(study, known)
    marks = count_marks(
        results.estimates,
        results.characteristics,
        min_cell=k,
        cuts=cuts_by_exposure(results.cutpoints),
        links=links,
        secrets=samples,
        released=released,
        further=further_counts(study, results.estimates),
    )
    first = blanking.first_variances(results.estimates, study.settings.variances[0])
    two_valued = of_two_numbers(results.characteristics)
    secrets = Secrets(study, marks, samples, k, first, ratio_blocks(results.estimates), two_valued)
    made, more = _blanked(study, results, secrets, flow)
    hidden_rows = data_rows is not None and _rows_hidden(data_rows, flow, known)
    texts = tuple(published_text(w, min_cell=k, base=base) for w in warnings)
    made, gone = rounding.rounded(study, made, base, two_valued)
    withheld = (*blanking.marked_cells(marks), *said, *more, *gone)
    rows = None if hidden_rows else rounding.to_base(data_rows, base)
    return Protected(made, texts, rows, tuple(dict.fromkeys(withheld)))


def _telling(own: Sample, released: Sequence[Sample], min_cell: int) -> Sample:
    """A sample that everybody sees, without its events where they would tell a few beside an earlier release.

    Raises UsageFault where its people differ by very few from those of a released sample.
    """
    found = {c for b in released if not b.stratum and (c := clash(own, b, min_cell))}
    if "n" in found:
        raise UsageFault(
            f"The people analysed here, or left by a step of the flow, differ by 1 to {min_cell - 1} from a sample of "
            "an earlier release: they would be shown by subtraction whatever else were left out. Nothing was written. "
            f"Leave the sample as it was released, or round counts here (--round-counts {max(min_cell, 5)})."
        )
    return Sample(own.n, None) if found else own


def _known(study: Study, results: Results, flow: Sequence[FlowStep]) -> Iterator[Sample]:
    """The sizes that everybody sees: the steps of the flow, and the analytic sample with its events."""
    for s in flow:
        yield from (Sample(s.n_before), Sample(s.n_after))
    outcome = study.outcomes[study.settings.outcome].variable
    rows = [c for c in results.characteristics if c.table == OUTCOME_TABLE]
    n = next((int(c.value or 0) for c in rows if c.statistic == "n"), None)
    events = next((int(c.value or 0) for c in rows if c.variable == outcome and c.statistic == "count"), None)
    if n is not None:
        yield Sample(n, events)


def _samples(study: Study, results: Results) -> Iterator[Sample]:
    """Every whole sample a run counts, the main analyses first."""
    order = {a.id: i for i, a in enumerate(study.analyses)}
    blocks = ratio_blocks(results.estimates)
    for _, sample in sorted(
        block_samples(blocks), key=lambda found: (order.get(found[0][0], len(order)), found[0][2] != "")
    ):
        yield sample
    for d in results.diagnostics:
        if d.n:
            yield Sample(d.n, d.events, d.stratum)
    for e in results.estimates:
        whole = e.estimand not in (*COUNTED, "nnt", "paf") or e.level in ("", "total") or e.events is None
        if e.n and whole and sensitivity_counts.counts_people(study, e):
            yield Sample(e.n, e.events, e.stratum)
    for p in results.points:
        if p.series in ("missing", "imputed people") and p.x:
            yield Sample(round(p.x))
        if p.n and (p.series == "unit" or (p.series == "weights" and p.item in ("n", "in_model"))):
            yield Sample(p.n)
    for s in results.specifications:
        if s.n:
            yield Sample(s.n, s.events)


def _links(study: Study, known: Sequence[Sample]) -> Links:
    main = study.sensitivity.analysis or next((a.id for a in study.analyses if a.group == "main"), "")
    return Links(
        by_exposure={c.id: c.by_exposure for c in study.characteristics if c.by_exposure},
        outcome=study.outcomes[study.settings.outcome].variable or "",
        main=main,
        known=frozenset(s.n for s in known),
        quantiles=frozenset(name for name, e in study.exposures.items() if e.quantiles),
    )


def _blanked(
    study: Study, results: Results, secrets: Secrets, flow: tuple[FlowStep, ...]
) -> tuple[Results, list[Withheld]]:
    k = secrets.min_cell
    estimates, a = blanking.blanked_estimates(results.estimates, secrets)
    estimates, b = sensitivity_counts.guarded(study, results, estimates, secrets)
    characteristics, c = blanking.blanked_characteristics(results.characteristics, secrets)
    diagnostics, d = blanking.blanked_diagnostics(results.diagnostics, secrets)
    specifications, e = blanking.blanked_specifications(results.specifications, secrets)
    below = coarsening.people_below(results.estimates, results.histograms)
    bins, ends, f = coarsening.published_histograms(results.histograms, min_cell=k, below=below)
    curves, g = coarsening.published_curves(results.curves, ends)
    cutpoints, h = coarsening.published_cutpoints(results.cutpoints, _sizes(results), min_cell=k)
    kept_back = {n for (n, _), what in secrets.samples.items() if what == "n"}
    points, i = coarsening.published_points(results.points, ends, hidden=kept_back, min_cell=k)
    points, j = sensitivity_counts.guarded_points(study, results, points, secrets, estimates)
    estimates, points, pooled = guarded_imputed(study, estimates, points)
    few_lost = sensitivity_counts.shares_hidden(estimates)
    diagnostics = [
        replace(x, warnings=_said(x.warnings, old, secrets, weights=(x.analysis, x.exposure) not in few_lost))
        for x, old in zip(diagnostics, results.diagnostics, strict=True)
    ]
    made = replace(
        results,
        estimates=tuple(estimates),
        curves=tuple(curves),
        flow=flow,
        cutpoints=tuple(cutpoints),
        characteristics=tuple(characteristics),
        diagnostics=tuple(diagnostics),
        histograms=tuple(bins),
        points=tuple(points),
        specifications=tuple(replace(s, warnings=published_text(s.warnings, min_cell=k)) for s in specifications),
    )
    return made, [*a, *b, *c, *d, *e, *f, *g, *h, *i, *j, *pooled]


def _said(text: str, row: Diagnostic, secrets: Secrets, *, weights: bool) -> str:
    """A fit's sentences without the counts that its place keeps back, and without limits of weights unless they are
    told."""
    text = text if weights else _LIMITS.sub("truncated (", text)
    place = (row.analysis, row.exposure, row.stratum)
    n, events = row.n, row.events
    whole = secrets.of_sample(n, events)
    gone = {v for v, hidden in zip((n, events), whole, strict=True) if hidden and v}
    gone |= {v for v, what in ((n, "n"), (events, "events")) if v and (*place, "", what) in secrets.marks.ratio}
    return published_text(text, min_cell=secrets.min_cell, hidden=gone)


def _sizes(results: Results) -> Mapping[str, int]:
    """The people of each analysis: the fewest of its unstratified samples."""
    sizes: dict[str, int] = {}
    for place, sample in block_samples(ratio_blocks(results.estimates)):
        if not place[2]:
            sizes[place[0]] = min(sample.n, sizes.get(place[0], sample.n))
    for d in results.diagnostics:
        if not d.stratum and d.n:
            sizes.setdefault(d.analysis, d.n)
    return sizes


def _rows_hidden(data_rows: int, flow: Sequence[FlowStep], known: Sequence[Sample]) -> bool:
    """Whether the rows of the data file would show an exclusion of very few people."""
    analysed = known[-1].n if known else 0
    return not flow and data_rows != analysed
