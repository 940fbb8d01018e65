"""Which recordings belong to whom: a folder of ID_thigh.*, ID_back.* files, or a csv manifest."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from walkrisk.errors import DataFault, UsageFault

SITES = ("thigh", "back")
MANIFEST_COLUMNS = ("participant_id", "site", "path")
NAMED = re.compile(r"(?P<id>.+)_(?P<site>thigh|back)\.(?P<extension>[A-Za-z0-9]+)", re.IGNORECASE)
IDENTIFIER = re.compile(r"\w[\w.-]{0,62}\w|\w")
LARGEST_MANIFEST = 100_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """The recordings of one participant; one of the two sites may be missing."""

    participant_id: str
    thigh: Path | None = None
    back: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(p for p in (self.thigh, self.back) if p is not None)


@dataclass(frozen=True, slots=True)
class Found:
    """The participants' recordings, ordered by participant, and notes on files left alone."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


Entry = tuple[str, str, str, Path]  # where it was found (for faults), participant, site, path


def find_recordings(recordings: Path) -> Found:
    """The pairs in a folder, or named by a csv with participant_id, site, path.

    In a folder the files ID_thigh.EXT and ID_back.EXT count, whatever EXT is (what cannot be read is reported when it
    is read); other files are left alone and counted. Paths in a manifest are relative to it.

    Raises UsageFault if there is nothing to read, DataFault with every fault of the names or the manifest.
    """
    if recordings.is_dir():
        entries, notes = _in_folder(recordings)
    elif recordings.is_file():
        entries, notes = _in_manifest(recordings), ()
    else:
        raise UsageFault(
            f"There is no folder or file {recordings}; give a folder with ID_thigh.cwa and ID_back.cwa files, "
            "or a csv with participant_id, site, path."
        )
    faults = _faults(entries)
    if faults:
        raise DataFault(faults)
    if not entries:
        raise UsageFault(
            f"{recordings} holds no recordings; files are to be named ID_thigh.cwa and ID_back.cwa, or listed in a csv "
            "that is given instead: participant_id,site,path, then a line a file such as 1001,thigh,raw/A.cwa."
        )
    return Found(_paired(entries), notes)


def _in_folder(folder: Path) -> tuple[list[Entry], tuple[str, ...]]:
    entries: list[Entry] = []
    other = 0
    for place, path in enumerate(sorted(p for p in folder.iterdir() if not p.name.startswith(".")), start=1):
        match = NAMED.fullmatch(path.name)
        if match and not path.is_dir():
            entries.append((f"file {place} by name", match["id"], match["site"].lower(), path))
        else:
            other += 1
    note = f"{other} file(s) or folder(s) beside the recordings are not named ID_thigh.* or ID_back.*; left alone."
    return entries, (note,) if other else ()


def _in_manifest(path: Path) -> list[Entry]:
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise DataFault(f"{path.name} is larger than {LARGEST_MANIFEST:,} bytes; a manifest names a file a row.")
        text = path.read_bytes().decode("utf-8-sig")
        lines = text.splitlines()
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
        table = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataFault(
            f"{path.name} cannot be read as a csv in UTF-8 ({type(error).__name__}); it must be a text table with "
            "the columns participant_id, site, path (a single recording goes into a folder as ID_thigh.cwa)."
        ) from None
    header = [name.strip() for name in table[0]] if table else []
    missing = [name for name in MANIFEST_COLUMNS if name not in header]
    if missing:
        raise DataFault(
            f"{path.name} has no column {', '.join(missing)}; its first line is to be participant_id,site,path."
        )
    places = [header.index(name) for name in MANIFEST_COLUMNS]
    entries: list[Entry] = []
    short = []
    for row, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(places):
            short.append(row)
            continue
        who, site, where = (cells[i].strip() for i in places)
        site = site.lower() if site.lower() in SITES else site
        entries.append((f"row {row}", who, site, path.parent / where if where else Path()))
    if short:
        raise DataFault(f"{path.name}: row {short[0]} ends before its columns do ({len(short)} such row(s)).")
    return entries


def _faults(entries: Iterable[Entry]) -> list[str]:
    entries = list(entries)
    faults = []
    for place, who, _, path in entries:
        if not IDENTIFIER.fullmatch(who):
            faults.append(
                f"{place}: a participant_id is 1 to 64 letters, digits, '_', '-' or '.', not at its ends; rename it "
                "(it becomes a file name)."
            )
        if path == Path():
            faults.append(f"{place}: path is empty; name the file of the recording.")
    faults += _sites(entries)
    lost = [place for place, _, _, path in entries if path != Path() and not path.exists()]
    if lost and len(lost) == len(entries):
        faults.append(f"{_places(lost)}: there is no such file; correct the paths (they are relative to the csv).")
    twice = Counter((who, site) for _, who, site, _ in entries)
    repeated = [place for place, who, site, _ in entries if twice[who, site] > 1]
    if repeated:
        faults.append(f"{_places(repeated)}: more than one file for a participant and site; keep one.")
    named = Counter((path.resolve(), site) for _, _, site, path in entries if path != Path())
    shared = [place for place, _, site, path in entries if path != Path() and named[path.resolve(), site] > 1]
    if shared:
        faults.append(f"{_places(shared)}: one file is named for more than one participant; keep one.")
    spelled: dict[str, set[str]] = {}
    for _, who, _, _ in entries:
        spelled.setdefault(who.casefold(), set()).add(who)
    clashes = sum(len(s) > 1 for s in spelled.values())
    if clashes:
        faults.append(f"{clashes} participant_id(s) differ from another in upper and lower case only; make them one.")
    return faults


def _sites(entries: Iterable[Entry]) -> list[str]:
    """What stands in place of a site; a column of many words is not that of sites, and may hold ids."""
    other = [(place, site) for place, _, site, _ in entries if site not in SITES]
    words = list(dict.fromkeys(repr(site[:20]) for _, site in other))
    got = f", got {', '.join(words)}" if len(words) <= 4 else ""
    return [f"{_places([place for place, _ in other])}: site must be thigh or back{got}."] if other else []


def _places(places: Sequence[str]) -> str:
    """The first six, and how many more."""
    more = len(places) - 6
    return ", ".join(places[:6]) + (f" and {more} more" if more > 0 else "")


def _paired(entries: Iterable[Entry]) -> tuple[Pair, ...]:
    files: dict[str, dict[str, Path]] = {}
    for _, who, site, path in entries:
        files.setdefault(who, {})[site] = path
    return tuple(Pair(who, **files[who]) for who in sorted(files))
