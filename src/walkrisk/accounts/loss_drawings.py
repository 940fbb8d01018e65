"""The figures of weights for loss to follow-up: their distribution by exposure, and the balance they make."""

from __future__ import annotations

from collections.abc import Iterator

from walkrisk.accounts.account import Drawing, View
from walkrisk.disclosure.coarsening import joined
from walkrisk.figures.love import LoveRow, love_figure
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.losses import LossWeights, title_of


def name_of(view: View, name: str) -> str:
    """A covariate, or an exposure that is one, for people."""
    if name in view.exposures:
        return view.label(name)
    variable = view.variables.get(name)
    return (variable.label if variable else "") or name


def drawings(view: View, declared: LossWeights) -> Iterator[Drawing]:
    """The distribution of the weights (not pooled over imputed sets) and the love plot."""
    panels = [p for e in view.followed if (p := _histogram(view, declared, e)) is not None]
    if panels:
        yield Drawing(
            f"{declared.id}_distribution",
            f"{title_of(declared)}: distribution of the weights",
            "Share of the people followed up in each category of the exposure by their weight. Bins with few people "
            "are joined with their neighbours.",
            panel_figure(panels, columns=min(2, len(panels)), simulated=view.simulated, width=view.width),
        )
    rows = _love_rows(view, declared)
    if rows:
        yield Drawing(
            f"{declared.id}_balance",
            f"{title_of(declared)}: balance of those followed up against everyone eligible",
            "Absolute standardised differences between those followed up and everyone eligible, before weighting and "
            "with weights that are not stabilised (the inverse chance, cut off alike).",
            love_figure(rows, simulated=view.simulated, width=view.width),
            about=f"Loss to follow-up in the analysis of {view.named}.",
        )


def _histogram(view: View, declared: LossWeights, exposure: str) -> Panel | None:
    marks: list[Mark] = []
    points = view.points(declared.id, "histogram", exposure=exposure)
    for i, level in enumerate(dict.fromkeys(p.level for p in points)):
        own = [p for p in points if p.level == level]
        counts = joined([p.n or 0 for p in own], view.guard.min_cell)
        total = sum(counts)
        if total:
            shares = [100 * n / total for n in counts]
            marks.append(Mark(kind="steps", x=[p.x for p in own], y=shares, label=level, colour=i))
    if not marks:
        return None
    return Panel(title=view.label(exposure), x_label="Weight", y_label="People, %", marks=marks)


def _love_rows(view: View, declared: LossWeights) -> list[LoveRow]:
    rows: list[LoveRow] = []
    points = view.points(declared.id, "balance")
    for name in dict.fromkeys(p.item for p in points):
        own = [p for p in points if p.item == name]
        label = name_of(view, name)
        if len(own) == 1:
            rows.append(LoveRow(label=label, before=own[0].x, after=own[0].y))
        elif len(own) == 2:  # the two levels of one variable differ alike
            level = "Yes" if own[1].level == "1" else own[1].level
            rows.append(LoveRow(label=f"{label}: {level}", before=own[1].x, after=own[1].y))
        else:
            rows.append(LoveRow(label=label))
            rows += [LoveRow(label=p.level, before=p.x, after=p.y, indent=True) for p in own]
    return rows
