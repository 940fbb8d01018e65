"""Reading a week of raw recordings, and the whole way from them to days, beside other programs: one run, taking turns.

    python benchmarks/sensors_compare.py [--days 7] [--peers DIR] [--rounds 3] [--pair DIR] [--write]

DIR of --peers holds one virtual environment for each program to compare with: `cwa_reader_rs`, `skdh`, `actipy` (needs
Java) and `actimotus` (acti-motus and labda-parsers); one that is missing is left out and named. The recordings are
simulated, or those of --pair (one ID_thigh.cwa and ID_back.cwa). Every figure is a fresh process on one thread: CPU
seconds (user + system, its children included) and peak resident memory as the operating system counts them; what is
quoted is the median over rounds, ratios are taken within a round. --write puts the tables into benchmarks/sensors.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sensors_measure import CHILD, Run, interpreters, machine, measured, table, versions, write_section

READING = ("walkrisk", "walkrisk_whole", "cwa_reader_rs", "cwa_reader_rs_bare", "skdh", "actipy", "actimotus")
CHAINS = ("actimotus", "actimotus_thigh", "actipy", "skdh")
NAMES = {
    "walkrisk": "walkrisk, streamed",
    "walkrisk_whole": "walkrisk, whole file in memory",
    "cwa_reader_rs_bare": "cwa_reader_rs, acceleration and temperature only",
    "actimotus": "acti-motus (labda-parsers)",
}
WAYS = {
    "walkrisk_pictures": "walkrisk: the same, and the picture of the week",
    "walkrisk": "walkrisk: both sensors to days: read, calibrate, synchronise, non-wear, classify, cadence, days",
    "actimotus": "acti-motus: both sensors to exposures a day: read, calibrate, classify (no synchronisation)",
    "actimotus_thigh": "acti-motus: the thigh alone",
    "actipy": "actipy: one sensor: read, low pass, calibrate, non-wear, resample",
    "skdh": "skdh: the back alone: read, calibrate, wear, lumbar gait",
}
READ_AIMS = {"cwa_reader_rs": 0.5, "skdh": 0.2, "actipy": 0.2}
WAY_AIM, PEAK_AIM_MIB, WORKERS_AIM = 0.2, 600.0, 1.8
Rounds = Mapping[str, Sequence[Run]]


def walkrisk(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "walkrisk", *arguments]


def simulated(folder: Path, participants: int, days: float) -> Path:
    """Simulated pairs; their truth and other files are left where the simulation puts them."""
    days_text = str(int(days)) if days == int(days) else str(days)
    numbers = ["--participants", str(participants), "--days", days_text, "--seed", "1"]
    checked(measured(walkrisk("simulate", "recordings", *numbers, "--out", str(folder))), "simulate recordings")
    return folder


def checked(run: Run, what: str) -> Run:
    """The run, or an end with what it said."""
    if run.code or "error" in run.said:
        sys.exit(f"{what} failed (exit {run.code}): {run.said or run.stderr.strip()[-1500:]}")
    return run


def one(folder: Path, site: str) -> Path:
    """The only file of a site."""
    found = sorted(folder.glob(f"*_{site}.cwa"))
    if len(found) != 1:
        sys.exit(
            f"There must be exactly one file ending in _{site}.cwa in the folder of the pair; there are {len(found)}."
        )
    return found[0]


def take_turns(commands: Mapping[str, list[str]], rounds: int, priority: int) -> Rounds:
    """Every command once a round, in the order given; one that fails is said once and left out."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            if turn and not runs[name]:
                continue
            run = measured(command, priority=priority)
            if run.code or "error" in run.said:
                print(f"{name} failed: {run.said or run.stderr.strip()[-500:]}", file=sys.stderr)
                runs[name] = []
                continue
            runs[name].append(run)
            print(f"round {turn + 1}: {name:<20} CPU {run.cpu_s:7.2f} s   peak {run.peak_mib:6.0f} MiB", flush=True)
    return {name: found for name, found in runs.items() if found}


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the range where there is one."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))


def verdict(value: float, aim: float | None) -> str:
    return "" if aim is None else f", aim {aim:g}: {'met' if value <= aim else 'not met'}"


def read_table(runs: Rounds) -> str:
    """Reading one file: the whole process and, apart, what it took beyond its imports."""
    ours = runs.get("walkrisk")
    lines = []
    for program, found in runs.items():
        whole, alone = [r.cpu_s for r in found], [float(r.said["cpu_s"]) for r in found]
        against = ["", ""]
        if ours and not program.startswith("walkrisk"):
            aim = READ_AIMS.get(program)
            process = ratio([r.cpu_s for r in ours], whole)
            call = ratio([float(r.said["cpu_s"]) for r in ours], alone)
            against = [f"{process:.2f}{verdict(process, aim)}", f"{call:.2f}{verdict(call, aim)}"]
        peak = statistics.median(r.peak_mib for r in found)
        name = NAMES.get(program, program)
        lines.append([name, spread(whole), spread(alone), f"{peak:.0f}", f"{found[0].said['rows']:,}", *against])
    heads = ["reading one file", "process, CPU s", "without imports, CPU s", "peak MiB", "samples"]
    return table([*heads, "walkrisk streamed / it, process", "without imports"], lines)


