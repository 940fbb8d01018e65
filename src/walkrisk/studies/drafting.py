"""A commented study.toml for a participants' file: what was chosen, declared; the rest beside it, to be taken in.

Lines that start with "# " explain; lines that start with "#" alone are examples, in force once the # is taken away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from walkrisk.cohorts.profiles import FileProfile
from walkrisk.studies.draft_days import DAYS_LINES, families, wide_days
from walkrisk.studies.draft_examples import as_example, examples
from walkrisk.studies.draft_parts import (
    PREFIXES,
    Exposed,
    Parts,
    adjusted_words,
    column_content,
    column_notes,
    grid_step,
    lower,
    parts_of,
    per_unit,
    words,
)
from walkrisk.studies.guesses import Guess, clean
from walkrisk.studies.roles import Roles
from walkrisk.studies.toml_text import Value, comment, key, lines

MOST_OTHERS = 200
ADULT = 18
HEADING = "# ---------------------------------------------------------------- "


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a study is drafted for: its id and title (empty: made up), its own file name, that of its days if any."""

    id: str
    title: str
    study_file: str
    days_file: str = ""


def draft(request: Request, roles: Roles, columns: Sequence[Guess], file: FileProfile) -> str:
    """The text of a study.toml of these roles, which `walkrisk check` takes as it is."""
    taken = [c.name for c in columns] + [line.split(" ")[0] for line in DAYS_LINES]
    parts = parts_of(roles, taken=taken, n_rows=file.n_rows)
    before = _outcome_before(parts, columns)
    out = [
        *_head(request, parts, file),
        *_columns(parts, file, from_days={c.name for c in parts.used} - {c.name for c in columns}),
        *([f"{HEADING}{clean(request.days_file)} -> person values", *DAYS_LINES, ""] if request.days_file else []),
        *_recoded(parts),
        *_exclusions(parts, before, days=bool(request.days_file)),
        *_settings(parts),
        *_analyses(parts),
        *_shown(parts, days=bool(request.days_file)),
        f"{HEADING}examples",
        *comment("Each is in force once the # before its lines is taken away."),
        *examples(parts),
        *_others(parts, [c for c in columns if c is not before], file),
    ]
    return "\n".join(out) + "\n"


def _named(parts: Parts) -> str:
    """The exposures in a sentence."""
    return words([lower(e.column.title) for e in parts.exposures])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _head(request: Request, parts: Parts, file: FileProfile) -> list[str]:
    exposure = _named(parts)
    verb = "Is" if len(parts.exposures) == 1 else "Are"
    outcome = parts.outcome.title
    title = request.title or f"{_capital(exposure)} and {lower(outcome)}"
    data = f"--data {clean(file.name)}" + (f" --days {clean(request.days_file)}" if request.days_file else "")
    return [
        *comment(
            f"Drafted by walkrisk new for {clean(file.name)} from its columns: read it through and correct what was "
            "guessed. Lines that start with # and a space explain; lines that start with # alone are examples."
        ),
        f"#   walkrisk check {clean(request.study_file)} {data}",
        f"#   walkrisk run {clean(request.study_file)} {data} --out results",
        *comment("Every key with its meaning, for editors: walkrisk schema --out study.schema.json"),
        "",
        *lines(
            "[study]",
            {
                "id": request.id,
                "title": clean(title),
                "question": clean(f"{verb} {exposure} associated with the risk of {lower(outcome)}?"),
                "exposure_words": exposure,
                "outcome_words": lower(outcome),
            },
        ),
        "",
    ]


def _columns(parts: Parts, file: FileProfile, *, from_days: set[str]) -> list[str]:
    out = [
        f"{HEADING}columns of {clean(file.name)}",
        *comment(
            "minimum and maximum are round numbers outside what the file holds, never anybody's value: write what is "
            "possible at all. Values outside are faults that walkrisk check finds."
        ),
    ]
    for c in parts.used:
        if c.name not in from_days:
            content = column_content(c, identity=c is parts.id)
            out += lines(f"[columns.{key(c.name)}]", content, column_notes(c))
    return [*out, ""]


def _recoded(parts: Parts) -> list[str]:
    if not parts.recoded:
        return []
    event = parts.outcome.levels[parts.event]
    return [
        f"{HEADING}the outcome as 0 and 1",
        *lines(
            f"[variables.{key(parts.outcome_variable)}]",
            {
                "op": "recode",
                "from": parts.outcome.name,
                "map": {str(code): new for code, new in parts.recoded.items()},
                "label": parts.outcome.title,
            },
            {"map": _map_note(parts, event)},
        ),
        "",
    ]


