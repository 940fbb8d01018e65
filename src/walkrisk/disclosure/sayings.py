"""Sentences of fits and data as they may be published: no small number of people, no hidden count, no row numbers."""

from __future__ import annotations

import re
from collections.abc import Collection

from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import NOT_REPORTED

PEOPLE = "people|person|persons|participants|weights|events|cases|rows|values|days|records|eligible|predicted|fitted|of"
COUNT = re.compile(rf"(?<![\w.,-])(\d[\d,]*)(?=(?: further| other)? (?:{PEOPLE})\b)")
ROWS = re.compile(r",? in rows? \d[\d, ]*(?:and \d+)?(?: and \d+ (?:more|others))?")
NUMBER = re.compile(r"(?<![\w.,-])\d+(?![\w]|[.,]\d)")


def published_text(text: str, *, min_cell: int, hidden: Collection[int] = (), base: int = 0) -> str:
    """A sentence whose counts of people are shown as any count: fewer than `min_cell`, or rounded to `base`.

    `hidden` are counts that must not stand in it at all.
    """

    def shown(match: re.Match[str]) -> str:
        n = int(match[1].replace(",", ""))
        if is_small(n, min_cell):
            begins = not text[: match.start()] or text[: match.start()].endswith((". ", ".\n"))
            return f"{'Fewer' if begins else 'fewer'} than {min_cell}"
        return f"{base * round(n / base)}" if base else match[1]

    text = ROWS.sub("", text) if min_cell else text
    text = NUMBER.sub(lambda m: NOT_REPORTED if int(m[0]) in hidden else m[0], text)
    return COUNT.sub(shown, text)
