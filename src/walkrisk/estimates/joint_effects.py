"""Joint effects of two exposures from one model, or from standardised risks: what every measure of interaction is of.

For levels i and j of two exposures a model gives eta(i, j), its linear predictor at given covariates. With the log link
log RR(i, j) = eta(i, j) - eta(0, 0); the ratio of i against 0 within j is eta(i, j) - eta(0, j). All are contrasts with
one covariance, so any variance a model has carries over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Factor, Product, Term, build_design, variables_of
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

SCALES = ("log", "logit", "identity")
ALIAS_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JointEffects:
    """Linear predictors of the I x J joint levels of two exposures, relative to the first of both.

    `value` (I, J) and `covariance` (I*J, I*J; row-major) on `scale` (log, logit, identity); only contrasts of cells
    with the same number in `group` (I, J) are estimable. `rows` (I*J, p): the design of each cell against the first,
    for replicates of the coefficients. `n`, `events` (I, J): people and events, where known.
    """

    first: str
    second: str
    first_labels: tuple[str, ...]
    second_labels: tuple[str, ...]
    scale: str
    value: FloatArray
    covariance: FloatArray
    group: IntArray
    method: str = ""
    rows: FloatArray | None = None
    n: IntArray | None = None
    events: IntArray | None = None
    sentences: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.first_labels), len(self.second_labels)

    def contrast(self, plus: Sequence[tuple[int, int]], minus: Sequence[tuple[int, int]]) -> FloatArray | None:
        """The contrast (I*J,) of cells, or None if it is not estimable (its weights must cancel within each group)."""
        weight = np.zeros(self.shape)
        for cell in plus:
            weight[cell] += 1
        for cell in minus:
            weight[cell] -= 1
        sums = np.bincount(self.group.ravel(), weights=weight.ravel())
        return None if (sums != 0).any() else weight.ravel()

    def estimate(self, contrasts: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Values (k,) and covariance (k, k) of estimable contrasts."""
        d = np.array(contrasts)
        return d @ np.where(np.isnan(self.value), 0.0, self.value).ravel(), d @ self.covariance @ d.T


def joint_effects(
    fit: Fit,
    first: Term,
    second: Term,
    covariance: FloatArray,
    *,
    first_values: Sequence[float] | None = None,
    second_values: Sequence[float] | None = None,
    n: IntArray | None = None,
    events: IntArray | None = None,
) -> JointEffects:
    """The joint effects of two terms of a fit (any parameterisation: main effects, products, powers, splines).

    The design is built again for each pair of values: the levels of a factor, else those given (for a continuous
    exposure, reference and comparison, as Knol et al. 2007 doi 10.1007/s10654-007-9157-7). `covariance` (q, q) is that
    of the fit's estimated coefficients; `n`, `events` (I, J) are the people and events of the cells.

    Raises ValueError if the terms are of one variable, or have products with a third one (the joint effect is then
    another at each of its values).
    """
    names = (_variable(first), _variable(second))
    terms = _terms_of(fit, names)
    values, labels = [], []
    for term, given in ((first, first_values), (second, second_values)):
        levels = given if given is not None else getattr(term, "levels", None)
        if levels is None or len(levels) < 2 or not np.isfinite(levels).all():
            raise ValueError(f"Give at least two finite values of '{_variable(term)}', the reference first.")
        known = dict(zip(term.levels, term.labels, strict=True)) if isinstance(term, Factor) else {}
        values.append(tuple(float(x) for x in levels))
        labels.append(tuple(known.get(float(x), f"{x:g}") for x in levels))
    a, b = np.meshgrid(*values, indexing="ij")
    cells = build_design({names[0]: a.ravel(), names[1]: b.ravel()}, terms, a.size)
    rows = np.zeros((a.size, len(fit.names)))
    for term in terms:
        rows[:, list(fit.design.columns_of[term])] = cells.matrix[:, list(cells.columns_of[term])]
    return _from_rows(fit, covariance, rows - rows[0], names, labels, n, events)


