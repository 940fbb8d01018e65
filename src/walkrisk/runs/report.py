"""The parts of a run's report, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from walkrisk.accounts.account import View
from walkrisk.estimates.numbers import count
from walkrisk.reports.html import Block, Commands, Facts, FigureBlock, Paragraphs, ReportParts, Section
from walkrisk.reports.manifest import versions
from walkrisk.runs.accounting import Accounts, account_sections, view_of
from walkrisk.runs.drawings import events_analysed, people_analysed
from walkrisk.runs.headlines import headline
from walkrisk.runs.limits import limits
from walkrisk.runs.methods import interpretation, methods, variations
from walkrisk.runs.ran import missing_data, participants, printing, sensitivity, software
from walkrisk.runs.run import Run
from walkrisk.runs.strobe import strobe_table
from walkrisk.runs.tabulations import Tabulation, is_main
from walkrisk.runs.withholding import disclosure_blocks
from walkrisk.studies.kinds import section_table_ids
from walkrisk.studies.study import Study
from walkrisk.tables.diagnostics import diagnostics_summary
from walkrisk.tables.table import Table

ORIGIN = "Where the numbers come from"


def report_parts(
    made: Run,
    work: Tabulation,
    tables: Mapping[str, Table],
    figures: Mapping[str, FigureBlock],
    *,
    study_sha256: str,
    accounts: Accounts,
) -> ReportParts:
    """The report of a run, from its tables and figures by id, and the checklist of what stands where in it."""
    about, view = made.study.study, view_of(work)
    sections = [s for s in _sections(made, view, tables, figures, accounts) if s.blocks]
    origin = Section(id="section_origin", title=ORIGIN, blocks=_origin(made, study_sha256))
    checklist = strobe_table(view, [*sections, origin])
    strobe = Section(id="section_strobe", title="STROBE checklist", blocks=(checklist,), linked=True)
    return ReportParts(
        title=about.title,
        subtitle=about.question,
        simulated=made.source.simulated,
        headline=headline(view),
        summary=_summary(made),
        sections=(*sections, strobe, origin),
        footer=f"walkrisk {versions()['walkrisk']}. {about.reference}",
    )


def _summary(made: Run) -> tuple[tuple[str, str], ...]:
    study, source = made.study, made.source
    outcome = study.outcomes[study.settings.outcome]
    n, events = people_analysed(made.results), events_analysed(study, made.results)
    k = study.settings.min_cell
    rows = "" if source.rows is None else f", {count(source.rows)} rows"
    cases = "(number not reported)" if events is None else f"{count(events)} ({100 * events / n:.1f}%)"
    facts = (
        ("Population", study.study.population),
        ("Data", source.name + rows + (", simulated" if source.simulated else "")),
        ("Analysed", f"{count(n)} people" if n >= k else f"fewer than {k} people"),
        (outcome.label, f"{cases} {outcome.event_word}"),
        ("Follows", study.study.reference),
    )
    return tuple((label, value) for label, value in facts if value)


def _sections(
    made: Run, view: View, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock], accounts: Accounts
) -> Iterator[Section]:
    """What was found first, with a summary of all sensitivity analyses and the limits; then every detail."""
    study = made.study
    yield Section(id="section_methods", title="Methods", blocks=_methods(view, accounts), linked=True)
    yield from _results(study, tables, figures)
    details = list(account_sections(accounts, tables, figures))
    yield from details[: 1 if accounts.summary else 0]
    points = interpretation(study, simulated=made.source.simulated)
    yield Section(id="section_reading", title="How to read these numbers", blocks=(Paragraphs(points=points),))
    said = Paragraphs(points=limits(view, made.warnings))
    yield Section(id="section_limits", title="Limits", blocks=(said,), linked=True)
    yield from details[1 if accounts.summary else 0 :]
    yield Section(id="section_fits", title="Model fits", blocks=_fits(made, tables))
    yield Section(id="section_disclosure", title="What is not shown", blocks=disclosure_blocks(made, tables))


def _methods(view: View, accounts: Accounts) -> tuple[Block, ...]:
    study = view.study
    varied = variations(study)
    texts = (
        *participants(view),
        *methods(study),
        missing_data(study),
        sensitivity(accounts.every),
        printing(study),
        software(study),
    )
    return (
        Paragraphs(texts=tuple(t for t in texts if t), points=study.study.notes),
        *([Paragraphs(title="How the other analyses differ", points=varied)] if varied else []),
    )


def _results(study: Study, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock]) -> Iterator[Section]:
    described = [tables[c.id] for c in study.characteristics]
    first, more = described[:1], described[1:]
    main = [t for t in study.tables if is_main(study, t)]
    rest = [t for t in study.tables if t not in main]
    curves = [figures[f.id] for f in study.curve_figures]
    forests = [figures[f.id] for f in study.forest_figures]
    heats = [figures[f.id] for f in study.heat_figures]
    yield Section(id="section_participants", title="Participants", blocks=(figures["flow"], *first))
    yield Section(id="section_results", title="Main results", blocks=(*(tables[t.id] for t in main), *heats))
    yield Section(id="section_dose", title="Dose-response", blocks=tuple(curves))
    further: list[Block] = [*forests, *(tables[t.id] for t in rest)]
    yield Section(id="section_further", title="Strata and sensitivity analyses", blocks=tuple(further))
    own = tuple(tables[i] for i in section_table_ids(study))
    yield Section(id="section_effects", title="Absolute risks, joint effects and impact", blocks=own)
    yield Section(id="section_testing", title="Tests", blocks=tuple(tables[i] for i in ("tests",) if i in tables))
    beside = tuple(tables[i] for i in ("published_ratios", "published_facts") if i in tables)
    yield Section(id="section_published", title="Published and obtained", blocks=beside)
    yield Section(id="section_more", title="Further descriptive tables", blocks=tuple(more))


def _fits(made: Run, tables: Mapping[str, Table]) -> tuple[Block, ...]:
    said = Paragraphs(texts=(" ".join(diagnostics_summary(made.results.diagnostics)),), points=made.warnings)
    return (said, tables["diagnostics"]) if "diagnostics" in tables else (said,)


def _origin(made: Run, study_sha256: str) -> tuple[Block, ...]:
    source = made.source
    rows = [
        ("Data file", source.name),
        ("SHA-256 of the data", source.sha256),
        *([] if source.rows is None else [("Rows", str(source.rows))]),
        ("Columns read", f"{source.columns_read} of {source.columns_in_file}"),
        *([("Days file", source.days["name"]), ("SHA-256 of the days", source.days["sha256"])] if source.days else []),
        ("SHA-256 of the study", study_sha256),
        *([("Seed of the simulation", str(source.seed))] if source.seed is not None else []),
        *versions().items(),
    ]
    text = (
        "Every number above is formatted from estimates.csv, curves.csv, flow.csv, cutpoints.csv, characteristics.csv "
        "and diagnostics.csv beside this report, which hold at full precision what may be published; disclosure.csv "
        "says what may not. manifest.json has the hash of every file. The report can be made again from these without "
        "refitting:",
    )
    return (Facts(rows=tuple(rows)), Paragraphs(texts=text), Commands(lines=("walkrisk report FOLDER",)))