def _map_note(parts: Parts, event: str) -> str:
    if parts.outcome.kind == "category":
        return f"by place in categories; {event} is an event"
    return f"{parts.event} ({event}) is an event" if event != str(parts.event) else f"{event} is an event"


def _exclusions(parts: Parts, before: Guess | None, *, days: bool) -> list[str]:
    steps: list[dict[str, Value]] = []
    if days:
        steps.append({"id": "valid_day", "reason": "No valid day", "require": [{"variable": "valid_days", "above": 0}]})
    steps.append({"id": "outcome_known", "reason": "Outcome unknown", "known": [parts.outcome_variable]})
    exposures = [e.column.name for e in parts.exposures]
    steps.append({"id": "exposures_known", "reason": "Exposure unknown", "known": list(dict.fromkeys(exposures))})
    if parts.covariates:
        known = [c.name for c in parts.covariates]
        steps.append({"id": "covariates_known", "reason": "Missing data on a covariate", "known": known})
    out = [f"{HEADING}who is analysed: steps of the flow chart, in order", *_fewer(parts, before)]
    for step in steps:
        out += lines("[[exclusions]]", step)
    return [*out, ""]


def _fewer(parts: Parts, before: Guess | None) -> list[str]:
    """Examples of people who may leave: below an age, or with the outcome at the start."""
    number = next((c for c in parts.covariates if not c.levels and c.minimum is not None), None)
    out = comment("Others may leave first. For example:") if number or before else []
    if number:
        least = max(number.minimum or 0, ADULT if number.unit == "years" else 0)
        content: dict[str, Value] = {
            "id": "in_range",
            "reason": f"{number.title} below {least:g}",
            "require": [{"variable": number.name, "at_least": least}],
        }
        out += as_example(lines("[[exclusions]]", content))
    if before:
        out += as_example(lines(f"[columns.{key(before.name)}]", column_content(before), column_notes(before)))
        step: dict[str, Value] = {
            "id": "free_at_start",
            "reason": before.title,
            "require": [{"variable": before.name, "equals": 0}],
        }
        out += as_example(lines("[[exclusions]]", step))
    return out


def _outcome_before(parts: Parts, columns: Sequence[Guess]) -> Guess | None:
    """The column not in use, of codes 0 and 1, that is called most like the outcome: the outcome at the start."""
    used = {c.name for c in parts.used}
    mine = _long_words(parts.outcome)
    found = [
        c for c in columns if c.name not in used and c.kind == "code" and set(c.levels) == {0, 1} and not c.why_not
    ]
    best = max(found, key=lambda c: len(mine & _long_words(c)), default=None)
    return best if best and mine & _long_words(best) else None


def _long_words(c: Guess) -> set[str]:
    return {word for word in re.findall(r"\w+", c.title.casefold()) if len(word) > 3}


def _settings(parts: Parts) -> list[str]:
    out = [
        f"{HEADING}outcome, exposures, models",
        *lines(
            "[settings]",
            {"outcome": parts.outcome.name, "method": "modified_poisson", "variances": ["HC0"], "min_cell": 5},
            {
                "method": "risk ratios; log_binomial, standardisation_logistic, ...",
                "variances": "robust; or stata, HC3, bootstrap, ...",
                "min_cell": "smaller counts are not shown",
            },
        ),
        *lines(
            f"[outcomes.{key(parts.outcome.name)}]",
            {"variable": parts.outcome_variable, "label": parts.outcome.title, "event_word": "cases"},
        ),
    ]
    for e in parts.exposures:
        out += _exposure(e)
    for name, (label, covariates) in parts.models.items():
        chosen: dict[str, Value] = {"covariates": [c.name for c in covariates]} if covariates else {}
        out += lines(f"[models.{name}]", {**chosen, "label": label})
    if len(parts.models) == 1:
        out += comment("Name covariates with --covariates, or take columns in below, and add a model of them.")
    return [*out, ""]


def _exposure(e: Exposed) -> list[str]:
    content: dict[str, Value] = {"variable": e.column.name, "label": e.column.title}
    if e.column.unit:
        content["unit"] = e.column.unit
    if not e.is_number:
        return lines(
            f"[exposures.{key(e.name)}]", content, {"variable": "its levels are the groups; the first is the reference"}
        )
    content |= {"decimals": e.column.decimals, "quantiles": e.quantiles}
    if e.quantiles != 4:
        content["prefix"] = PREFIXES[e.quantiles]
    content["per"] = per_unit(e)
    said = "equal groups of the people analysed; or cuts = [limits]"
    return lines(
        f"[exposures.{key(e.name)}]",
        content,
        {"quantiles": said, "per": "unit of a ratio per unit", "decimals": "of limits in tables"},
    )


