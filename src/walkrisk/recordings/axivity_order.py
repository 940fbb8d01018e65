"""Blocks of a .cwa file in the order of time: duplicates dropped, displaced blocks put back, restarts told apart.

Blocks that follow one another in the file, in sequence and in time form a piece. In a sound file there is one piece a
start of the device and the pieces stand in the order of time. Where they do not, the heaviest set of pieces in which
the order of the file and the order of time agree is taken for the recording; another piece joins it where it fits a
free place and its sequence numbers say that it belongs there; of the rest only what lies between its neighbours in the
file is used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.axivity_index import IntArray, SectorIndex
from walkrisk.recordings.axivity_timing import Anchors, usable_anchors

FAR_S = 31 * 86400.0  # no recording pauses for a month: what stands further off was written under another clock
SLACK_SAMPLES = 3.0  # how far two pieces may overlap by the rounding of their stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Rows of the index that follow one another, and when they start and stop (seconds since 2000, approximate)."""

    rows: IntArray
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`segments`: rows of the index, in order of time, no sample missing within one; `rate_hz` (b,) as measured."""

    segments: tuple[IntArray, ...]
    anchors: Anchors
    counts: Counter[str]


def order_blocks(index: SectorIndex) -> Order:
    """Put the blocks of a file in the order of time and cut them where the recording is interrupted."""
    counts: Counter[str] = Counter()
    rows = _without_duplicates(index)
    counts["duplicated"] = len(index.position) - len(rows)
    layout = layouts(index)
    cut = _follows(index, layout, rows[:-1], rows[1:])
    anchors = usable_anchors(index, rows, layout=layout, breaks=~cut)
    counts["wild_stamps"] = int(anchors.wild.sum())
    breaks = np.flatnonzero(~cut | anchors.steps) + 1
    pieces = _pieces(index, anchors, rows, breaks)
    counts["untimed"] = len(rows) - sum(len(piece.rows) for piece in pieces)
    near = _of_one_clock(index, pieces)
    counts["other_clock"] = sum(len(p.rows) for p in pieces) - sum(len(p.rows) for p in near)
    placed = _placed(index, anchors, near, counts)
    return Order(segments=_merged(index, layout, anchors, placed, counts), anchors=anchors, counts=counts)


def layouts(index: SectorIndex) -> IntArray:
    """(b,) a number a combination of rate, range, packing and unit."""
    unit = np.where(index.packing == 0x30, 0.0, index.unit_g)
    columns = [index.rate_hz, index.range_g, index.packing.astype(np.float64), unit]
    if all((column == column[:1]).all() for column in columns):
        return np.zeros(len(unit), np.int64)
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _without_duplicates(index: SectorIndex) -> IntArray:
    """Rows in file order, the first of those that name the same session, sequence number and time."""
    if (np.diff(index.sequence) > 0).all():
        return np.arange(len(index.position))
    keys = (np.nan_to_num(index.anchor_s, nan=-1.0), index.anchor, index.sequence, index.session)
    order = np.lexsort((index.position, *keys))
    same = np.all([np.diff(key[order]) == 0 for key in keys], axis=0)
    return np.sort(order[np.concatenate(([True], ~same))])


def _follows(index: SectorIndex, layout: IntArray, a: IntArray, b: IntArray) -> npt.NDArray[np.bool_]:
    """Whether block b is the device's next after block a, in the same settings."""
    return (
        (index.sequence[b] == index.sequence[a] + 1) & (index.session[b] == index.session[a]) & (layout[b] == layout[a])
    )


def _pieces(index: SectorIndex, anchors: Anchors, rows: IntArray, breaks: IntArray) -> list[Piece]:
    """Pieces in file order; those with no usable time stamp are left out."""
    edges = np.concatenate(([0], breaks, [len(rows)]))
    return [
        _piece(index, anchors, rows[i:j])
        for i, j in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if anchors.good[rows[i:j]].any()
    ]


def _piece(index: SectorIndex, anchors: Anchors, rows: IntArray) -> Piece:
    good = rows[anchors.good[rows]]
    first, last = good[0], good[-1]
    rate = anchors.rate_hz[rows[0]]
    ahead = index.count[rows[rows < first]].sum() + index.anchor[first]
    behind = index.count[rows[rows >= last]].sum() - index.anchor[last]
    return Piece(
        rows=rows,
        start_s=float(index.anchor_s[first] - ahead / rate),
        stop_s=float(index.anchor_s[last] + behind / rate),
    )


def _of_one_clock(index: SectorIndex, pieces: list[Piece]) -> list[Piece]:
    """Those of the heaviest group of pieces with no pause of a month between them."""
    if len(pieces) < 2:
        return pieces
    order = np.argsort([piece.start_s for piece in pieces], kind="stable")
    reach = np.maximum.accumulate([pieces[k].stop_s for k in order])
    starts = np.array([pieces[k].start_s for k in order])
    group = np.empty(len(pieces), np.int64)
    group[order] = np.concatenate(([0], np.cumsum(starts[1:] - reach[:-1] > FAR_S)))
    weight = np.bincount(group, [index.count[piece.rows].sum() for piece in pieces])
    return [piece for piece, of in zip(pieces, group.tolist(), strict=True) if of == int(np.argmax(weight))]


