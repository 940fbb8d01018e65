"""What a figure was drawn from, as one hash, so that a picture of it need not be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import ParamSpec

import numpy as np

from walkrisk.figures.render import Figure, Page, words_of

P = ParamSpec("P")
_MARK = "_walkrisk_drawn_from"


def remembered(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """A figure function, which draws from its arguments alone, with figures that remember what they were drawn from."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = function(*args, **kwargs)
        setattr(figure, _MARK, drawn_from(function.__qualname__, args, kwargs))
        return figure

    return draw


def fingerprint(figure: Figure, *, title: str, alt: str) -> str:
    """A hash of everything that decides the pictures of a figure under one version of the program; empty if unknown."""
    origin = getattr(figure, _MARK, "")
    said = (
        title,
        alt,
        str(figure.get_label()),
        words_of(figure),
        repr(figure.tips if isinstance(figure, Page) else ()),
    )
    return hashlib.sha256("\0".join((origin, *said)).encode()).hexdigest() if origin else ""


def drawn_from(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """A hash of a function and its arguments at full precision; empty where one is of no kind that can be written."""
    digest = hashlib.sha256()
    try:
        for part in _parts([name, list(args), dict(sorted(kwargs.items()))]):
            digest.update(part)
            digest.update(b"\0")
    except TypeError:
        return ""
    return digest.hexdigest()


def _parts(value: object) -> Iterator[bytes]:
    """A value as bytes that no other value of its kind has. Raises TypeError for a kind that is not known."""
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        yield f"{type(value).__name__} {value!r}".encode()
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield value.tobytes()
    elif is_dataclass(value) and not isinstance(value, type):
        yield f"{type(value).__qualname__} {len(fields(value))}".encode()
        for field in fields(value):
            yield field.name.encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield f"map {len(value)}".encode()
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"list {len(value)}".encode()
        for item in value:
            yield from _parts(item)
    else:
        raise TypeError(f"no rule for {type(value).__name__}")
