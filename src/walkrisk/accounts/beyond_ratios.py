"""What sensitivity analyses found that is no ratio of the main contrast: bounds, E-values, counts, controls, power."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from walkrisk.accounts.account import View
from walkrisk.estimates.disclosure import shown_count
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.studies.kinds import category_names
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

ID = "sensitivity_measures"
Cell = Callable[[str], str]  # exposure -> text


def measures_table(view: View, title: str) -> Table | None:
    """A row for each analysis that has no line among the ratios; None without any."""
    rows = [
        Row(cells=(label, *(cell(e) for e in view.followed)))
        for label, cell in (*_lost(view), *_evalues(view), *_people(view), *_controls(view), *_power(view))
    ]
    if not rows:
        return None
    heads = [Head(f"{view.label(e)}: {view.category(e, view.headline(e))}") for e in view.followed]
    return Table(id=ID, title=title, header=(Head("Measure", words=True), *heads), rows=tuple(rows))


def _one(view: View, analysis: str, exposure: str, estimand: str, **wanted: str) -> Estimate | None:
    """The row of an analysis at the category shown, under the variance that tables show."""
    level = view.headline(exposure)
    found = view.rows(analysis, exposure=exposure, level=level, estimand=estimand)
    return next((r for r in found if all(getattr(r, k) == v for k, v in wanted.items())), None)


def _pair(first: Estimate | None, second: Estimate | None, write: Callable[[float], str]) -> str:
    """A value with that of the limit behind it; a dash where there is none."""
    if first is None or first.estimate is None:
        return ABSENT
    limit = ABSENT if second is None or second.estimate is None else write(second.estimate)
    return f"{write(first.estimate)} ({limit})"


def _lost(view: View) -> Iterator[tuple[str, Cell]]:
    for d in view.study.sensitivity.worst_cases:

        def bounds(e: str, id: str = d.id) -> str:
            ends = [_one(view, id, e, "risk_ratio", stratum=s) for s in ("lowest", "highest")]
            known = [view.rounding.ratio(r.estimate) for r in ends if r is not None and r.estimate is not None]
            return " to ".join(known) if len(known) == 2 else ABSENT

        yield f"{d.title}: lowest to highest ratio", bounds
        for which, words in (("k of the category", "in the category"), ("k of the reference", "in the reference")):

            def tipping(e: str, id: str = d.id, which: str = which) -> str:
                at = [_one(view, id, e, "tipping_point", stratum=which, method=m) for m in ("ratio", "limit")]
                return _pair(at[0], at[1], lambda v: fixed(v, 2))

            yield f"Factor on the {d.scale} of those lost {words} at which the ratio (its limit) is 1", tipping


def _evalues(view: View) -> Iterator[tuple[str, Cell]]:
    for d in view.study.sensitivity.evalue_curves:

        def cell(e: str, id: str = d.id) -> str:
            return _pair(_one(view, id, e, "e_value"), _one(view, id, e, "e_value_ci"), lambda v: fixed(v, 2))

        yield "E-value of the ratio (of its limit)", cell


def _people(view: View) -> Iterator[tuple[str, Cell]]:
    least = view.study.settings.min_cell
    for d in view.study.sensitivity.influence:

        def cell(e: str, id: str = d.id) -> str:
            texts = []
            for stratum in ("to_null", "to_limit"):
                row = _one(view, id, e, "count", stratum=stratum)
                if row is None or (row.estimate is None and row.n is not None):
                    texts.append(ABSENT)
                else:  # a count that is withheld has no `n` either
                    texts.append(
                        shown_count(
                            count(row.estimate),
                            "small" if row.n is None or is_small(row.estimate or 0, least) else None,
                            least,
                        )
                    )
            return f"{texts[0]} ({texts[1]})"

        yield "People without whom the ratio reaches 1 (its interval holds 1)", cell


def _controls(view: View) -> Iterator[tuple[str, Cell]]:
    for d in view.study.sensitivity.negative_controls:
        if d.outcome:

            def by_exposure(e: str, id: str = d.id) -> str:
                return view.cell(_one(view, id, e, "risk_ratio"))

            yield d.title, by_exposure
        elif d.exposure:
            level = category_names(view.study, d.exposure)[-1]
            found = view.rows(d.id, exposure=d.exposure, level=level)

            def same(e: str, found: Sequence[Estimate] = found, beside: Sequence[str] = d.beside) -> str:
                return view.cell(found[0] if found else None) if e in beside or not beside else ABSENT

            yield d.title, same


def _power(view: View) -> Iterator[tuple[str, Cell]]:
    for d in view.study.sensitivity.power:
        for side, word in (("below", "below"), ("above", "above")):
            if d.direction in (side, "both"):
                stratum = f"{side} 1, power {d.powers[0]:g}"

                def cell(e: str, id: str = d.id, stratum: str = stratum) -> str:
                    row = _one(view, id, e, "minimal_detectable_ratio", stratum=stratum, method="modified_poisson")
                    return ABSENT if row is None or row.estimate is None else view.rounding.ratio(row.estimate)

                yield f"Ratio nearest to 1, {word} it, that is detected with power {100 * d.powers[0]:g}%", cell