def _analyses(parts: Parts) -> list[str]:
    exposures, models = [e.name for e in parts.exposures], list(parts.models)
    out = [
        f"{HEADING}analyses",
        *lines(
            "[[analyses]]",
            {
                "id": "main",
                "title": clean(f"{parts.outcome.title} by {_named(parts)}"),
                "group": "main",
                "exposures": exposures,
                "models": models,
            },
        ),
    ]
    if parts.curved:
        out += lines(
            "[[curves]]",
            {
                "analysis": "dose_response",
                "title": "Dose-response",
                "exposures": [e.name for e in parts.curved],
                "model": parts.last_model,
                "knot_percentiles": [10, 50, 90],
                "reference_percentile": 10 if all(e.quantiles == 4 for e in parts.curved) else 50,
                "step": {e.name: grid_step(e) for e in parts.curved},
            },
            {
                "knot_percentiles": "or knots = 4, placed by Harrell's rule",
                "reference_percentile": "where the ratio is 1",
                "step": "distance of the points",
            },
        )
    if parts.numbers:
        trend: dict[str, Value] = {
            "analysis": "trend",
            "exposures": [e.name for e in parts.numbers],
            "models": models,
            "scores": ["quartile_median"],
        }
        out += lines("[[trends]]", trend)
    return [*out, ""]


def _shown(parts: Parts, *, days: bool) -> list[str]:
    named = [*(c.name for c in parts.covariates), *(e.column.name for e in parts.exposures)]
    rows = list(dict.fromkeys([*named, *(["valid_days"] if days else [])]))
    first = parts.exposures[0]
    out = [
        f"{HEADING}what the report shows",
        *lines(
            "[[characteristics]]",
            {
                "id": "table1",
                "title": clean(f"Characteristics by {lower(first.column.title)}"),
                "by_exposure": first.name,
                "rows": rows,
            },
        ),
        *lines(
            "[[tables]]",
            {
                "id": "table2",
                "title": clean(f"{_capital(_named(parts))} and {lower(parts.outcome.title)}"),
                "analysis": ["main"],
                "models": list(parts.models),
                "footnotes": [clean(adjusted_words(covariates)) for _, covariates in parts.models.values()],
            },
        ),
    ]
    if parts.curved:
        curves: dict[str, Value] = {
            "id": "figure_curves",
            "title": clean(f"{parts.outcome.title} across {_named(parts)}"),
            "analysis": "dose_response",
        }
        out += lines("[[curve_figures]]", curves)
    forest: dict[str, Value] = {
        "id": "figure_ratios",
        "title": "Adjusted ratios" if len(parts.models) > 1 else "Ratios",
        "analyses": ["main"],
        "model": parts.last_model,
        "exposures": [e.name for e in parts.exposures],
    }
    return [*out, *lines("[[forest_figures]]", forest), ""]


def _others(parts: Parts, columns: Sequence[Guess], file: FileProfile) -> list[str]:
    """The columns that are not in use, as examples or with the reason why they cannot be declared."""
    found = families(file)
    by_day = {name for f in found for name in f.columns}
    used = {c.name for c in parts.used}
    rest = [c for c in columns if c.name not in used and c.source not in by_day]
    out = ["", f"{HEADING}other columns of {clean(file.name)}"]
    out += comment("Take the # away to use one as a covariate, in table 1, in exclusions or in strata.")
    for c in rest[:MOST_OTHERS]:
        if not c.source.strip():
            out += comment("A column without a name: row names, most likely, which R's write.csv adds; not needed.")
        elif c.why_not:
            out += comment(f"{clean(c.source)}: {c.why_not}.")
        elif c.rare:
            said = (
                "texts of which fewer than 5 people have some, so they are not listed; name it in a flag to take it in"
            )
            out += comment(f"{clean(c.source)}: {said}.")
        else:
            out += as_example(lines(f"[columns.{key(c.name)}]", column_content(c), column_notes(c)))
    if len(rest) > MOST_OTHERS:
        out += comment(f"And {len(rest) - MOST_OTHERS} more columns.")
    if file.twice:
        out += comment(f"More than one column has the name {', '.join(clean(t) for t in file.twice[:10])}: not read.")
    return [*out, *wide_days(found)]