def joint_effects_of_factor(
    fit: Fit,
    joint: Factor,
    covariance: FloatArray,
    *,
    cells: Sequence[Sequence[float]],
    first: str,
    second: str,
    first_labels: Sequence[str],
    second_labels: Sequence[str],
    n: IntArray | None = None,
    events: IntArray | None = None,
) -> JointEffects:
    """The joint effects from one factor of all combinations: `cells[i][j]` is its code for levels i and j.

    A code that is no level of the factor is a combination nobody has.
    """
    codes = np.array(cells, dtype=np.float64)
    if codes.shape != (len(first_labels), len(second_labels)):
        raise ValueError("The codes of the joint exposure must be a table of first by second levels.")
    columns = fit.design.columns_of[joint]
    rows = np.zeros((codes.size, len(fit.names)))
    place = {code: k for k, code in enumerate(joint.levels)}
    nobody = np.array([c not in place for c in codes.ravel()])
    for k, code in enumerate(codes.ravel()):
        if place.get(float(code), 0):
            rows[k, columns[place[float(code)] - 1]] = 1.0
    labels = [tuple(first_labels), tuple(second_labels)]
    made = _from_rows(fit, covariance, rows - rows[0], (first, second), labels, n, events)
    group = made.group.ravel().copy()
    group[nobody] = group.max() + 1 + np.arange(int(nobody.sum()))
    return replace(made, group=group.reshape(codes.shape), sentences=_not_estimable(group.reshape(codes.shape), labels))


def joint_effects_of_risks(
    risks: FloatArray,
    covariance: FloatArray,
    *,
    scale: str,
    first: str,
    second: str,
    first_labels: Sequence[str],
    second_labels: Sequence[str],
) -> JointEffects:
    """The joint effects from (standardised) risks (I, J) and their covariance (I*J, I*J), on the log or identity scale.

    On the log scale a risk of 0 has no contrast with the others. Risks that are NaN have none on either.
    """
    if scale not in ("log", "identity"):
        raise ValueError(f"Risks are compared on the log or the identity scale, not '{scale}'.")
    risks = np.asarray(risks, dtype=np.float64)
    labels = [tuple(first_labels), tuple(second_labels)]
    if risks.shape != (len(labels[0]), len(labels[1])) or np.shape(covariance) != (risks.size, risks.size):
        raise ValueError("Joint risks must be a table of first by second levels, with a covariance of all its cells.")
    flat = risks.ravel()
    known = np.isfinite(flat) & ((flat > 0) | (scale == "identity"))
    group = np.where(known, 0, 1 + np.arange(flat.size))
    slope = np.where(known, 1 / np.where(known, flat, 1.0) if scale == "log" else 1.0, 0.0)
    value = np.where(known, np.log(np.where(known, flat, 1.0)) if scale == "log" else flat, np.nan)
    v = np.where(np.outer(known, known), np.asarray(covariance, dtype=np.float64), 0.0) * np.outer(slope, slope)
    return JointEffects(
        first=first,
        second=second,
        first_labels=labels[0],
        second_labels=labels[1],
        scale=scale,
        value=value.reshape(risks.shape),
        covariance=v,
        group=group.reshape(risks.shape),
        sentences=_not_estimable(group.reshape(risks.shape), labels),
    )


def joint_counts(
    first: FloatArray,
    second: FloatArray,
    y: FloatArray,
    *,
    first_levels: Sequence[float],
    second_levels: Sequence[float],
) -> tuple[IntArray, IntArray]:
    """People and events (I, J) of the joint levels of two coded exposures (n,)."""
    at = [[(first == i) & (second == j) for j in second_levels] for i in first_levels]
    n = np.array([[int(cell.sum()) for cell in line] for line in at], dtype=np.intp)
    return n, np.array([[int(y[cell].sum()) for cell in line] for line in at], dtype=np.intp)


def _variable(term: Term) -> str:
    if isinstance(term, Product) or len(variables_of(term)) != 1:
        raise ValueError("A joint effect is of two single exposures: name their main terms, not a product.")
    return variables_of(term)[0]


