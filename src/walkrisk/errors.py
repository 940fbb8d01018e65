"""Every fault walkrisk reports: sentences with a way out, all of one file or study together, one exit code a kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def where_raised(error: BaseException) -> str:
    """The text " at FILE, line N" of an exception's innermost frame, which shows no data; nothing without a trace."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f" at {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace else ""


class WalkriskError(Exception):
    """Root of all faults that are the input's, not the program's.

    `faults` are complete sentences. They may name columns, codes, counts, settings and row numbers,
    never a participant's id or record.
    """

    exit_code = 70
    heading = "walkrisk stopped"

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class UsageFault(WalkriskError):
    """The command was called in a way it cannot follow (a missing file, an output folder in use)."""

    exit_code = 2
    heading = "The command cannot be carried out"


class StudyFault(WalkriskError):
    """The study declaration is at fault; each sentence starts with the key it is about."""

    exit_code = 3
    heading = "The study declaration is at fault"


class DataFault(WalkriskError):
    """The data break a column contract, or nobody is left to analyse."""

    exit_code = 4
    heading = "The data are at fault"


class ModelFault(WalkriskError):
    """A model cannot be fitted as declared."""

    exit_code = 5
    heading = "A model cannot be fitted as declared"


class RecordingFault(WalkriskError):
    """A raw recording cannot be read, or holds nothing that could be used."""

    exit_code = 6
    heading = "A recording cannot be read"
