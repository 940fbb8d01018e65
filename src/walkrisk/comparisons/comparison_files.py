"""A comparison as a folder: comparison.csv, comparison.html, tables, figures, manifest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from walkrisk.accounts.account import Drawing
from walkrisk.comparisons.comparing import ComparedEstimate, Comparison
from walkrisk.comparisons.sides import Side
from walkrisk.estimates.numbers import fixed, ratio_interval
from walkrisk.estimates.pairs import Agreement, Pair, agreement, close
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.comparison import DifferencePoint, PairRow, RatioMark, difference_figure, paired_figure
from walkrisk.figures.fonts import page_font
from walkrisk.figures.render import FORMATS
from walkrisk.figures.render import render as picture
from walkrisk.reports.files import MANIFEST, finished_folder, rows_to_csv, write_all
from walkrisk.reports.html import Facts, FigureBlock, Paragraphs, ReportParts, Section, report_html
from walkrisk.reports.manifest import environment, hashes, sealed, versions
from walkrisk.reports.table_files import table_files
from walkrisk.runs.drawings import stratum_label
from walkrisk.runs.render import as_bytes, figure_block
from walkrisk.studies.names import titles_of, variables_of
from walkrisk.studies.study import Study
from walkrisk.tables.comparison import CutPair, StepRow, cut_table, flow_table, ratio_table, steps_table
from walkrisk.tables.table import Table

CSV_FILE, PAGE_FILE = "comparison.csv", "comparison.html"
MOST_ROWS = 24
VERDICTS = {"same": "Same", "differs": "Differs", "unknown": "Same as far as shown"}


def write_comparison(made: Comparison, out: Path) -> Comparison:
    """Leave a comparison in the folder `out`, whole or not at all. Raises UsageFault where that cannot be."""
    names = _Names(made)
    tables = {t.id: t for t in _tables(made, names)}
    drawn = list(_drawings(made, names))
    foot = f"{made.labels[0]}: {made.a.title}. {made.labels[1]}: {made.b.title}"
    files: dict[str, str | bytes] = {CSV_FILE: rows_to_csv(made.rows, ComparedEstimate)}
    for table in tables.values():
        files |= table_files(table, simulated=made.simulated, source=foot)
    for d in drawn:
        files |= {f"figures/{d.id}.{fmt}": picture(d.figure, fmt, title=d.title, alt=d.alt) for fmt in FORMATS}
    blocks = {d.id: figure_block(d, i, as_bytes(files[f"figures/{d.id}.svg"])) for i, d in enumerate(drawn, start=1)}
    files[PAGE_FILE] = report_html(_page(made, tables, blocks), font=page_font())
    files[MANIFEST] = _manifest(made, files)
    with finished_folder(out) as folder:
        write_all(folder, files)
    return replace(made, out=out)


# ---------------------------------------------------------------- names for people


class _Names:
    """What analyses, exposures and models are called, by the studies of the two."""

    def __init__(self, made: Comparison) -> None:
        studies = [s.study for s in (made.b, made.a) if s.study]
        self.studies: list[Study] = studies
        self.analyses = {name: title for s in studies for name, title in titles_of(s).items()}
        self.exposures = {n: e.label or n for s in studies for n, e in s.exposures.items()}
        self.variables = {n: v.label for s in studies for n, v in variables_of(s).items()}
        self.models = {n: m.label or n for s in studies for n, m in s.models.items()}
        self.main = list(dict.fromkeys(a.id for s in studies for a in s.analyses if a.group == "main"))
        self.variance = studies[-1].settings.variances[0] if studies else ""

    def group(self, e: Estimate) -> str:
        """Analysis, exposure and model of an estimate; the model once where the analysis is named after it."""
        analysis, model = self.analyses.get(e.analysis, e.analysis), self.models.get(e.model, e.model)
        place = ", ".join(p for p in (self.exposures.get(e.exposure, e.exposure), self._stratum(e.stratum)) if p)
        return f"{analysis}: {place}" if model == analysis else f"{analysis}: {place} ({model})"

    def _stratum(self, stratum: str) -> str:
        """A stratum in words: that of a joint model is called `variable=level`."""
        name, _, level = stratum.partition("=")
        label = {**self.variables, **self.exposures}.get(name)
        return f"{label} {level}" if label and level else stratum_label(stratum)

    def row(self, e: Estimate) -> str:
        """An estimate in words."""
        return f"{self.group(e)}, {e.level}" if e.level else self.group(e)


# ---------------------------------------------------------------- tables


def _tables(made: Comparison, names: _Names) -> Iterator[Table]:
    rows = [StepRow(step=s.title, verdict=VERDICTS[s.state], what=" ".join(s.words)) for s in made.stages]
    yield steps_table(rows, labels=made.labels, notes=made.notes)
    flow = [p for p in made.counts if p.place[0] == "flow"]
    found = [None if made.flow_hidden else flow_table(flow, labels=made.labels)]
    found.append(cut_table(_cut_pairs(made), labels=made.labels))
    yield from (t for t in found if t is not None)
    if made.paired.ratios:
        same = made.a.data.get("sha256") == made.b.data.get("sha256") and bool(made.a.data)
        yield ratio_table(made.paired.ratios, labels=made.labels, name=names.row, same_people=same)


def _cut_pairs(made: Comparison) -> list[CutPair]:
    """Cut points that differ, those of the same numbers in several analyses together."""
    if made.a.published or made.b.published:
        return []
    ours, theirs = ({(c.analysis, c.exposure, c.cut): c.value for c in s.results.cutpoints} for s in (made.a, made.b))
    analyses: dict[tuple[str, str, float | None, float | None], list[str]] = {}
    for k in dict.fromkeys([*ours, *theirs]):
        if not close(ours.get(k), theirs.get(k)):
            analyses.setdefault((k[1], k[2], ours.get(k), theirs.get(k)), []).append(k[0])
    return [
        CutPair(exposure=exposure, cut=cut, a=a, b=b, analyses=tuple(found))
        for (exposure, cut, a, b), found in analyses.items()
    ]


# ---------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """The pairs of a picture, with what they are."""

    pairs: tuple[Pair, ...]
    title: str


def _drawings(made: Comparison, names: _Names) -> Iterator[Drawing]:
    ratios = _of_one_variance(made, names)
    if not ratios:
        return
    yield _paired_drawing(made, names, _chosen(ratios, names))
    limits = agreement(ratios)
    if limits is not None and any(p.log_difference for p in ratios):
        yield _difference_drawing(made, names, ratios, limits)


def _of_one_variance(made: Comparison, names: _Names) -> tuple[Pair, ...]:
    """Every ratio once, in the order of the first run, by the variance that tables show where there are several."""
    order = {id(p): i for i, p in enumerate(made.paired.pairs)}
    first: dict[tuple[str, ...], Pair] = {}
    for p in sorted(made.paired.ratios, key=lambda p: (p.a.variance != names.variance, order[id(p)])):
        e = p.a
        first.setdefault((e.analysis, e.exposure, e.stratum, e.level, e.model, e.estimand, e.method), p)
    return tuple(sorted(first.values(), key=lambda p: order[id(p)]))


def _chosen(ratios: tuple[Pair, ...], names: _Names) -> _Chosen:
    """Those of all main analyses, or of the first of them, if they are not too many; else those that differ most."""
    for main in (names.main, names.main[:1]):
        chosen = tuple(p for p in ratios if p.a.analysis in main)
        if 0 < len(chosen) <= MOST_ROWS:
            said = "the main analyses" if len(main) > 1 else names.analyses[main[0]]
            return _Chosen(chosen, f"Ratios: {said[:1].lower()}{said[1:]}")
    largest = set(sorted(range(len(ratios)), key=lambda i: -ratios[i].size)[:MOST_ROWS])
    title = "Ratios" if len(ratios) <= MOST_ROWS else f"The {MOST_ROWS} ratios that differ most"
    return _Chosen(tuple(p for i, p in enumerate(ratios) if i in largest), title)


def _paired_drawing(made: Comparison, names: _Names, chosen: _Chosen) -> Drawing:
    rows: list[PairRow] = []
    group = ""
    for p in chosen.pairs:
        if names.group(p.a) != group:
            group = names.group(p.a)
            rows.append(PairRow(label=group))
        rows.append(PairRow(label=p.a.level or "per unit", first=_mark(p.a), second=_mark(p.b)))
    a, b = made.labels
    most = max(chosen.pairs, key=lambda p: p.size)
    alt = (
        f"Pairs of ratios, {a} as a filled square and {b} as an open circle, in {len(chosen.pairs)} rows. The largest "
        f"difference: {names.row(most.a)}, {_text(most.a)} in {a} and {_text(most.b)} in {b}."
    )
    figure = paired_figure(
        rows, labels=made.labels, x_label=f"Ratio ({_ci(names)}), log scale", simulated=made.simulated, alt=alt
    )
    caption = f"{a} above (filled square), {b} below (open circle), each with its confidence interval."
    return Drawing("comparison_pairs", chosen.title, caption, figure)


def _difference_drawing(made: Comparison, names: _Names, ratios: tuple[Pair, ...], limits: Agreement) -> Drawing:
    points = [
        DifferencePoint(
            mean=math.sqrt(p.a.estimate * p.b.estimate),
            ratio=p.difference,
            overlap=p.limits_overlap is not False,
            label=f"{names.row(p.a)}: {fixed(p.difference, 3)}",
        )
        for p in ratios
        if p.a.estimate and p.b.estimate and p.difference
    ]
    a, b = made.labels
    span = (
        ""
        if limits.low is None
        else f", and {fixed(limits.low, 3)} to {fixed(limits.high, 3)} are their mean ± 1.96 SD"
    )
    said = f"{len(points)} ratios of {b} over {a}: their geometric mean is {fixed(limits.mean, 3)}{span}"
    caption = (
        f"{said}. Each point is a ratio that both have; ratios of one analysis depend on each other, so the lines "
        "describe these points and are no limits for others."
    )
    alt = f"Points of {b} over {a} against the geometric mean of both. {said}."
    figure = difference_figure(
        points,
        labels=made.labels,
        mean=limits.mean,
        low=limits.low,
        high=limits.high,
        simulated=made.simulated,
        alt=alt,
    )
    return Drawing("comparison_differences", "Differences against means", caption, figure)


def _mark(e: Estimate) -> RatioMark:
    return RatioMark(estimate=e.estimate, conf_low=e.conf_low, conf_high=e.conf_high, text=_text(e))


def _text(e: Estimate) -> str:
    return "" if e.estimate is None else ratio_interval(e.estimate, e.conf_low, e.conf_high)


def _ci(names: _Names) -> str:
    levels = {s.settings.conf_level for s in names.studies}
    return f"{100 * levels.pop():g}% CI" if len(levels) == 1 else "CI"


# ---------------------------------------------------------------- page and manifest


def _page(made: Comparison, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock]) -> ReportParts:
    parts: dict[str, Table | FigureBlock] = {**tables, **figures}

    def there(*ids: str) -> tuple[Table | FigureBlock, ...]:
        return tuple(parts[i] for i in ids if i in parts)

    sections = (
        Section(id="section_steps", title="From which step on", blocks=there("comparison_steps")),
        Section(id="section_sample", title="Sample", blocks=there("comparison_flow", "comparison_cutpoints")),
        Section(
            id="section_ratios",
            title="Ratios",
            blocks=there("comparison_pairs", "comparison_differences", "comparison_ratios"),
        ),
        Section(id="section_origin", title="What was compared", blocks=(_origin(made), _reading(made))),
    )
    return ReportParts(
        title=f"{made.labels[0]} and {made.labels[1]} compared",
        subtitle=made.verdict,
        simulated=made.simulated,
        summary=tuple((label, s.title) for label, s in zip(made.labels, (made.a, made.b), strict=True)),
        sections=tuple(s for s in sections if s.blocks),
        footer=f"walkrisk {versions()['walkrisk']}",
    )


def _origin(made: Comparison) -> Facts:
    rows = []
    for label, side in zip(made.labels, (made.a, made.b), strict=True):
        rows += [
            (f"{label}: {what}", value)
            for what, value in (
                ("SHA-256 of published.toml" if side.published else "SHA-256 of manifest.json", side.print),
                ("SHA-256 of the data", str(side.data.get("sha256") or "")),
                ("walkrisk", side.environment.get("walkrisk", "")),
            )
            if value
        ]
    return Facts(rows=tuple(rows))


def _reading(made: Comparison) -> Paragraphs:
    alone = (
        f"{len(made.paired.only_a)} estimates of {made.labels[0]} and {len(made.paired.only_b)} of {made.labels[1]} "
        "have no counterpart in the other and are not compared."
    )
    rule = (
        "Rows are the same if analysis, exposure, stratum, level, reference, model, estimand, method and variance are; "
        "what is left over is paired without the variance, then without the method."
    )
    overlap = (
        "Limits that overlap do not show that two results are the same, nor limits that do not that they differ much."
    )
    return Paragraphs(points=(rule, alone, overlap))


def _manifest(made: Comparison, files: Mapping[str, str | bytes]) -> str:
    return sealed(
        {
            "kind": "comparison",
            "simulated": made.simulated,
            "sides": [_said(label, s) for label, s in zip(made.labels, (made.a, made.b), strict=True)],
            "options": {"min_cell": made.min_cell},
            "environment": environment(),
            "files": hashes(files),
        }
    )


def _said(label: str, side: Side) -> dict[str, str]:
    kind = "published_sha256" if side.published else "manifest_sha256"
    said = {"label": label, "title": side.title, kind: side.print, "data_sha256": str(side.data.get("sha256") or "")}
    return {k: v for k, v in said.items() if v}
