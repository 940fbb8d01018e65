"""A changed declaration for a run that is there: taken where only what readers see differs, refused otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.declarations import as_table
from walkrisk.errors import UsageFault
from walkrisk.places import with_lines
from walkrisk.studies.declaration import SENSITIVITY_FILE, load_study
from walkrisk.studies.study import Study

# No row of a run's numbers depends on these (* is any name or place in a list); what is below a key goes with it.
PRESENTATION = tuple(
    tuple(key.split("."))
    for key in (
        "study.title", "study.question", "study.population", "study.exposure_words", "study.outcome_words",
        "study.reference", "study.notes",
        "columns.*.meaning", "columns.*.unit", "columns.*.decimals",
        "variables.*.label", "variables.*.unit", "variables.*.decimals",
        "days.counts.*.label", "days.means.*.label", "days.means.*.unit", "days.means.*.decimals",
        "exclusions.*.reason", "outcomes.*.label", "outcomes.*.event_word", "exposures.*.label", "exposures.*.decimals",
        "models.*.label", "analyses.*.title", "curves.*.title", "standardised.*.title", "comparisons.*.title",
        "attributable.*.title", "substitutions.*.title", "horizons.*.title", "sensitivity.*.*.title",
        "characteristics.*.title", "tables", "rounding", "curve_figures", "forest_figures", "heat_figures",
        "settings.figure_width",
        "settings.min_cell", "settings.round_counts",  # looked at on their own: what may be published depends on them
    )
)  # fmt: skip
Keys = tuple[str, ...]


def presented(kept: Study, path: Path, *, sensitivity: bool) -> Study:
    """The study at `path` in place of the one a run was made of, where only its presentation differs.

    Raises StudyFault with the faults of its declaration, UsageFault with every other key that differs.
    """
    study = load_study(path, sensitivity=sensitivity)
    differing = [p for p in differences(as_table(kept), as_table(study)) if not _is_presentation(p, study)]
    if differing:
        said = [f"{_key(p)}: differs from the run, whose numbers depend on it." for p in differing]
        beside = {"sensitivity": path.with_name(SENSITIVITY_FILE)} if sensitivity else {}
        raise UsageFault([*with_lines(said, path, **beside), "Run the study again, or put these back as they were."])
    return study


def differences(before: Any, after: Any, at: Keys = ()) -> Iterator[Keys]:
    """The keys in which two declarations differ, as far down as both have them; the order of names counts too."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        shared = [k for k in before if k in after]
        if shared != [k for k in after if k in before] and len(at) == 1:
            yield at
        for key in dict.fromkeys([*before, *after]):
            if key in before and key in after:
                yield from differences(before[key], after[key], (*at, key))
            else:
                yield (*at, key)
    elif _are_tables(before) and _are_tables(after) and before and after:
        for i, (a, b) in enumerate(zip_longest(before, after)):
            yield from differences(a, b, (*at, str(i)))
    elif before != after:
        yield at


def renamed_flow(flow: Sequence[FlowStep], study: Study) -> tuple[FlowStep, ...]:
    """The steps of the flow with the reasons a study gives; steps told together have theirs one after the other."""
    reasons = {step.id: step.reason for step in study.exclusions}
    return tuple(replace(s, reason="; ".join(reasons[step] for step in s.step.split("+"))) for s in flow)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_presentation(path: Keys, study: Study) -> bool:
    if path[0] == "exposures" and path[2:] == ("unit",):  # ratios per unit are called by it
        per_unit = {e for a in study.analyses if a.form == "per_unit" for e in a.exposures}
        return path[1] not in per_unit and not study.sensitivity.other_forms
    return any(
        len(path) >= len(pattern) and all(p in ("*", part) for p, part in zip(pattern, path, strict=False))
        for pattern in PRESENTATION
    )


def _key(path: Keys) -> str:
    """A key as faults write it."""
    out = ""
    for part in path:
        out += f"[{part}]" if part.isdecimal() and out else f".{part}" if out else part
    return out
