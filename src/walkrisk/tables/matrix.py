"""Joint groups as a cross table: one exposure in rows, the other in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.estimates.rows import Estimate
from walkrisk.tables.cells import ABSENT, NOT_FITTED
from walkrisk.tables.ratios import LONG, MEASURES, SHORT, ModelColumn, ratio_cell
from walkrisk.tables.risks import Shown
from walkrisk.tables.table import Head, Row, Table


def matrix_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposure: str,
    models: Sequence[ModelColumn],
    counts: Sequence[str] = ("events", "n"),
    number: str = "",
) -> Table:
    """Ratios of the joint groups of a crossed exposure, a row (and one of `counts`) for each category of the first.

    With several models each has a row under the category.
    """
    made = _Matrix(shown, exposure, models, counts, _by_place(shown, exposure))
    first, second = (shown.exposures[e] for e in shown.exposures[exposure].cross)
    columns = made.names(1) or {"": NOT_FITTED}
    words = {SHORT[k]: LONG[k] for k in made.kinds} | {"CI": "confidence interval"}
    short = "; ".join(f"{s}, {words[s]}" for s in sorted(words))
    only = (f"Cells are {made.kind}, {models[0].label.lower()}.", models[0].footnote) if len(models) == 1 else ()
    notes = (*only, f"Abbreviations: {short}.", shown.suppression())
    return Table(
        id=id,
        title=title,
        number=number,
        header=(
            Head(first.heading, shown.limits_note(exposure)),
            Head(second.heading, shown.limits_note(exposure), parts=tuple(Head(text) for text in columns.values())),
        ),
        rows=tuple(made.rows()) or (Row(cells=(NOT_FITTED, ABSENT)),),
        notes=tuple(dict.fromkeys(n for n in notes if n)),
    )


def _by_place(shown: Shown, exposure: str) -> dict[tuple[str, str], Estimate]:
    return {(e.level, e.model): e for e in shown.rows(exposure) if e.estimand in MEASURES and not e.stratum}


@dataclass(frozen=True, slots=True)
class _Matrix:
    shown: Shown
    exposure: str
    models: Sequence[ModelColumn]
    counts: Sequence[str]
    found: Mapping[tuple[str, str], Estimate]

    @property
    def kinds(self) -> list[str]:
        return [m for m in MEASURES if any(e.estimand == m for e in self.found.values())]

    @property
    def kind(self) -> str:
        return f"{SHORT[self.kinds[0]] if len(self.kinds) == 1 else 'Ratio'} ({self.shown.level} CI)"

    def names(self, side: int) -> dict[str, str]:
        """Category of one of the two exposures -> what it is called."""
        levels = list(dict.fromkeys(level.split("/")[side] for level, _ in self.found))
        return self.shown.names(self.shown.exposures[self.exposure].cross[side], levels)

    def rows(self) -> Iterator[Row]:
        single = len(self.models) == 1
        for a, text in self.names(0).items():
            levels = [f"{a}/{b}" for b in self.names(1)]
            if single:
                yield Row(cells=(text, *self._ratios(levels, self.models[0])))
            else:
                yield Row(kind="heading", cells=(text,))
                for model in self.models:
                    label = f"{model.label}, {self.kind}"
                    yield Row(cells=(label, *self._ratios(levels, model)), indent=1, note=model.footnote)
            if self.counts:
                yield Row(cells=(self._counted, *(self._count(level) for level in levels)), indent=1)

    def _ratios(self, levels: Sequence[str], model: ModelColumn) -> Iterator[str]:
        s = self.shown
        for level in levels:
            there = (level, model.id) in self.found
            yield ratio_cell(self.found, level, model, s.guard, s.events, s.rounding) if there else ABSENT

    @property
    def _counted(self) -> str:
        words = {"events": self.shown.events, "n": "participants"}
        return f"No. of {' / '.join(words[c] for c in self.counts)}"

    def _count(self, level: str) -> str:
        row = next((e for (found, _), e in self.found.items() if found == level), None)
        if row is None:
            return ABSENT
        texts = dict(zip(("n", "events"), self.shown.guard.counts(row), strict=True))
        return " / ".join(texts[c] for c in self.counts)
