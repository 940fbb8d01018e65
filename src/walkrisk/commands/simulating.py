"""The commands that simulate data with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from walkrisk.commands.arguments import days, natural, positive, reference_study
from walkrisk.errors import UsageFault


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add simulate extract and simulate recordings."""
    simulate = commands.add_parser("simulate", help="simulated data with known truth")
    kinds = simulate.add_subparsers(metavar="KIND", required=True)
    extract = kinds.add_parser("extract", parents=[shared], help="a participants' extract")
    extract.add_argument("--n", type=positive, default=None, metavar="N", help="participants (default: as declared)")
    extract.add_argument("--seed", type=natural, default=None, metavar="S", help="default: as declared")
    extract.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet, .csv, .dta or .sav")
    extract.add_argument(
        "--declaration", type=Path, default=None, metavar="SIMULATION.toml", help="default: the reference study's"
    )
    extract.set_defaults(command=_simulate_extract)
    recordings = kinds.add_parser("recordings", parents=[shared], help="thigh and back .cwa pairs, with questionnaires")
    recordings.add_argument("--participants", type=positive, default=1, metavar="N", help="how many (default 1)")
    recordings.add_argument("--days", type=days, default=7.0, metavar="D", help="days worn (default 7)")
    recordings.add_argument("--seed", type=natural, default=2025, metavar="S", help="default 2025")
    recordings.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    recordings.add_argument(
        "--declaration", type=Path, default=None, metavar="SIMULATION.toml", help="default: the one walkrisk carries"
    )
    recordings.set_defaults(command=_simulate_recordings)


def _simulate_extract(arguments: argparse.Namespace) -> int:
    from walkrisk.simulation import load_simulation, simulate, write_extract

    if arguments.out.exists() and not arguments.out.with_suffix(".truth.json").exists():
        raise UsageFault(f"{arguments.out} exists and is no simulated extract; choose another --out.")
    simulation = load_simulation(arguments.declaration or reference_study() / "simulation.toml")
    n = arguments.n if arguments.n is not None else simulation.defaults.n
    seed = arguments.seed if arguments.seed is not None else simulation.defaults.seed
    extract = simulate(simulation, n=n, seed=seed)
    write_extract(extract, arguments.out)
    if not arguments.quiet:
        print(
            f"{arguments.out}: {n} simulated participants, seed {seed}; "
            f"the truth is in {arguments.out.with_suffix('.truth.json').name}"
        )
    return 0


def _simulate_recordings(arguments: argparse.Namespace) -> int:
    from walkrisk.progress import shown
    from walkrisk.simulation.recording_declaration import load_mix
    from walkrisk.simulation.recordings import simulate_recordings

    mix = load_mix(arguments.declaration or reference_study().parent / "simulated_recordings.toml")
    with shown(quiet=arguments.quiet) as progress:
        simulate_recordings(
            arguments.out,
            participants=arguments.participants,
            days=arguments.days,
            seed=arguments.seed,
            mix=mix,
            progress=progress,
        )
    if not arguments.quiet:
        print(f"{arguments.out}: recordings of {arguments.participants} simulated participant(s); truth/ beside them.")
    return 0
