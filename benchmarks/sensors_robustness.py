"""What each reader gives back for damaged Axivity files: right samples, wrong samples, none, or no end.

    python benchmarks/sensors_robustness.py [--peers DIR] [--clean FILE.cwa] [--real FILE.cwa ...] [--write]

The damage is done to an intact recording (--clean, or a simulated one), so that every good sample and its time are
known: they are decoded here, sector by sector, by the published layout of the format, apart from walkrisk's reader. A
row that a program returns is right if a good sample of the same three values lies within 0.1 s of its time, and a good
sample is lost if no such row came back; a program that marks a bad sector's samples as missing (NaN) is not blamed for
them. Each program has a minute (--timeout).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sensors_measure import CHILD, interpreters, measured, table, versions, write_section

PROGRAMS = ("walkrisk_whole", "actipy", "skdh", "cwa_reader_rs_bare")  # acti-motus reads through skdh
NAMES = {
    "walkrisk_whole": "walkrisk",
    "skdh": "skdh (and acti-motus, which reads with it)",
    "cwa_reader_rs_bare": "cwa_reader_rs",
}
HEADER, SECTOR = 1024, 512
NEAR_S, SAME_G = 0.1, 2e-3
BAD = 12


class Rows(NamedTuple):
    """Good samples: seconds since 1970 on the device's clock (n,), increasing, and g (n, 3)."""

    time_s: np.ndarray
    axes_g: np.ndarray


# The format, as far as judging needs it (openmovement, Docs/ax3/ax3-technical.md).


def sectors(data: bytes) -> list[bytes]:
    """Whole sectors after the header."""
    return [data[i : i + SECTOR] for i in range(HEADER, len(data) - SECTOR + 1, SECTOR)]


def is_good(sector: bytes) -> bool:
    """A data sector whose 16-bit words add up to zero."""
    return sector[:2] == b"AX" and int(np.frombuffer(sector, "<u2").sum(dtype=np.uint64)) % 65536 == 0


def mended(sector: bytearray) -> bytes:
    """The sector with a checksum that fits."""
    sector[510:512] = b"\0\0"
    total = int(np.frombuffer(bytes(sector), "<u2").sum(dtype=np.uint64))
    sector[510:512] = ((-total) % 65536).to_bytes(2, "little")
    return bytes(sector)


def seconds(stamp: int) -> float:
    """A packed time stamp, as seconds since 1970."""
    date = f"{2000 + (stamp >> 26):04}-{stamp >> 22 & 15:02}-{stamp >> 17 & 31:02}"
    of_day = (stamp >> 12 & 31) * 3600 + (stamp >> 6 & 63) * 60 + (stamp & 63)
    return float(np.datetime64(date, "s").astype(np.int64)) + of_day


def packed(stamp_s: float) -> int:
    """Seconds since 1970 as the device writes them."""
    moment = np.datetime64(int(stamp_s), "s").item()
    day = (moment.year - 2000) << 26 | moment.month << 22 | moment.day << 17
    return int(day | moment.hour << 12 | moment.minute << 6 | moment.second)


def decoded(sector: bytes) -> Rows:
    """Times and accelerations of one good sector, on its own time stamp and nominal rate."""
    word = np.frombuffer(sector, "<u2")
    count, scale, shape = int(word[14]), 2.0 ** (8 + (int(word[9]) >> 13)), sector[25]
    rate = 3200 / (1 << (15 - (sector[24] & 15)))
    start = seconds(int.from_bytes(sector[14:18], "little"))
    index, fraction = int.from_bytes(sector[26:28], "little", signed=True), int(word[2])
    if fraction & 0x8000:
        sixteenths = (fraction & 0x7FFF) << 1
        index += sixteenths * int(rate) >> 16
        start += sixteenths / 65536
    if shape & 15 == 0:
        raw = np.frombuffer(sector[30:510], "<u4").astype(np.int64)[:count]
        signed = [(raw >> shift & 1023 ^ 512) - 512 for shift in (0, 10, 20)]
        axes = np.stack(signed, axis=1) << (raw >> 30)[:, None]
    else:
        wide = shape >> 4
        axes = np.frombuffer(sector[30 : 30 + 2 * wide * count], "<i2").reshape(count, wide)[:, wide - 3 :]
    return Rows(start + (np.arange(count) - index) / rate, axes / scale)


def truth(data: bytes) -> Rows:
    """Every good sample of a file, in order of time, a repeated sector once."""
    good = {s[4:510]: decoded(s) for s in sectors(data) if is_good(s)}
    if not good:
        return Rows(np.empty(0), np.empty((0, 3)))
    time_s = np.concatenate([r.time_s for r in good.values()])
    order = np.argsort(time_s, kind="stable")
    return Rows(time_s[order], np.concatenate([r.axes_g for r in good.values()])[order])