def _placed(index: SectorIndex, anchors: Anchors, pieces: list[Piece], counts: Counter[str]) -> list[Piece]:
    """Pieces in the order of time, none overlapping another by more than rounding."""
    slack = [SLACK_SAMPLES / float(anchors.rate_hz[piece.rows[0]]) for piece in pieces]
    if all(b.start_s >= a.stop_s - s for a, b, s in zip(pieces, pieces[1:], slack, strict=False)):
        return pieces
    chain = _heaviest_chain(pieces, slack, [int(index.count[piece.rows].sum()) for piece in pieces])
    kept = [pieces[k] for k in chain]
    spans = [(piece.stop_s, piece.start_s) for piece in kept]
    member = set(chain)
    for k, piece in enumerate(pieces):
        if k in member:
            continue
        if _belongs(index, kept, piece, slack[k]):
            counts["out_of_order"] += len(piece.rows)
            kept.insert(_place(kept, piece), piece)
            continue
        at = bisect_left(chain, k)
        after = spans[at - 1][0] if at else -np.inf
        before = spans[at][1] if at < len(spans) else np.inf
        rest = _within(index, anchors, piece, after, before)
        used = 0
        if rest is not None and _free(kept, rest, slack[k]):
            kept.insert(_place(kept, rest), rest)
            used = len(rest.rows)
        counts["clock_set_back"] += len(piece.rows) - used
    return kept


def _heaviest_chain(pieces: list[Piece], slack: Sequence[float], weights: Sequence[int]) -> list[int]:
    """Indices of the set of pieces with most samples in which each starts after the one before it in the file stops."""
    stops = sorted({piece.stop_s for piece in pieces})
    best = [(0, -1)] * (len(stops) + 1)  # a Fenwick tree of prefix maxima over the order of stops
    previous = [-1] * len(pieces)
    total = (0, -1)
    for k, piece in enumerate(pieces):
        at = bisect_left(stops, piece.start_s + slack[k] + 1e-9)
        before = (0, -1)
        while at:
            before = max(before, best[at])
            at &= at - 1
        reached = (before[0] + weights[k], k)
        previous[k] = before[1]
        total = max(total, reached)
        at = bisect_left(stops, piece.stop_s) + 1
        while at < len(best):
            best[at] = max(best[at], reached)
            at += at & -at
    chain = []
    at = total[1]
    while at >= 0:
        chain.append(at)
        at = previous[at]
    return chain[::-1]


def _place(kept: list[Piece], piece: Piece) -> int:
    return bisect_left(kept, piece.start_s, key=lambda p: p.start_s)


def _neighbours(kept: list[Piece], piece: Piece) -> tuple[Piece | None, Piece | None]:
    at = _place(kept, piece)
    return (kept[at - 1] if at else None), (kept[at] if at < len(kept) else None)


def _free(kept: list[Piece], piece: Piece, slack: float) -> bool:
    before, after = _neighbours(kept, piece)
    return (before is None or piece.start_s >= before.stop_s - slack) and (
        after is None or piece.stop_s <= after.start_s + slack
    )


def _belongs(index: SectorIndex, kept: list[Piece], piece: Piece, slack: float) -> bool:
    """Whether a piece fits a free place between blocks of its own session that its sequence numbers lead to."""
    if not _free(kept, piece, slack):
        return False
    first, last = piece.rows[0], piece.rows[-1]
    before, after = _neighbours(kept, piece)
    leads = after is not None and bool(
        index.session[after.rows[0]] == index.session[last] and index.sequence[after.rows[0]] > index.sequence[last]
    )
    led = before is not None and bool(
        index.session[before.rows[-1]] == index.session[first]
        and index.sequence[before.rows[-1]] < index.sequence[first]
    )
    return leads or led


def _within(index: SectorIndex, anchors: Anchors, piece: Piece, after: float, before: float) -> Piece | None:
    """The blocks of a piece that lie between two times; None where there is none, or none with a time stamp."""
    rate = anchors.rate_hz[piece.rows[0]]
    edges = piece.start_s + np.concatenate(([0], np.cumsum(index.count[piece.rows]))) * (
        (piece.stop_s - piece.start_s) / max(int(index.count[piece.rows].sum()), 1)
    )
    slack = SLACK_SAMPLES / rate
    rows = piece.rows[(edges[:-1] >= after - slack) & (edges[1:] <= before + slack)]
    if not len(rows) or not anchors.good[rows].any():
        return None
    rest = _piece(index, anchors, rows)
    return rest if rest.start_s >= after - slack and rest.stop_s <= before + slack else None


def _merged(
    index: SectorIndex, layout: IntArray, anchors: Anchors, placed: list[Piece], counts: Counter[str]
) -> tuple[IntArray, ...]:
    """Pieces joined where one is the device's next after the other; what lies between the rest is counted."""
    bad = np.array(index.bad_blocks, np.int64)
    segments: list[list[IntArray]] = []
    for before, piece in zip([None, *placed], placed, strict=False):
        if before is None:
            segments.append([piece.rows])
            continue
        a, b = before.rows[-1:], piece.rows[:1]
        pause = piece.start_s - before.stop_s
        rate = float(anchors.rate_hz[b[0]])
        if bool(_follows(index, layout, a, b)[0]) and abs(pause) <= anchors.tolerance_s(
            float(index.count[b[0]]) / rate, rate
        ):
            segments[-1].append(piece.rows)
            continue
        segments.append([piece.rows])
        _count_break(index, bad, int(a[0]), int(b[0]), pause, rate, counts)
    return tuple(np.concatenate(parts) for parts in segments)


def _count_break(
    index: SectorIndex, bad: IntArray, a: int, b: int, pause: float, rate: float, counts: Counter[str]
) -> None:
    counts["gaps"] += int(pause > 1.5 / rate)
    jump = int(index.sequence[b] - index.sequence[a]) - 1
    room = 1.5 * max(pause, 0.0) * rate / max(int(index.count[a]), 1) + 10.0
    if index.session[a] != index.session[b] or not 0 <= jump <= room:
        counts["restarts"] += 1
        return
    low, high = sorted((int(index.position[a]), int(index.position[b])))
    known = int(np.searchsorted(bad, high) - np.searchsorted(bad, low))
    counts["missing"] += max(0, jump - known)
