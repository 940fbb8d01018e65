"""The parts of a run's report, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.estimates.numbers import count
from walkrisk.reports.html import Block, Commands, Facts, FigureBlock, Paragraphs, ReportParts, Section
from walkrisk.reports.manifest import versions
from walkrisk.runs.accounting import Accounts, account_sections
from walkrisk.runs.drawings import events_analysed, people_analysed
from walkrisk.runs.methods import interpretation, methods, variations
from walkrisk.runs.run import Run
from walkrisk.runs.tabulations import is_main
from walkrisk.studies.kinds import section_table_ids
from walkrisk.tables.diagnostics import diagnostics_summary
from walkrisk.tables.table import Table


def report_parts(
    made: Run,
    tables: Mapping[str, Table],
    figures: Mapping[str, FigureBlock],
    *,
    study_sha256: str,
    accounts: Accounts,
) -> ReportParts:
    """The report of a run, from its tables and figures by id."""
    about = made.study.study
    return ReportParts(
        title=about.title,
        subtitle=about.question,
        simulated=made.source.simulated,
        summary=_summary(made),
        sections=tuple(s for s in _sections(made, tables, figures, study_sha256, accounts) if s.blocks),
        footer=f"walkrisk {versions()['walkrisk']}. {about.reference}",
    )


def _summary(made: Run) -> tuple[tuple[str, str], ...]:
    study, source = made.study, made.source
    outcome = study.outcomes[study.settings.outcome]
    n, events = people_analysed(made.results), events_analysed(study, made.results)
    k = study.settings.min_cell
    rows = "" if _rows_hidden(made) else f", {count(source.rows)} rows"
    cases = f"fewer than {k}" if 0 < events < k else f"{count(events)} ({100 * events / n:.1f}%)"
    facts = (
        ("Population", study.study.population),
        ("Data", source.name + rows + (", simulated" if source.simulated else "")),
        ("Analysed", f"{count(n)} people" if n >= k else f"fewer than {k} people"),
        (outcome.label, f"{cases} {outcome.event_word}"),
        ("Follows", study.study.reference),
    )
    return tuple((label, value) for label, value in facts if value)


def _rows_hidden(made: Run) -> bool:
    """Whether the number of rows beside the number analysed would show an exclusion of very few people."""
    shown = merge_small_steps(made.results.flow, min_cell=made.study.settings.min_cell)
    n = people_analysed(made.results)
    return n < made.study.settings.min_cell or (n != made.source.rows and not shown)


def _sections(
    made: Run, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock], study_sha256: str, accounts: Accounts
) -> Iterator[Section]:
    study = made.study
    described = [tables[c.id] for c in study.characteristics]
    first, more = described[:1], described[1:]
    main = [t for t in study.tables if is_main(study, t)]
    rest = [t for t in study.tables if t not in main]
    curves = [figures[f.id] for f in study.curve_figures]
    forests = [figures[f.id] for f in study.forest_figures]
    varied = variations(study)
    yield Section(
        id="section_methods",
        title="Methods",
        blocks=(
            Paragraphs(texts=methods(study), points=study.study.notes),
            *([Paragraphs(title="How the other analyses differ", points=varied)] if varied else []),
        ),
    )
    yield Section(id="section_participants", title="Participants", blocks=(figures["flow"], *first))
    yield Section(id="section_results", title="Main results", blocks=tuple(tables[t.id] for t in main))
    yield Section(id="section_dose", title="Dose-response", blocks=tuple(curves))
    further: list[Block] = [*forests, *(tables[t.id] for t in rest)]
    yield Section(id="section_further", title="Strata and sensitivity analyses", blocks=tuple(further))
    yield from account_sections(accounts, tables, figures)
    own = tuple(tables[i] for i in section_table_ids(study))
    yield Section(id="section_effects", title="Absolute risks, joint effects and impact", blocks=own)
    yield Section(id="section_testing", title="Tests", blocks=tuple(tables[i] for i in ("tests",) if i in tables))
    beside = tuple(tables[i] for i in ("published_ratios", "published_facts") if i in tables)
    yield Section(id="section_published", title="Published and obtained", blocks=beside)
    yield Section(id="section_more", title="Further descriptive tables", blocks=tuple(more))
    points = interpretation(study, simulated=made.source.simulated)
    yield Section(id="section_reading", title="How to read these numbers", blocks=(Paragraphs(points=points),))
    yield Section(id="section_fits", title="Model fits", blocks=_fits(made, tables))
    yield Section(id="section_origin", title="Where the numbers come from", blocks=_origin(made, study_sha256))


def _fits(made: Run, tables: Mapping[str, Table]) -> tuple[Block, ...]:
    said = Paragraphs(texts=(" ".join(diagnostics_summary(made.results.diagnostics)),), points=made.warnings)
    return (said, tables["diagnostics"]) if "diagnostics" in tables else (said,)


def _origin(made: Run, study_sha256: str) -> tuple[Block, ...]:
    source = made.source
    rows = [
        ("Data file", source.name),
        ("SHA-256 of the data", source.sha256),
        *([] if _rows_hidden(made) else [("Rows", str(source.rows))]),
        ("Columns read", f"{source.columns_read} of {source.columns_in_file}"),
        *([("Days file", source.days["name"]), ("SHA-256 of the days", source.days["sha256"])] if source.days else []),
        ("SHA-256 of the study", study_sha256),
        *([("Seed of the simulation", str(source.seed))] if source.seed is not None else []),
        ("Counts suppressed below", str(made.study.settings.min_cell)),
        *versions().items(),
    ]
    text = (
        "Every number above is formatted from estimates.csv, curves.csv, flow.csv, cutpoints.csv, characteristics.csv "
        "and diagnostics.csv beside this report, which hold them at full precision and unsuppressed; manifest.json has "
        "the hash of every file. It can be made again from these without refitting:",
    )
    return (Facts(rows=tuple(rows)), Paragraphs(texts=text), Commands(lines=("walkrisk report FOLDER",)))
