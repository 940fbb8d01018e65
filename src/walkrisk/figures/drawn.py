"""What a figure was drawn from, as one hash, so that a picture of it need not be made again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from walkrisk.estimates.fingerprints import fingerprint
from walkrisk.figures.render import Figure, Page, words_of

P = ParamSpec("P")
_MARK = "_walkrisk_drawn_from"


def remembered(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """A figure function, which draws from its arguments alone, with figures that remember what they were drawn from."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = function(*args, **kwargs)
        setattr(figure, _MARK, fingerprint(function.__qualname__, args, dict(sorted(kwargs.items()))))
        return figure

    return draw


def drawn_from(figure: Figure, *, title: str, alt: str) -> str:
    """A hash of everything that decides the pictures of a figure under one version of the program; empty if unknown."""
    origin = getattr(figure, _MARK, "")
    tips = list(figure.tips) if isinstance(figure, Page) else []
    said = (title, alt, str(figure.get_label()), words_of(figure), repr(tips))
    return fingerprint(origin, *said) if origin else ""