def way_table(runs: Rounds) -> str:
    ours = runs.get("walkrisk")
    lines = []
    for program, found in runs.items():
        cpu, peak = [r.cpu_s for r in found], statistics.median(r.peak_mib for r in found)
        against, memory = "", f"{peak:.0f}"
        if program.startswith("walkrisk"):
            memory += verdict(peak, PEAK_AIM_MIB)
        elif ours:
            value = ratio([r.cpu_s for r in ours], cpu)
            against = f"{value:.2f}{verdict(value, WAY_AIM if program == 'actimotus' else None)}"
        lines.append([WAYS[program], spread(cpu, 1), memory, against])
    return table(["the whole way", "CPU s", "peak MiB", "walkrisk / it, CPU s"], lines)


def workers(folder: Path, out: Path, rounds: int) -> str:
    """Wall seconds of four participants on one and on two workers, taking turns."""
    walls: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for jobs, found in walls.items():
            shutil.rmtree(out, ignore_errors=True)  # a finished folder would be left as it is
            command = walkrisk("sensors", str(folder), "--out", str(out), "--jobs", jobs, "--quiet")
            found.append(checked(measured(command), f"sensors on {jobs} workers").wall_s)
    times = statistics.median(a / b for a, b in zip(walls["1"], walls["2"], strict=True))
    met = "met" if times >= WORKERS_AIM else "not met"
    return (
        f"Four participants, wall seconds: one worker {spread(walls['1'], 1)}, two workers {spread(walls['2'], 1)}: "
        f"{times:.2f} times as fast, aim {WORKERS_AIM:g}: {met}."
    )


def reading_commands(pythons: Mapping[str, str], file: Path) -> dict[str, list[str]]:
    base = {name: pythons.get(name.removesuffix("_bare"), "") for name in READING}
    return {name: [python, str(CHILD), "read", name, str(file)] for name, python in base.items() if python}


def way_commands(pythons: Mapping[str, str], thigh: Path, back: Path) -> dict[str, list[str]]:
    base = {name: pythons.get(name.removesuffix("_thigh"), "") for name in CHAINS}
    return {n: [python, str(CHILD), "chain", n, str(thigh), str(back)] for n, python in base.items() if python}


def ours_whole_way(pair: Path, scratch: Path, rounds: int, priority: int, theirs: dict[str, list[str]]) -> Rounds:
    """The whole way in turns; walkrisk writes into a new folder each time, or it would have nothing to do."""
    runs: dict[str, list[Run]] = {}
    for turn in range(rounds):
        bare = walkrisk("sensors", str(pair), "--out", str(scratch / f"bare{turn}"), "--quiet", "--no-pictures")
        full = walkrisk("sensors", str(pair), "--out", str(scratch / f"full{turn}"), "--quiet")
        ours = {"walkrisk": bare, "walkrisk_pictures": full}
        for name, found in take_turns({**ours, **theirs}, 1, priority).items():
            runs.setdefault(name, []).extend(found)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7.0, help="length of the simulated recordings (default 7)")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder of virtual environments named by program")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of reading (default 3)")
    parser.add_argument("--way-rounds", type=int, default=1, help="rounds of the whole way (default 1)")
    parser.add_argument("--pair", type=Path, metavar="DIR", help="a folder with one ID_thigh.cwa and one ID_back.cwa")
    parser.add_argument("--only", choices=("read", "way", "workers"), action="append", help="parts (default all)")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="run everything at this lower priority")
    parser.add_argument("--write", action="store_true", help="write the tables into the results page")
    arguments = parser.parse_args()
    parts = arguments.only or ["read", "way", "workers"]
    pythons = interpreters(arguments.peers)
    known = versions(pythons)
    pythons = {name: python for name, python in pythons.items() if name in known}
    said = ", ".join(f"{name} {v}" for name, v in known.items() if name != "walkrisk_whole")
    texts = [f"{machine()}; {said}."]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        pair = arguments.pair or simulated(scratch / "pair", 1, arguments.days)
        thigh, back = one(pair, "thigh"), one(pair, "back")
        megabytes = " and ".join(f"{file.stat().st_size / 1e6:.0f}" for file in (thigh, back))
        turns = f"{arguments.rounds} rounds of reading and {arguments.way_rounds} of the whole way"
        texts.append(f"A pair of recordings of {megabytes} MB; medians over {turns} (smallest-largest).")
        if "read" in parts:
            texts.append(read_table(take_turns(reading_commands(pythons, thigh), arguments.rounds, arguments.nice)))
            print(f"\n{texts[-1]}\n", flush=True)
        if "way" in parts:
            theirs = way_commands(pythons, thigh, back)
            texts.append(way_table(ours_whole_way(pair, scratch, arguments.way_rounds, arguments.nice, theirs)))
            print(f"\n{texts[-1]}\n", flush=True)
        if "workers" in parts:
            four = simulated(scratch / "four", 4, arguments.days)
            texts.append(workers(four, scratch / "four_out", arguments.way_rounds))
    text = "\n\n".join(texts)
    print(text)
    if arguments.write:
        write_section("sensors_compare", text)


if __name__ == "__main__":
    main()
