"""What the chains of an imputation share: the coded columns, who is known where, and each target's predictors.

People are split once into those complete in every variable and those with holes. The rows of the first never change:
they and their cross-products are computed once and shared by all sets, cycles and targets. Continuous variables are
centred and scaled by what is known of them; others are indicators of their levels but the first.

Perfect prediction: to the known rows of a binary, ordinal or nominal target are added, for each predictor, rows at its
mean plus and minus one half standard deviation with all other predictors at their means, one for each level of the
target, with a total weight of the number of predictors plus 1 (White, Daniel & Royston 2010,
doi 10.1016/j.csda.2010.04.005; the half standard deviation and the limits of the data are those of R's mice).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import linalg

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

Kind = Literal["pmm", "normal", "binary", "ordinal", "nominal"]
CONTINUOUS = ("pmm", "normal")
COLLINEAR = 1e-7  # share of a column's sum of squares that the columns before it must leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A variable to impute and its model; `predictors` are all other variables if not named."""

    name: str
    kind: Kind
    predictors: tuple[str, ...] | None = None
    donors: int = 5


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """Columns of one variable in the design: `levels` (K,) if it is a factor, else `mean` and `scale`."""

    name: str
    columns: IntArray
    mean: float
    scale: float
    levels: FloatArray | None

    def coded(self, values: FloatArray) -> FloatArray:
        """The columns (n, k) of values (n,); missing ones become 0."""
        if self.levels is None:
            return np.nan_to_num((values - self.mean) / self.scale)[:, None]
        return (values[:, None] == self.levels[1:]).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Visit:
    """What a visit to one target needs: rows of the incomplete block, the target's values, predictor columns.

    `holes` and `known` are positions in the incomplete block, `rows` the holes as rows of the input. `values` (n_obs,)
    and `level` (n_obs,) are those of the complete people, then of `known`. `use` are the columns of predictors,
    intercept first. `added` are the augmented rows with their level and weight.
    """

    target: Target
    coding: Coding
    holes: IntArray
    known: IntArray
    rows: IntArray
    values: FloatArray
    level: IntArray
    use: IntArray
    added: FloatArray
    added_level: IntArray
    added_weight: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prepared:
    """Everything m chains share. `complete` (n_c, P) and its cross-products `gram`; `incomplete` (n_i, P), holes 0."""

    n: int
    complete: FloatArray
    incomplete: FloatArray
    gram: FloatArray
    visits: tuple[Visit, ...]
    warnings: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The targets in the order of visits."""
        return tuple(v.target.name for v in self.visits)

    def visit(self, name: str) -> Visit:
        """The visit of a target."""
        return self.visits[self.names.index(name)]


def prepare(columns: Mapping[str, FloatArray], targets: Sequence[Target], *, factors: Collection[str] = ()) -> Prepared:
    """The shared part of an imputation of `columns` {name: (n,)}, holes NaN; `factors` are predictors with levels.

    Targets are visited from the fewest holes to the most. A target without holes is a predictor only. Raises ValueError
    if there is nothing to impute, a variable is missing for everyone or has one value, a predictor has holes and is no
    target, or a model has more parameters than known values.
    """
    faults = _faults(columns, targets)
    if faults:
        raise ValueError(" ".join(faults))
    holes = {t.name: np.isnan(columns[t.name]) for t in targets}
    ordered = sorted((t for t in targets if holes[t.name].any()), key=lambda t: int(holes[t.name].sum()))
    if not ordered:
        raise ValueError("Nothing is missing in the variables to impute.")
    categorical = {t.name for t in targets if t.kind not in CONTINUOUS} | set(factors)
    codings = _codings(columns, categorical)
    some = np.logical_or.reduce([holes[t.name] for t in ordered])
    full = np.concatenate(
        [np.ones((len(some), 1)), *(c.coded(columns[n]) for n, c in codings.items())], axis=1, dtype=np.float64
    )
    for name, gaps in holes.items():
        full[np.ix_(gaps, codings[name].columns)] = 0.0
    complete, incomplete = np.flatnonzero(~some), np.flatnonzero(some)
    said: list[str] = []
    visits = tuple(_visit(t, columns, codings, full, complete, incomplete, holes, said) for t in ordered)
    shared = np.ascontiguousarray(full[complete])
    return Prepared(
        n=len(some),
        complete=shared,
        incomplete=full[incomplete],
        gram=shared.T @ shared,
        visits=visits,
        warnings=tuple(said),
    )


def _faults(columns: Mapping[str, FloatArray], targets: Sequence[Target]) -> list[str]:
    out = []
    named = [t.name for t in targets]
    if len(set(named)) < len(named):
        out.append("A variable is declared twice for imputation; name each once.")
    for name, values in columns.items():
        known = values[~np.isnan(values)]
        if known.size == 0:
            out.append(f"{name} is missing for everyone, so nothing can be learnt of it; leave it out.")
        elif name in named and (known == known[0]).all() and known.size < values.size:
            out.append(f"{name} has one known value, {known[0]:g}, so a model of it has nothing to fit; leave it out.")
        elif name not in named and known.size < values.size:
            out.append(
                f"{name} predicts and is itself missing for {values.size - known.size} people; impute it too, or leave "
                "it out."
            )
    for t in targets:
        missing = [p for p in t.predictors or () if p not in columns or p == t.name]
        if missing:
            out.append(f"{t.name} cannot be predicted from {', '.join(missing)}; name other variables.")
        if t.name in columns and t.kind == "binary":
            count = len(np.unique(columns[t.name][~np.isnan(columns[t.name])]))
            if count > 2:
                out.append(f"{t.name} has {count} values, so it is not binary; declare it ordinal or nominal.")
        if t.donors < 1:
            out.append(f"{t.name} needs at least 1 donor, got {t.donors}; 5 is usual.")
    return out


def _codings(columns: Mapping[str, FloatArray], categorical: Collection[str]) -> dict[str, Coding]:
    out = {}
    at = 1
    for name, values in columns.items():
        known = values[~np.isnan(values)]
        levels = np.unique(known) if name in categorical else None
        width = 1 if levels is None else len(levels) - 1
        scale = float(known.std()) if levels is None else 1.0
        mean = float(known.mean()) if levels is None else 0.0
        out[name] = Coding(name, np.arange(at, at + width), mean, scale if scale > 0 else 1.0, levels)
        at += width
    return out


def _visit(
    target: Target,
    columns: Mapping[str, FloatArray],
    codings: Mapping[str, Coding],
    full: FloatArray,
    complete: IntArray,
    incomplete: IntArray,
    holes: Mapping[str, BoolArray],
    said: list[str],
) -> Visit:
    gaps = holes[target.name][incomplete]
    coding = codings[target.name]
    names = [n for n in (target.predictors or columns) if n != target.name]
    observed = np.concatenate([complete, incomplete[~gaps]])
    known_of_all = np.logical_and.reduce([~holes[n][observed] for n in names if n in holes] or [observed >= 0])
    rows = full[observed]
    use = _independent(target.name, names, codings, rows[known_of_all], said)
    _check_size(target, coding, len(use), len(observed))
    values = columns[target.name][observed]
    level = np.searchsorted(coding.levels, values) if coding.levels is not None else np.zeros(len(values), np.intp)
    added, added_level, added_weight = _augmented(rows[known_of_all], use, coding)
    if coding.levels is not None:
        said += _separations(target.name, names, codings, rows[known_of_all], level[known_of_all])
    return Visit(
        target=target,
        coding=coding,
        holes=np.flatnonzero(gaps),
        known=np.flatnonzero(~gaps),
        rows=incomplete[gaps],
        values=values,
        level=level.astype(np.intp),
        use=use,
        added=added,
        added_level=added_level,
        added_weight=added_weight,
    )


def _independent(
    target: str, names: Sequence[str], codings: Mapping[str, Coding], rows: FloatArray, said: list[str]
) -> IntArray:
    """Columns of the predictors, the intercept first, without those that earlier ones determine among `rows`."""
    candidates = np.concatenate([[0], *(codings[n].columns for n in names)]).astype(np.intp)
    owner = {int(c): n for n in names for c in codings[n].columns}
    kept: list[int] = []
    basis = np.zeros((len(rows), 0))
    for column in candidates:
        x = rows[:, column]
        rest = x - basis @ (basis.T @ x)
        rest -= basis @ (basis.T @ rest)
        total, left = float(x @ x), float(rest @ rest)
        if total > 0 and left > COLLINEAR * total:
            kept.append(int(column))
            basis = np.concatenate([basis, (rest / np.sqrt(left))[:, None]], axis=1)
    dropped = sorted({owner[int(c)] for c in candidates if int(c) not in kept}, key=list(names).index)
    if dropped:
        said.append(
            f"In the model of {target} the other predictors determine {', '.join(dropped)} wholly or in part; what is "
            "determined is left out."
        )
    return np.array(kept, dtype=np.intp)


def _check_size(target: Target, coding: Coding, width: int, known: int) -> None:
    times = 1 if coding.levels is None or target.kind == "ordinal" else len(coding.levels) - 1
    parameters = width * times + (len(coding.levels) - 2 if coding.levels is not None and times == 1 else 0)
    if known <= parameters + 1:
        raise ValueError(
            f"The model of {target.name} has {parameters} parameters and {known} known values to fit them to; name "
            "fewer predictors for it."
        )


def _augmented(rows: FloatArray, use: IntArray, coding: Coding) -> tuple[FloatArray, IntArray, FloatArray]:
    if coding.levels is None:
        return np.zeros((0, rows.shape[1])), np.zeros(0, np.intp), np.zeros(0)
    x = rows[:, use]
    mean, half = x.mean(axis=0), x.std(axis=0, ddof=1) / 2
    predictors = np.arange(1, len(use))  # the first is the intercept
    at = np.tile(mean, (2 * len(predictors), 1))
    for i, k in enumerate(predictors):
        at[2 * i, k] += half[k]
        at[2 * i + 1, k] -= half[k]
    at = at.clip(x.min(axis=0), x.max(axis=0))
    levels = len(coding.levels)
    added = np.zeros((len(at) * levels, rows.shape[1]))
    added[:, use] = np.repeat(at, levels, axis=0)
    level = np.tile(np.arange(levels, dtype=np.intp), len(at))
    weight = np.full(len(added), (len(predictors) + 1) / max(len(added), 1))
    return added, level, weight


def _separations(
    target: str, names: Sequence[str], codings: Mapping[str, Coding], rows: FloatArray, level: IntArray
) -> list[str]:
    """Predictors of which some value occurs with one level only, or whose ranges in two levels do not meet."""
    found = []
    present = np.unique(level)
    for name in names:
        x = rows[:, codings[name].columns]
        if codings[name].levels is not None:
            first = 1 - x.sum(axis=1, keepdims=True)
            counts = np.stack([np.hstack([first, x])[level == k].sum(axis=0) for k in present])
            apart = bool((((counts > 0).sum(axis=0) < len(present)) & (counts.sum(axis=0) > 0)).any())
        else:
            low = np.array([x[level == k].min() for k in present])
            high = np.array([x[level == k].max() for k in present])
            apart = bool((low[:, None] >= high[None, :])[~np.eye(len(present), dtype=bool)].any())
        if apart:
            found.append(name)
    if not found:
        return []
    return [
        f"In the model of {target} some values of {', '.join(found)} leave out a level of it; augmented data keep its "
        "coefficients finite."
    ]


def solve_normal(gram: FloatArray, moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares (p,) and the lower Cholesky factor of X'X (p, p); a small ridge if it is singular."""
    ridge = 0.0
    while True:
        try:
            factor = linalg.cholesky(gram + np.diag(ridge * np.diag(gram)) if ridge else gram, lower=True)
            return linalg.cho_solve((factor, True), moments), factor
        except linalg.LinAlgError:
            ridge = max(1e-10, 10 * ridge)
            if ridge > 1:
                raise ValueError("The predictors of an imputation model determine one another.") from None
