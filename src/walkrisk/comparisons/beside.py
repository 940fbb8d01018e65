"""What of two runs may be told beside each other: where few people differ, no count nor what follows from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from walkrisk.comparisons.sides import Side
from walkrisk.disclosure.blanking import emptied, first_variances
from walkrisk.disclosure.crude import is_crude
from walkrisk.estimates.pairs import CountPair, Pair, Paired
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small

OF_COUNTS = ("risk", "risk_difference", "nnt", "paf")  # estimands with the risks of few people in them


def plain_counts_give_small(pairs: Sequence[CountPair], *, min_cell: int) -> bool:
    """Whether one of some plain counts, or the difference of two, is one of 1..min_cell - 1."""
    values = [v for p in pairs for v in (p.a, p.b, p.a - p.b if p.a is not None and p.b is not None else None)]
    return any(v is not None and is_small(abs(v), min_cell) for v in values)


def without_derived(paired: Paired, a: Side, b: Side) -> Paired:
    """Pairs without the numbers that counts follow from.

    Those are estimates of crude models, risks and what is made of them, and all variances of a fit but the one shown:
    two of them tell its number of people.
    """
    pairs = []
    firsts = [first_variances([getattr(p, side) for p in paired.pairs], _preferred(s)) for side, s in _sides(a, b)]
    for pair in paired.pairs:
        rows = (pair.a, pair.b)
        gone = any(_derived(row, s, f) for row, s, f in zip(rows, (a, b), firsts, strict=True))
        pairs.append(Pair(a=emptied(pair.a), b=emptied(pair.b), but_for=pair.but_for) if gone else pair)
    return replace(paired, pairs=tuple(pairs))


def _sides(a: Side, b: Side) -> tuple[tuple[str, Side], tuple[str, Side]]:
    return ("a", a), ("b", b)


def _preferred(side: Side) -> str:
    return side.study.settings.variances[0] if side.study else ""


def _derived(row: Estimate, side: Side, firsts: dict[tuple[str, str, str, str, str], str]) -> bool:
    if row.estimate == 1.0 and row.level == row.reference:
        return False
    first = firsts.get((row.analysis, row.exposure, row.stratum, row.model, row.method))
    second = bool(row.variance) and first not in (None, row.variance)
    crude = side.study is not None and is_crude(side.study, row)
    return crude or second or row.estimand in OF_COUNTS
