"""Two outputs of the same name beside each other: their bytes, and of a csv which numbers and words are others."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Literal

SMALLEST = 1e-15  # two numbers no further apart than this differ in nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """A file that has other bytes: of a csv how many numbers and words differ, and the largest relative difference.

    `kind` is numbers (of csv of the same shape, words may differ too), shape (other rows or columns), or bytes (no
    csv).
    """

    name: str
    kind: Literal["numbers", "shape", "bytes"]
    numbers: int = 0
    of_numbers: int = 0
    largest: float = 0.0
    words: int = 0

    @property
    def sentence(self) -> str:
        """What differs, and by how much."""
        if self.kind == "bytes":
            return f"{self.name}: has other bytes."
        if self.kind == "shape":
            return f"{self.name}: has other rows or columns."
        said = []
        if self.numbers:
            said.append(
                f"{self.numbers} of {self.of_numbers} numbers differ, the largest relative difference is "
                f"{self.largest:.1e}"
            )
        if self.words:
            said.append(f"{self.words} cell(s) differ as text")
        return f"{self.name}: {'; '.join(said) or 'the same numbers and texts, written otherwise'}."


def file_difference(name: str, then: bytes, now: bytes) -> FileDifference | None:
    """How two files of one name differ; None if they have the same bytes."""
    if then == now:
        return None
    if not name.endswith(".csv"):
        return FileDifference(name=name, kind="bytes")
    a, b = (list(csv.reader(io.StringIO(content.decode("utf-8", "replace")))) for content in (then, now))
    if [len(row) for row in a] != [len(row) for row in b] or a[:1] != b[:1]:
        return FileDifference(name=name, kind="shape")
    cells = [(x, y) for ours, theirs in zip(a, b, strict=True) for x, y in zip(ours, theirs, strict=True)]
    pairs = [(_number(x), _number(y), x == y) for x, y in cells]
    apart = [relative_difference(x, y) for x, y, same in pairs if not same and x is not None and y is not None]
    return FileDifference(
        name=name,
        kind="numbers",
        numbers=len(apart),
        of_numbers=sum(x is not None for x, _, _ in pairs),
        largest=max(apart, default=0.0),
        words=sum(not same and (x is None or y is None) for x, y, same in pairs),
    )


def relative_difference(a: float, b: float) -> float:
    """|a - b| over the larger of |a| and |b|; 0 where they are within SMALLEST of each other."""
    if a == b or abs(a - b) <= SMALLEST or (math.isnan(a) and math.isnan(b)):
        return 0.0
    size = abs(a - b) / max(abs(a), abs(b))
    return size if math.isfinite(size) else math.inf


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
