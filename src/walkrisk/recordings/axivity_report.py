"""What was found while a .cwa file was read, as counts and as sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from walkrisk.recordings.axivity_format import Header
from walkrisk.recordings.axivity_index import IntArray, SectorIndex
from walkrisk.recordings.axivity_order import Order, layouts
from walkrisk.recordings.recording import Quality

_FIRST = 6  # positions named in a sentence
_RATE_OFF = 0.05
# Count -> sentence where it is not 0; {n} the count, {which} the first positions of bad blocks.
_SENTENCES: Mapping[str, str] = {
    "bad_checksum": "{n} of {blocks} blocks fail their checksum; none of their data is used ({which}).",
    "unreadable": "{n} sectors are no blocks of the format or hold impossible values; they are not used ({which}).",
    "empty": "{n} sectors were never written.",
    "truncated_bytes": "The file ends inside a sector: its last {n} bytes are not used.",
    "duplicated": "{n} blocks stand in the file twice; the first of each is used.",
    "out_of_order": "{n} blocks stood in the wrong place and were put back by their time and sequence number.",
    "missing": "{n} blocks are missing by their sequence numbers.",
    "restarts": "The device started again within the file (restarts: {n}).",
    "wild_stamps": "{n} blocks carry a time that their neighbours contradict; they are timed by their neighbours.",
    "untimed": "{n} blocks carry no valid time and follow no block that does; they are not used.",
    "other_clock": "{n} blocks were written more than a month from the rest, under a clock not set; they are not used.",
    "clock_set_back": "{n} blocks repeat times already recorded (the clock was set back); they are not used.",
    "clipped": "{n} samples reach the end of the sensor's range.",
}


def quality_of(header: Header | None, index: SectorIndex, order: Order, rows: IntArray) -> Quality:
    """Counts and sentences on one file; `rows` are the blocks used."""
    counts = {
        "blocks": len(index.position) + index.counts["bad_checksum"],
        "used": len(rows),
        "samples": int(index.count[rows].sum()),
        **{name: index.counts[name] for name in ("bad_checksum", "unreadable", "empty", "truncated_bytes")},
        **{name: int(order.counts[name]) for name in _SENTENCES if name not in index.counts},
        "gaps": int(order.counts["gaps"]),
        "clipped": int(index.clipped[rows].sum()),
        "sessions": len(np.unique(index.session[rows])),
        "settings": len(np.unique(layouts(index)[rows])),
        "header_missing": int(header is None),
    }
    first = ", ".join(str(k) for k in index.bad_blocks[:_FIRST]) + (", ..." if len(index.bad_blocks) > _FIRST else "")
    which = f"position {first}" if len(index.bad_blocks) == 1 else f"positions {first}"
    sentences = [
        text.format(n=f"{counts[name]:,}", blocks=f"{counts['blocks']:,}", which=which)
        for name, text in _SENTENCES.items()
        if counts[name]
    ]
    return Quality(counts=counts, sentences=(*sentences, *_remarks(header, index, order, counts)))


def _remarks(header: Header | None, index: SectorIndex, order: Order, counts: Mapping[str, int]) -> list[str]:
    out: list[str] = []
    if header is None:
        out.append("The file's header is missing or damaged: device, set-up time and site are unknown.")
    elif header.placed and not header.site:
        out.append("The place of wear noted in the file is neither thigh nor back.")
    if counts["sessions"] > 1:
        out.append(f"The file holds blocks of {counts['sessions']} recording sessions.")
    if counts["settings"] > 1:
        out.append(f"Rate, range or layout change within the file ({counts['settings']} settings).")
    row = order.segments[0][0]
    measured, nominal = float(order.anchors.rate_hz[row]), float(index.rate_hz[row])
    if abs(measured / nominal - 1.0) > _RATE_OFF:
        out.append(
            f"By its time stamps the device took {measured:.2f} samples a second, not the {nominal:g} it was set to."
        )
    return out


def nothing_in(counts: Mapping[str, int], *, has_header: bool) -> str:
    """Why a file that was taken for a .cwa file gives no samples."""
    if not has_header and not counts["bad_checksum"]:
        return "The file is no .cwa recording: it has neither its header nor any of its blocks."
    if counts["bad_checksum"] or counts["unreadable"]:
        return (
            f"None of the {counts['sectors']:,} sectors of the .cwa file is sound "
            f"({counts['bad_checksum']:,} fail their checksum): copy it from the device again."
        )
    return "The .cwa file holds a header and no data: the device recorded nothing, or the copy was cut off."