# The damage: each takes the header and the sectors of an intact file.


def intact(header: bytes, body: list[bytes]) -> bytes:
    return header + b"".join(body)


def bad_checksums(header: bytes, body: list[bytes]) -> bytes:
    """Samples of 12 sectors overwritten with noise, their checksums left as they were."""
    rng = np.random.default_rng(1)
    hit = rng.choice(len(body), BAD, replace=False)
    return intact(header, [s[:30] + rng.bytes(480) + s[510:] if i in hit else s for i, s in enumerate(body)])


def missing_sectors(header: bytes, body: list[bytes]) -> bytes:
    """A fifth of the sectors gone from the middle, so that sequence numbers and times jump."""
    n = len(body)
    return intact(header, body[: 2 * n // 5] + body[3 * n // 5 :])


def restart(header: bytes, body: list[bytes]) -> bytes:
    """From the middle on, sequence numbers begin at 0 again and the clock is ten minutes on."""
    middle, later = len(body) // 2, []
    for number, sector in enumerate(body[middle:]):
        changed = bytearray(sector)
        changed[10:14] = number.to_bytes(4, "little")
        changed[14:18] = packed(seconds(int.from_bytes(sector[14:18], "little")) + 600).to_bytes(4, "little")
        later.append(mended(changed))
    return intact(header, body[:middle] + later)


def truncated(header: bytes, body: list[bytes]) -> bytes:
    """The last 200 bytes missing."""
    return intact(header, body)[:-200]


def repeated(header: bytes, body: list[bytes]) -> bytes:
    """Five sectors written twice in a row."""
    middle = len(body) // 2
    return intact(header, body[: middle + 5] + body[middle:])


def out_of_order(header: bytes, body: list[bytes]) -> bytes:
    """Two neighbouring stretches of ten sectors exchanged."""
    m = len(body) // 2
    return intact(header, body[:m] + body[m + 10 : m + 20] + body[m : m + 10] + body[m + 20 :])


def foreign_block(header: bytes, body: list[bytes]) -> bytes:
    """Four sectors of zeros, as an unfinished copy leaves them."""
    m = len(body) // 2
    return intact(header, body[:m] + [bytes(SECTOR)] * 4 + body[m + 4 :])


def header_only(header: bytes, body: list[bytes]) -> bytes:
    return header


def empty(header: bytes, body: list[bytes]) -> bytes:
    return b""


def noise(header: bytes, body: list[bytes]) -> bytes:
    """Random bytes of the length of the file."""
    return np.random.default_rng(2).bytes(len(intact(header, body)))


DAMAGE: dict[str, Callable[[bytes, list[bytes]], bytes]] = {
    "intact": intact,
    f"{BAD} bad checksums": bad_checksums,
    "missing sectors": missing_sectors,
    "restart": restart,
    "last sector truncated": truncated,
    "sectors repeated": repeated,
    "sectors out of order": out_of_order,
    "sectors of zeros": foreign_block,
    "header only": header_only,
    "empty": empty,
    "random bytes": noise,
}


# The judgement.


def judged(given: Rows, good: Rows) -> str:
    """What is wrong with the rows that came back, and how many good samples are lost; "right" if nothing is."""
    finite = np.isfinite(given.axes_g).all(axis=1)
    kept = Rows(given.time_s[finite], given.axes_g[finite])
    backwards = int((np.diff(kept.time_s) <= 0).sum())
    order = np.argsort(kept.time_s, kind="stable")
    kept = Rows(kept.time_s[order], kept.axes_g[order])
    wrong, lost = ~matches(kept, good), int((~matches(good, kept)).sum())
    others = Rows(kept.time_s[wrong], kept.axes_g[wrong])
    far = mistimed(others, good)
    zeros, largest = int((others.axes_g == 0).all(axis=1).sum()), np.abs(others.axes_g).max(initial=0)
    words = [
        f"{len(others.time_s):,} rows wrong" if wrong.any() else "",
        f"{zeros:,} of them zero" if zeros else "",
        f"up to {largest:.2g} g" if largest > 3 else "",
        f"{int(far.sum()):,} of them dated from {day(others.time_s[far][0])} on" if far.any() else "",
        f"{backwards:,} times do not increase" if backwards else "",
        f"{lost:,} good samples lost" if lost else "",
        f"{int((~finite).sum()):,} rows marked missing" if not finite.all() else "",
    ]
    return ", ".join(w for w in words if w) or "right"


def matches(these: Rows, those: Rows) -> np.ndarray:
    """Which of these rows (n,) equal one of those near their time; both in order of time."""
    right = np.zeros(len(these.time_s), bool)
    if not len(those.time_s) or not len(right):
        return right
    step_s = float(np.median(np.diff(those.time_s))) if len(those.time_s) > 1 else NEAR_S
    reach = min(int(NEAR_S / max(step_s, 1e-3)) + 3, 130)
    place = np.searchsorted(those.time_s, these.time_s)
    for step in range(-reach, reach + 1):
        at = np.clip(place + step, 0, len(those.time_s) - 1)
        near = np.abs(those.time_s[at] - these.time_s) <= NEAR_S
        right |= near & (np.abs(those.axes_g[at] - these.axes_g) < SAME_G).all(axis=1)
    return right


def mistimed(given: Rows, good: Rows) -> np.ndarray:
    """Rows further than a minute from every good sample."""
    if not len(good.time_s):
        return np.ones(len(given.time_s), bool)
    place = np.clip(np.searchsorted(good.time_s, given.time_s), 1, max(len(good.time_s) - 1, 1))
    around = np.stack([good.time_s[place - 1], good.time_s[np.minimum(place, len(good.time_s) - 1)]])
    far: np.ndarray = np.abs(around - given.time_s).min(axis=0) > 60
    return far


def day(time_s: float) -> str:
    return str(np.datetime64(int(time_s), "D"))


def complaint(error: str, says: str) -> str:
    """The kind of an exception, and its words unless they name a file of this machine."""
    return error if "/" in says or "\\" in says else f"{error}: {says[:160]}"


def outcome(python: str, program: str, path: Path, good: Rows, timeout_s: float) -> str:
    """One program on one file."""
    arrays = path.with_suffix(".npz")
    arrays.unlink(missing_ok=True)
    run = measured([python, str(CHILD), "read", program, str(path), str(arrays)], timeout_s=timeout_s)
    if run.late:
        return f"no end within {timeout_s:g} s"
    if "error" in run.said:
        return complaint(run.said["error"], run.said["says"])
    if run.code or not arrays.exists():
        return "crashed the interpreter" if run.code < 0 else f"ended the interpreter with exit code {run.code}"
    with np.load(arrays) as found:
        if not len(found["time_s"]):
            return f"no rows, {len(good.time_s):,} good samples lost"
        return judged(Rows(found["time_s"], found["axes_g"]), good)


def cases(clean: Path, real: list[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of each damaged copy, then of each real file."""
    data = clean.read_bytes()
    for name, damage in DAMAGE.items():
        path = folder / f"{name.replace(' ', '_')}.cwa"
        path.write_bytes(damage(data[:HEADER], sectors(data)))
        yield name, path
    for file in real:
        copy = folder / f"real_{file.stem}.cwa"
        shutil.copyfile(file, copy)
        yield f"real: {file.name}", copy


def simulated(folder: Path) -> Path:
    """An intact recording of a day."""
    command = [sys.executable, "-m", "walkrisk", "simulate", "recordings", "--participants", "1", "--days", "1"]
    run = measured([*command, "--seed", "1", "--out", str(folder)])
    if run.code:
        sys.exit(f"simulate recordings failed: {run.stderr.strip()[-800:]}")
    return sorted(folder.glob("*_thigh.cwa"))[0]


def shortened(clean: Path, folder: Path, count: int) -> Path:
    """Its first sectors only: enough to show a fault."""
    path = folder / "clean.cwa"
    path.write_bytes(clean.read_bytes()[: HEADER + count * SECTOR])
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder of virtual environments named by program")
    parser.add_argument("--clean", type=Path, metavar="FILE", help="an intact .cwa file (default: simulated)")
    parser.add_argument(
        "--real", type=Path, nargs="*", default=[], metavar="FILE", help="further files, read as they are"
    )
    parser.add_argument("--sectors", type=int, default=3000, help="sectors of the intact file to use (default 3000)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds a program has (default 60)")
    parser.add_argument("--write", action="store_true", help="write the table into the results page")
    arguments = parser.parse_args()
    pythons = interpreters(arguments.peers)
    known = versions(pythons)
    programs = {p: pythons[p.removesuffix("_bare")] for p in PROGRAMS if p.removesuffix("_bare") in known}
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clean = shortened(arguments.clean or simulated(folder / "clean"), folder, arguments.sectors)
        for case, path in cases(clean, arguments.real, folder):
            good = truth(path.read_bytes())
            found = [outcome(python, p, path, good, arguments.timeout) for p, python in programs.items()]
            lines.append([case, f"{len(good.time_s):,}", *found])
            print(f"{case} ({len(good.time_s):,} good samples)")
            for program, said in zip(programs, found, strict=True):
                print(f"   {NAMES.get(program, program):<16} {said}", flush=True)
    said = ", ".join(
        f"{p.removesuffix('_whole').removesuffix('_bare')} {known[p.removesuffix('_bare')]}" for p in programs
    )
    text = f"{said}.\n\n" + table(["file", "good samples", *(NAMES.get(p, p) for p in programs)], lines)
    if arguments.write:
        write_section("sensors_robustness", text)


if __name__ == "__main__":
    main()
