"""Substitution of time: one behaviour for another, in models of minutes (isotemporal) and of compositions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.contrasts import Contrasts, JointTest, contrasts, wald_test
from walkrisk.models.compositions import checked_parts, pivot_basis
from walkrisk.models.design import Composition, Linear, build_design, variables_of
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Substitutions:
    """Ratios for moving `amount` from one part to another: pair i goes from `source[i]` to `target[i]`.

    `values` (k each) are the ratios with their limits; a source (or target) of "all others" is a pro-rata move.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    amount: FloatArray
    values: Contrasts


def isotemporal_terms(parts: Sequence[str], *, omitted: str, per: float = 1.0) -> tuple[Linear, ...]:
    """The terms of an isotemporal model: every part but the omitted one, in units of `per`.

    Add `Linear` of the total where it differs between people (see `total_varies`), so that it is held constant.
    Raises ValueError unless there are two or more different parts and `omitted` is one of them.
    """
    if len(set(parts)) < 2 or len(set(parts)) < len(parts) or omitted not in parts:
        raise ValueError(f"An isotemporal model needs two or more different parts, one of them omitted ({omitted!r}).")
    return tuple(Linear(name, per) for name in parts if name != omitted)


def total_varies(columns: Mapping[str, FloatArray], parts: Sequence[str], *, tolerance: float = 1e-6) -> bool:
    """Whether the total of the parts differs between people by more than `tolerance` of it: then it is a covariate."""
    total = np.sum([columns[name] for name in parts], axis=0)
    return bool(np.ptp(total) > tolerance * np.abs(total).max())


