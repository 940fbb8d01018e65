"""What the rooms behind the doors refuse, as the faults a user sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from walkrisk.errors import ModelFault


@contextmanager
def as_faults() -> Iterator[None]:
    """Turns a ValueError of an estimator, whose text is a sentence for the user, into a ModelFault."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise ModelFault(text[:1].upper() + text[1:]) from error
