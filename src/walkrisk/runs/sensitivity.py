"""Carrying out the declared sensitivity analyses: their parts side by side, kept as they finish, then their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from walkrisk.execution import in_order, in_order_apart
from walkrisk.reports.kept import KeptParts
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate
from walkrisk.variations.variation import Arrays, Part, Variation

Progress = Callable[[str, int, int], None]


def sensitivity_rows(
    planned: Sequence[Variation], *, jobs: int, progress: Progress, kept: KeptParts | None = None
) -> list[Rows]:
    """The rows of every planned sensitivity analysis, the same whatever `jobs` and whatever was kept before."""
    work = [(f"{v.title}: {part.title}", partial(_carried_out, v.id, part, kept)) for v in planned for part in v.parts]
    done = iter(in_order_apart(work, jobs=jobs, progress=progress))
    ends = [(v.title, partial(_finished, v, [next(done) for _ in v.parts])) for v in planned]
    return in_order(ends, jobs=jobs, progress=progress)


def _carried_out(variation: str, part: Part, kept: KeptParts | None) -> Arrays:
    name = f"{variation}.{part.key}"
    if kept is not None and (there := kept.load(name)) is not None:
        return there
    made = part.work()
    if kept is not None:
        kept.save(name, made)
    return made


def _finished(variation: Variation, parts: Sequence[Arrays]) -> Rows:
    try:
        return variation.finish(parts)
    except NoEstimate as none:
        return Rows(diagnostics=(none.diagnostic,))