def isotemporal(
    fit: Fit,
    parts: Sequence[str],
    covariance: FloatArray,
    amount: float,
    *,
    omitted: str | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Substitutions:
    """The ratio for `amount` units less of one part and as much more of another, the total constant, for all pairs.

    log RR = amount (b_target - b_source), with b of `omitted` 0. The fit is an isotemporal model (all parts but
    `omitted`, and the total where it varies) or, with `omitted` None, a partition model (every part). Each part must
    enter through one linear term. Raises ValueError if not, as for coefficients that could not be estimated (all
    parts of a constant total are collinear: omit one).
    Reference: Mekary et al. 2009, doi 10.1093/aje/kwp163.
    """
    if not np.isfinite(amount) or not amount > 0:
        raise ValueError(f"The amount to move must be above 0 and finite, got {amount:g}.")
    if len(set(parts)) < 2 or len(set(parts)) < len(parts) or (omitted is not None and omitted not in parts):
        raise ValueError("A substitution needs two or more different parts, and the omitted one among them.")
    p = len(fit.design.names)
    rows = {name: np.zeros(p) if name == omitted else _unit(fit, name) for name in parts}
    if omitted is not None and any(omitted in variables_of(t) for t in fit.design.columns_of):
        raise ValueError(f"{omitted} is in the model, so it is not the omitted part; name the one that is left out.")
    pairs = [(a, b) for a in parts for b in parts if a != b]
    matrix = np.array([amount * (rows[b] - rows[a]) for a, b in pairs])
    return Substitutions(
        source=tuple(a for a, _ in pairs),
        target=tuple(b for _, b in pairs),
        amount=np.full(len(pairs), float(amount)),
        values=contrasts(fit, matrix, covariance, conf_level=conf_level, df=df),
    )


def _unit(fit: Fit, name: str) -> FloatArray:
    """The contrast (p,) of one more unit of a part that enters through one linear term."""
    terms = [t for t in fit.design.columns_of if name in variables_of(t)]
    if len(terms) != 1 or not isinstance(terms[0], Linear):
        raise ValueError(f"{name} must enter the model through one linear term to be substituted minute by minute.")
    row = np.zeros(len(fit.design.names))
    row[fit.design.columns_of[terms[0]][0]] = 1 / terms[0].per
    return row


def part_contrasts(
    fit: Fit, term: Composition, covariance: FloatArray, *, conf_level: float = 0.95, df: float | None = None
) -> Contrasts:
    """For each part (D,) in the order of the term: the coefficient of its pivot coordinate, it being the first part.

    That is the change of the log ratio per unit of z = sqrt((D - 1)/D) log(part / geometric mean of the others). One
    fit gives all D: with B the pivot basis of the term and B_k that with part k first, b_k = first of B_k' B b.
    """
    d = len(term.names)
    clr = pivot_basis(d)  # clr coefficients are basis @ b
    others = np.sqrt(d / (d - 1)) * (np.eye(d) - 1 / d)  # first pivot coordinate of each part, in clr
    return contrasts(fit, _placed(fit, term, others @ clr), covariance, conf_level=conf_level, df=df)


def composition_test(
    fit: Fit, term: Composition, covariance: FloatArray, *, residual_df: float | None = None
) -> JointTest:
    """The Wald test that nothing depends on the composition: all its D - 1 coordinates (in no matter what order)."""
    return wald_test(fit, fit.design.columns_of[term], covariance, residual_df=residual_df)


def reallocations(
    fit: Fit,
    term: Composition,
    covariance: FloatArray,
    base: FloatArray,
    amounts: Sequence[float],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Substitutions:
    """The ratio for moving each amount from one part to another, starting from the composition `base` (D,).

    log RR = (z(new) - z(base))' b, in the units of `base` (minutes, if it is closed to 1,440). `pairs` are (source,
    target), by default all. Raises ValueError if a part would be left with nothing or less: logarithms of that do not
    exist, and the model says nothing about it. Reference: Dumuid et al. 2019, doi 10.1177/0962280217737805.
    """
    chosen = [(a, b) for a in term.names for b in term.names if a != b] if pairs is None else list(pairs)
    unknown = sorted({n for pair in chosen for n in pair} - set(term.names))
    if unknown or any(a == b for a, b in chosen):
        raise ValueError(
            f"Pairs to reallocate are two different parts out of {', '.join(term.names)}"
            + (f"; {', '.join(unknown)} is none of them." if unknown else ".")
        )
    moves = []
    for a, b in chosen:
        step = np.zeros(len(term.names))
        step[term.names.index(a)], step[term.names.index(b)] = -1.0, 1.0
        moves.append(step)
    names = [a for a, _ in chosen], [b for _, b in chosen]
    return _moved(fit, term, covariance, base, amounts, moves, names, conf_level, df)


def pro_rata(
    fit: Fit,
    term: Composition,
    covariance: FloatArray,
    base: FloatArray,
    amounts: Sequence[float],
    *,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Substitutions:
    """The ratio for each amount more of a part, taken from all others in proportion to their size in `base` (D,).

    A negative amount gives it to them. Raises ValueError as `reallocations` does.
    """
    start = _base(term, base)
    moves = []
    for j in range(len(start)):
        step = -start / (start.sum() - start[j])
        step[j] = 1.0
        moves.append(step)
    names = ["all others"] * len(start), list(term.names)
    return _moved(fit, term, covariance, start, amounts, moves, names, conf_level, df)


def _moved(
    fit: Fit,
    term: Composition,
    covariance: FloatArray,
    base: FloatArray,
    amounts: Sequence[float],
    moves: Sequence[FloatArray],
    names: tuple[list[str], list[str]],
    conf_level: float,
    df: float | None,
) -> Substitutions:
    start, sizes = _base(term, base), [float(a) for a in amounts]
    if not sizes or not all(np.isfinite(a) and a != 0 for a in sizes):
        raise ValueError("The amounts to move must be finite and not 0.")
    new = np.array([start + a * step for step in moves for a in sizes])
    _refuse_emptied(term, start, new, [a for _ in moves for a in sizes])
    columns = {n: np.append(new[:, j], start[j]) for j, n in enumerate(term.names)}
    rows = build_design(columns, [term], len(new) + 1).matrix[:, 1:]
    matrix = _placed(fit, term, rows[:-1] - rows[-1])
    source, target = ([n for n in side for _ in sizes] for side in names)
    return Substitutions(
        source=tuple(source),
        target=tuple(target),
        amount=np.array([a for _ in moves for a in sizes]),
        values=contrasts(fit, matrix, covariance, conf_level=conf_level, df=df),
    )


def _refuse_emptied(term: Composition, start: FloatArray, new: FloatArray, amounts: Sequence[float]) -> None:
    emptied = np.argwhere(new <= 0)
    if emptied.size:
        row, part = emptied[0].tolist()
        raise ValueError(
            f"{term.names[part]} has {start[part]:.4g} in the starting composition, so {abs(amounts[row]):g} cannot "
            "be taken from it; move less, or start from another composition (see `feasible_amounts`)."
        )


def _base(term: Composition, base: FloatArray) -> FloatArray:
    start = np.asarray(base, dtype=np.float64)
    if start.shape != (len(term.names),):
        raise ValueError(f"The starting composition needs a value for each of {', '.join(term.names)}.")
    return checked_parts(start[None, :], term.names)[0]


def _placed(fit: Fit, term: Composition, rows: FloatArray) -> FloatArray:
    if term not in fit.design.columns_of:
        raise ValueError(f"The composition of {', '.join(term.names)} is not a term of this model.")
    if any(t != term and set(variables_of(t)) & set(term.names) for t in fit.design.columns_of):
        raise ValueError("A part of the composition stands in another term too, so it cannot be reallocated alone.")
    out = np.zeros((len(rows), len(fit.design.names)))
    out[:, list(fit.design.columns_of[term])] = rows
    return out


def feasible_amounts(parts: FloatArray, base: FloatArray, *, low: float = 5.0, high: float = 95.0) -> FloatArray:
    """The most (D, D) that can go from part i (row) to part j (column) of `base` while both stay where people are.

    The smaller of base_i less the `low` percentile of part i and the `high` percentile of part j less base_j, over the
    compositions (n, D) observed (linear interpolation); 0 where even the base lies outside, and on the diagonal.
    Beyond it a substitution is an extrapolation. Raises ValueError for percentiles out of order.
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"The range needs increasing percentiles between 0 and 100, got {low:g} and {high:g}.")
    bottom, top = np.percentile(checked_parts(parts), [low, high], axis=0)
    room = np.maximum(np.minimum((base - bottom)[:, None], (top - base)[None, :]), 0.0)
    np.fill_diagonal(room, 0.0)
    return np.asarray(room)
