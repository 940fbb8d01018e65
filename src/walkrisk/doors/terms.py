"""How a variable enters a model, as a user of the Python doors says it."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from walkrisk.errors import UsageFault


@dataclass(frozen=True, slots=True)
class LinearTerm:
    """A variable as it is, in units of `per`."""

    name: str
    per: float = 1.0


@dataclass(frozen=True, slots=True)
class CategoriesTerm:
    """A variable as a factor: its own levels, quantile groups, or intervals between fixed limits."""

    name: str
    quantiles: int | None = None
    cuts: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    reference: Hashable = None


@dataclass(frozen=True, slots=True)
class SplineTerm:
    """A restricted cubic spline of a variable: a number of knots, or their positions."""

    name: str
    knots: int | tuple[float, ...] = 4


@dataclass(frozen=True, slots=True)
class PowerTerm:
    """A power of a variable."""

    name: str
    power: float


MainTerm = LinearTerm | CategoriesTerm | SplineTerm | PowerTerm


@dataclass(frozen=True, slots=True)
class ProductTerm:
    """The product (interaction) of two terms that stand in the model too."""

    first: MainTerm | str
    second: MainTerm | str


DeclaredTerm = MainTerm | ProductTerm


def linear(name: str, *, per: float = 1.0) -> LinearTerm:
    """A variable as it is, its ratio given for `per` units (30 for half an hour of a variable in minutes).

    Raises UsageFault unless `per` is a positive number.

    >>> linear("walking_min_day", per=30)
    LinearTerm(name='walking_min_day', per=30.0)
    """
    if not 0 < per < float("inf"):
        raise UsageFault(f"linear({name!r}): `per` must be a positive number of units, got {per}.")
    return LinearTerm(name, float(per))


def categories(
    name: str,
    *,
    quantiles: int | None = None,
    cuts: Sequence[float] = (),
    labels: Sequence[str] = (),
    reference: Hashable = None,
) -> CategoriesTerm:
    """A variable as a factor.

    With `quantiles` equal-sized groups cut on the analysed rows (a value equal to a cut point belongs below it, as in
    Stata's xtile); with `cuts` intervals between fixed limits (a value equal to a limit belongs above it); with neither
    every value that occurs is a level. `labels` names the groups (Q1, Q2, ... by default), `reference` the level that
    others are compared with (the first by default). Raises UsageFault for settings that contradict one another.

    >>> categories("bmi", cuts=(18.5, 25, 30), reference="18.5 to <25")
    CategoriesTerm(name='bmi', quantiles=None, cuts=(18.5, 25.0, 30.0), labels=(), reference='18.5 to <25')
    """
    if quantiles is not None and cuts:
        raise UsageFault(f"categories({name!r}): give `quantiles` or `cuts`, not both.")
    if quantiles is not None and quantiles < 2:
        raise UsageFault(f"categories({name!r}): `quantiles` must be 2 or more, got {quantiles}; 4 makes quartiles.")
    limits = tuple(float(c) for c in cuts)
    if any(b <= a for a, b in itertools.pairwise(limits)):
        raise UsageFault(f"categories({name!r}): `cuts` must be increasing, got {limits}.")
    groups = quantiles or (len(limits) + 1 if limits else None)
    if labels and len(labels) != groups:
        raise UsageFault(f"categories({name!r}): {len(labels)} labels for {groups or 'unknown'} groups.")
    return CategoriesTerm(name, quantiles, limits, tuple(labels), reference)


def spline(name: str, *, knots: int | Sequence[float] = 4) -> SplineTerm:
    """A restricted cubic spline with 3 to 7 knots at Harrell's percentiles of the analysed rows, or at given positions.

    Raises UsageFault for fewer than three knots, more than seven by number, or positions that do not increase.

    >>> spline("age", knots=4)
    SplineTerm(name='age', knots=4)
    """
    if isinstance(knots, int):
        if not 3 <= knots <= 7:
            raise UsageFault(f"spline({name!r}): `knots` must be 3 to 7, got {knots}; give positions for others.")
        return SplineTerm(name, knots)
    places = tuple(float(k) for k in knots)
    if len(places) < 3 or any(b <= a for a, b in itertools.pairwise(places)):
        raise UsageFault(f"spline({name!r}): `knots` must be three or more increasing positions, got {places}.")
    return SplineTerm(name, places)


def power(name: str, power: float) -> PowerTerm:
    """A power of a variable, such as its square: `power("age", 2)` beside `"age"`.

    >>> power("age", 2)
    PowerTerm(name='age', power=2.0)
    """
    return PowerTerm(name, float(power))


def product(first: MainTerm | str, second: MainTerm | str) -> ProductTerm:
    """The product (interaction) of two terms, both of which must stand in the model as well.

    >>> product("smoke", "age")
    ProductTerm(first='smoke', second='age')
    """
    return ProductTerm(first, second)