def _terms_of(fit: Fit, names: tuple[str, str]) -> list[Term]:
    if names[0] == names[1]:
        raise ValueError(f"The joint effect of '{names[0]}' with itself is no interaction; name two exposures.")
    terms = [t for t in fit.design.columns_of if set(variables_of(t)) & set(names)]
    for term in terms:
        others = set(variables_of(term)) - set(names)
        if others:
            raise ValueError(
                f"The model has products of these exposures with '{sorted(others)[0]}', so their joint effect differs "
                "by it; leave that product out or restrict the analysis to one of its levels."
            )
    for name in names:
        if not any(variables_of(t) == (name,) for t in terms):
            raise ValueError(f"'{name}' has no main term in the model, so its joint effect is not there; add it.")
    return terms


def _from_rows(
    fit: Fit,
    covariance: FloatArray,
    rows: FloatArray,
    names: tuple[str, str],
    labels: Sequence[tuple[str, ...]],
    n: IntArray | None,
    events: IntArray | None,
) -> JointEffects:
    shape = (len(labels[0]), len(labels[1]))
    at = np.flatnonzero(fit.estimated)
    group = _groups(fit, rows, at) if fit.converged else np.arange(len(rows))
    value = rows[:, at] @ fit.coefficients[at] if fit.converged else np.full(len(rows), np.nan)
    v = rows[:, at] @ covariance @ rows[:, at].T if fit.converged else np.zeros((len(rows), len(rows)))
    kept = np.where(fit.estimated, rows, 0.0)
    said = _not_estimable(group.reshape(shape), labels) if fit.converged else ("The model did not converge.",)
    if n is not None and fit.converged:
        said += _extrapolated(np.asarray(n), group.reshape(shape), labels)
    return JointEffects(
        first=names[0],
        second=names[1],
        first_labels=labels[0],
        second_labels=labels[1],
        scale=_scale(fit),
        value=value.reshape(shape),
        covariance=v,
        group=group.reshape(shape),
        method=fit.method,
        rows=kept,
        n=n,
        events=events,
        sentences=said,
    )


def _scale(fit: Fit) -> str:
    if fit.link not in SCALES:
        raise ValueError(f"A {fit.method} model has no joint risks; fit a model of risks.")
    return str(fit.link)


def _groups(fit: Fit, rows: FloatArray, at: IntArray) -> IntArray:
    """Numbers (k,) of rows (k, p): equal where the rows the fit used determine the difference of two of them."""
    lost = np.flatnonzero(~fit.estimated)
    if not lost.size:
        return np.zeros(len(rows), dtype=np.intp)
    used = fit.design.matrix[fit.rows]
    weight, *_ = np.linalg.lstsq(used[:, at], used[:, lost], rcond=None)
    off = rows[:, lost] - rows[:, at] @ weight
    size = 1 + np.abs(rows[:, lost]) + np.abs(rows[:, at]) @ np.abs(weight)
    group = np.arange(len(rows), dtype=np.intp)
    for k in range(len(rows)):
        same = (np.abs(off[:k] - off[k]) <= ALIAS_TOLERANCE * (size[:k] + size[k])).all(axis=1)
        if same.any():
            group[k] = group[int(np.flatnonzero(same)[0])]
    return group


def _not_estimable(group: IntArray, labels: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    numbers, counts = np.unique(group, return_counts=True)
    if len(numbers) == 1:
        return ()
    main = group[0, 0] if counts[numbers == group[0, 0]][0] > 1 else None
    if main is None:
        return ("The joint reference has no estimable contrast with the other cells (nobody there, or no cases).",)
    gone = [f"{labels[0][i]} with {labels[1][j]}" for i, j in zip(*np.nonzero(group != main), strict=True)]
    return (f"Not estimable against the joint reference (nobody there, or no cases): {', '.join(gone)}.",)


def _extrapolated(n: IntArray, group: IntArray, labels: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    gone = [
        f"{labels[0][i]} with {labels[1][j]}"
        for i, j in zip(*np.nonzero((n == 0) & (group == group[0, 0])), strict=True)
    ]
    return (f"Nobody is {', '.join(gone)}: what is said of it is the model's extrapolation.",) if gone else ()
