"""What the accounts of measurement error have in common: names, texts, panels of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from walkrisk.accounts.account import View
from walkrisk.accounts.facts import Fact, Form, number_of, words
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel
from walkrisk.studies.measurement import Calibration, Simex

GROUP = "Measurement error"
MEASURED = "as measured"  # stratum of a row, item of a point
ABSENT = "–"


def one_of(rows: Sequence[Estimate]) -> Estimate | None:
    """The first row with an estimate."""
    return next((r for r in rows if r.estimate is not None), None)


def per_words(view: View, analysis: str, exposure: str) -> str:
    """Units of a linear ratio for people: per 30 min/day."""
    unit = one_of(view.rows(analysis, exposure=exposure, estimand="unit"))
    label = view.exposures[exposure]
    text = fixed(unit.estimate if unit else None, min(label.decimals, 3))
    return f"per {text} {label.unit}".strip()


def per_facts(view: View, analysis: str, exposure: str) -> dict[str, Fact]:
    """The same for a sentence with the places {unit} and {of}: its number from its row."""
    unit = one_of(view.rows(analysis, exposure=exposure, estimand="unit"))
    label = view.exposures[exposure]
    if unit is None:
        return {"unit": words("unit"), "of": words(label.unit)}
    forms: tuple[Form, ...] = ("fixed0", "fixed1", "fixed2", "fixed3")
    return {"unit": number_of(unit, "estimate", forms[min(label.decimals, 3)]), "of": words(label.unit or "units")}


def capitalised(text: str) -> str:
    """A text with its first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def source_words(declared: Calibration | Simex) -> str:
    """Where a declared reliability comes from; empty without one."""
    if not declared.reliability:
        return ""
    given = ", ".join(f"{name} {value:g}" for name, value in declared.reliability.items())
    return f" Of {given} the reliability was taken from elsewhere ({declared.source}) and as known."


def pers(view: View, declared: Calibration | Simex, followed: Sequence[str]) -> str:
    """Units of the linear ratios of several exposures, as declared, or in words."""
    if all(e in declared.per for e in followed):
        return "; ".join(f"per {declared.per[e]:g} {view.exposures[e].unit}".strip() for e in followed)
    return "from the median of the lowest to that of the highest category"


def curve_panels(view: View, analysis: str, followed: Sequence[str], items: Mapping[str, str]) -> list[Panel]:
    """A panel an exposure, with the curves of `items` (item -> words)."""
    panels = []
    for exposure in followed:
        points = view.points(analysis, "curve", exposure=exposure)
        reference = view.points(analysis, "curve reference", exposure=exposure)
        marks: list[Mark] = []
        for colour, (item, text) in enumerate(items.items()):
            mine = [p for p in points if p.item == item]
            x = [p.x for p in mine]
            marks.append(Mark(kind="band", x=x, low=[p.low for p in mine], high=[p.high for p in mine], colour=colour))
            marks.append(Mark(kind="line", x=x, y=[p.y for p in mine], label=text, colour=colour))
        if not points:
            continue
        panels.append(
            Panel(
                title=view.label(exposure),
                x_label=view.exposures[exposure].heading,
                y_label="Adjusted ratio",
                marks=marks,
                horizontal=[(1.0, "")],
                vertical=[(p.x, "") for p in reference if p.x is not None],
                log_y=True,
            )
        )
    return panels
