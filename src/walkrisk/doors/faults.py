"""What the rooms behind the doors refuse, as the faults a user sees."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import numpy as np

from walkrisk.errors import ModelFault

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def as_faults() -> Iterator[None]:
    """Turns a ValueError of an estimator, whose text is a sentence for the user, into a ModelFault."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise ModelFault(
            "The variance of this model cannot be computed, as its terms hardly differ from combinations of one "
            "another here; use fewer or coarser terms."
        ) from error
    except ValueError as error:
        raise ModelFault(sentence(str(error))) from error
    except ArithmeticError as error:
        raise ModelFault(
            "Numbers of this model are too large to compute with; give its variables in other units."
        ) from error


def sentence(text: str) -> str:
    """A text that begins with a capital and ends with a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def door(function: Callable[P, R]) -> Callable[P, R]:
    """A public door: whatever the rooms behind it refuse is a fault, and numpy keeps quiet about it."""

    @functools.wraps(function)
    def open_door(*args: P.args, **kwargs: P.kwargs) -> R:
        with as_faults(), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(*args, **kwargs)

    return open_door
