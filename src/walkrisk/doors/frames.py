"""A data frame and what is asked of it -> complete rows of numbers and model terms; every fault at once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.cohorts.categories import cut_fixed, cut_up, quantile_cuts
from walkrisk.declarations import suggest
from walkrisk.doors.terms import (
    CategoriesTerm,
    DeclaredTerm,
    LinearTerm,
    MainTerm,
    PowerTerm,
    ProductTerm,
    SplineTerm,
)
from walkrisk.errors import DataFault, UsageFault
from walkrisk.models.covariance import MAY_HAVE_CLUSTERS, NEED_CLUSTERS
from walkrisk.models.design import Design, Factor, Linear, Main, Power, Product, Spline, Term, build_design
from walkrisk.models.splines import harrell_knots

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Data = pd.DataFrame | Mapping[str, npt.ArrayLike]

LARGEST_VALUE = 1e100
CLUSTERED = (*NEED_CLUSTERS, *MAY_HAVE_CLUSTERS)  # variances that use the cluster of each row


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelFrame:
    """The complete rows (n,) of a question, as numbers, with the terms that make its design.

    `columns` hold what the terms evaluate; `y` the 0/1 outcome; `weights`, `cluster`, `strata`, `psu` what was named.
    `rows` (n_all,) marks the complete rows of the data. `whole` are strata and PSU of everyone with both known.
    `levels` are an exposure's level names in their own order (empty for a numeric exposure).
    """

    names: Sequence[str]
    columns: Mapping[str, FloatArray]
    y: FloatArray
    exposure: Main
    covariates: tuple[Term, ...]
    weights: FloatArray | None
    cluster: FloatArray | None
    strata: FloatArray | None
    psu: FloatArray | None
    whole: tuple[FloatArray, FloatArray] | None
    rows: BoolArray
    levels: tuple[str, ...]
    extra: Mapping[str, FloatArray]
    sentences: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of complete rows."""
        return len(self.y)

    @property
    def exposure_name(self) -> str:
        """The exposure as the user named it."""
        return self.names[0]

    def terms(self) -> list[Term]:
        """Exposure first, then the covariates."""
        return [self.exposure, *self.covariates]

    def design(self) -> Design:
        """The design of all terms on the complete rows."""
        return build_design(self.columns, self.terms(), self.n)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Asked:
    """What a door was asked, by column names and terms."""

    outcome: str
    exposure: str | MainTerm
    covariates: Sequence[str | DeclaredTerm] = ()
    reference: Hashable = None
    weights: str | None = None
    cluster: str | None = None
    strata: str | None = None
    psu: str | None = None
    extra: Sequence[str] = ()  # further numeric columns that must be known (follow-up time, a modifier of its own)


@dataclass(slots=True, eq=False)
class _Reader:
    """Reads columns of a frame as numbers, collecting faults."""

    data: Data
    n: int
    faults: list[str] = field(default_factory=list)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: dict[str, FloatArray] = field(default_factory=dict)

    def column(self, name: str, what: str) -> FloatArray:
        """Column `name` as numbers; a factor's codes 0, 1, ... with its names in `labels`; NaN where unknown."""
        if name in self.read:
            return self.read[name]
        values = np.full(self.n, np.nan)
        if not isinstance(name, str) or name not in self.data:
            known = [str(c) for c in self.data]
            self.faults.append(f"{what}: there is no column {name!r}{suggest(str(name), known) or '.'}")
        else:
            values = self._numbers(name, what)
        self.read[name] = values
        return values

    def _numbers(self, name: str, what: str) -> FloatArray:
        unknown = np.full(self.n, np.nan)
        series = self.data[name] if isinstance(self.data, pd.DataFrame) else pd.Series(np.asarray(self.data[name]))
        if isinstance(series, pd.DataFrame):
            self.faults.append(f"{what}: the data have more than one column {name!r}; rename them.")
            return unknown
        if isinstance(series.dtype, pd.CategoricalDtype):
            return self._factor(name, series.cat.codes.to_numpy(), [str(c) for c in series.cat.categories])
        if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
            if np.iscomplexobj(series):
                self.faults.append(f"{what}: {name} holds complex numbers.")
                return unknown
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
            infinite = int((np.abs(values) > LARGEST_VALUE).sum())
            if infinite:
                self.faults.append(
                    f"{what}: {name} is infinite (or beyond {LARGEST_VALUE:g}) in {infinite} rows; mend them or set "
                    "them to missing."
                )
            return values
        if pd.api.types.is_object_dtype(series) or pd.api.types.is_string_dtype(series):
            missing = series.isna().to_numpy()
            kinds = {type(v) for v in series[~missing]}
            if kinds <= {str}:
                levels = sorted(set(series[~missing]))
                codes = pd.Categorical(series, categories=levels).codes
                return self._factor(name, np.asarray(codes), levels)
            if kinds <= {int, float, bool, np.bool_, np.float64, np.int64}:
                return np.array([np.nan if gone else float(v) for v, gone in zip(series, missing, strict=True)])
        self.faults.append(
            f"{what}: {name} is of type {series.dtype}; give numbers, or a string or categorical column for a factor."
        )
        return unknown

    def _factor(self, name: str, codes: npt.NDArray[np.integer], levels: Sequence[str]) -> FloatArray:
        if len(set(levels)) != len(levels):
            self.faults.append(f"{name}: two of its levels have the same name; rename them.")
        self.labels[name] = tuple(levels)
        return np.where(codes < 0, np.nan, codes.astype(np.float64))


def model_frame(data: Data, asked: Asked) -> ModelFrame:
    """The complete rows of a question with its terms.

    Rows with an unknown value are left out and counted in `sentences`. Raises UsageFault with everything wrong in what
    was asked, DataFault with everything wrong in the columns.
    """
    if not isinstance(data, (pd.DataFrame, Mapping)):
        raise UsageFault(f"`data` must be a data frame (or a mapping of columns), got {type(data).__name__}.")
    n = len(data) if isinstance(data, pd.DataFrame) else max((np.size(v) for v in data.values()), default=0)
    if n == 0:
        raise DataFault("The data have no rows.")
    reader = _Reader(data, n)
    declared = [_declared(asked.exposure), *(_declared(c) for c in _listed(asked.covariates))]
    _check_asked(asked, declared)
    y = reader.column(asked.outcome, "outcome")
    needed: dict[str, str] = {asked.outcome: "outcome"}
    for i, term in enumerate(declared):
        needed |= {n: "exposure" if i == 0 else "covariates" for n in _names_of(term) if n not in needed}
    for what in ("weights", "cluster", "strata", "psu"):
        if getattr(asked, what) is not None:
            needed.setdefault(getattr(asked, what), what)
    needed |= {name: "column" for name in asked.extra if name not in needed}
    for name, what in needed.items():
        reader.column(name, what)
    _check_values(asked, reader, y)
    if reader.faults:
        raise DataFault(reader.faults)
    rows = np.logical_and.reduce([~np.isnan(reader.read[name]) for name in needed])
    sentences = _lost_sentence(rows, {name: reader.read[name] for name in needed})
    if not rows.any():
        raise DataFault("No row has all the named columns known, so nothing can be estimated; check their codes.")
    return _resolved(asked, declared, reader, rows, sentences)


def _declared(term: str | DeclaredTerm) -> DeclaredTerm:
    return LinearTerm(term) if isinstance(term, str) else term


def _listed(covariates: Sequence[str | DeclaredTerm]) -> Sequence[str | DeclaredTerm]:
    if isinstance(covariates, str):
        raise UsageFault(f"`covariates` must be a list of columns or terms; write [{covariates!r}].")
    return covariates


def _names_of(term: DeclaredTerm) -> tuple[str, ...]:
    if isinstance(term, ProductTerm):
        return tuple(n for part in (term.first, term.second) for n in _names_of(_declared(part)))
    return (term.name,)


def _check_asked(asked: Asked, declared: Sequence[DeclaredTerm]) -> None:
    faults = []
    if not isinstance(declared[0], (LinearTerm, CategoriesTerm, SplineTerm, PowerTerm)):
        faults.append("`exposure` must be one column or one term; a product belongs among the covariates.")
    names = [n for term in declared for n in _names_of(term)]
    if asked.outcome in names:
        faults.append(f"The outcome {asked.outcome} also stands among exposure and covariates; take it out there.")
    seen: list[DeclaredTerm] = []
    for term in declared:
        if term in seen:
            faults.append(f"{', '.join(_names_of(term))} stands twice in the model; name it once.")
        seen.append(term)
    if (asked.strata is None) != (asked.psu is None):
        faults.append("A survey design needs both `strata` and `psu`; make a column of ones where there are no strata.")
    if faults:
        raise UsageFault(faults)


def _check_values(asked: Asked, reader: _Reader, y: FloatArray) -> None:
    known = y[~np.isnan(y)]
    if asked.outcome in reader.labels:
        reader.faults.append(f"The outcome {asked.outcome} is text; recode it to 0 and 1.")
    elif known.size and not np.isin(known, (0.0, 1.0)).all():
        found = ", ".join(f"{v:g}" for v in np.unique(known)[:5])
        reader.faults.append(f"The outcome {asked.outcome} must be 0 or 1; found {found}; recode it.")
    if asked.weights is not None and asked.weights in reader.read:
        weights = reader.read[asked.weights]
        if asked.weights not in reader.data:
            pass
        elif (weights < 0).any():
            reader.faults.append(f"The weights {asked.weights} are negative in {int((weights < 0).sum())} rows.")
        elif not (weights > 0).any():
            reader.faults.append(f"The weights {asked.weights} are all zero or unknown.")


def _lost_sentence(rows: BoolArray, columns: Mapping[str, FloatArray]) -> list[str]:
    lost = int((~rows).sum())
    if not lost:
        return []
    counts = {name: int(np.isnan(values).sum()) for name, values in columns.items()}
    said = ", ".join(f"{name} {k}" for name, k in counts.items() if k)
    return [f"{lost} of {len(rows)} rows have an unknown value ({said}) and are left out."]


def _resolved(
    asked: Asked, declared: Sequence[DeclaredTerm], reader: _Reader, rows: BoolArray, sentences: list[str]
) -> ModelFrame:
    columns: dict[str, FloatArray] = {}
    values = {n: v[rows] for n, v in reader.read.items()}
    plain = [_declared(p) for t in declared for p in ((t.first, t.second) if isinstance(t, ProductTerm) else (t,))]
    raw = frozenset(t.name for t in plain if isinstance(t, (LinearTerm, SplineTerm, PowerTerm)))
    maker = _Terms(values, reader.labels, columns, sentences, raw)
    first = declared[0]
    assert not isinstance(first, ProductTerm)
    exposure = maker.main(first, asked.reference, of_exposure=True)
    covariates = [maker.term(term) for term in declared[1:]]
    one = [t.name for t in [exposure, *covariates] if isinstance(t, Factor) and len(t.levels) < 2]
    if isinstance(exposure, Factor) and exposure.name in one:
        raise DataFault(
            f"The exposure {exposure.name} has a single level among the analysed rows, so there is nothing to compare; "
            "check its codes, or which rows are lost to unknown values."
        )
    if one:
        sentences.append(f"{', '.join(one)}: the same for everyone here, so left out.")
    used = values
    whole = None
    if asked.strata is not None and asked.psu is not None:
        whole = (reader.read[asked.strata], reader.read[asked.psu])
    return ModelFrame(
        names=(first.name,),
        columns=columns,
        y=used[asked.outcome],
        exposure=exposure,
        covariates=tuple(covariates),
        weights=used[asked.weights] if asked.weights is not None else None,
        cluster=used[asked.cluster] if asked.cluster is not None else None,
        strata=used[asked.strata] if asked.strata is not None else None,
        psu=used[asked.psu] if asked.psu is not None else None,
        whole=whole,
        rows=rows,
        levels=maker.natural if isinstance(exposure, Factor) else (),
        extra={n: used[n] for n in asked.extra},
        sentences=tuple(sentences),
    )


@dataclass(slots=True, eq=False)
class _Terms:
    """Declared terms -> model terms, their columns put into `columns`."""

    values: Mapping[str, FloatArray]
    labels: Mapping[str, tuple[str, ...]]
    columns: dict[str, FloatArray]
    sentences: list[str]
    raw: frozenset[str]  # variables that enter as numbers too
    natural: tuple[str, ...] = ()

    def term(self, declared: DeclaredTerm) -> Term:
        if isinstance(declared, ProductTerm):
            first, second = (self.main(_main(part)) for part in (declared.first, declared.second))
            return Product(first, second)
        return self.main(declared)

    def main(self, declared: MainTerm, reference: Hashable = None, *, of_exposure: bool = False) -> Main:
        name = declared.name
        text = name in self.labels
        if isinstance(declared, LinearTerm) and text:
            if declared.per != 1.0:
                raise UsageFault(f"{name} is text, a factor; `per` needs a numeric column.")
            declared = CategoriesTerm(name)
        if isinstance(declared, CategoriesTerm):
            return self._factor(declared, reference if reference is not None else declared.reference, of_exposure)
        if reference is not None:
            raise UsageFault(
                f"`reference` needs levels, but {name} enters as a number; write categories({name!r}) for a factor."
            )
        if text:
            raise UsageFault(f"{name} is text and can only enter as a factor.")
        self.columns[name] = self.values[name]
        if isinstance(declared, LinearTerm):
            return Linear(name, declared.per)
        if isinstance(declared, PowerTerm):
            return Power(name, declared.power)
        if isinstance(declared.knots, tuple):
            return Spline(name, declared.knots)
        try:
            return Spline(name, tuple(float(k) for k in harrell_knots(self.values[name], declared.knots)))
        except ValueError as error:
            raise DataFault(f"spline({name!r}): {error}") from None

    def _factor(self, declared: CategoriesTerm, reference: Hashable, of_exposure: bool) -> Factor:
        name = declared.name
        grouped = bool(declared.quantiles or declared.cuts)
        if grouped and name in self.labels:
            raise UsageFault(f"{name} is text; `quantiles` and `cuts` need a numeric column.")
        codes, labels = self._groups(declared) if grouped else self._levels(name)
        present = [i for i in range(len(labels)) if (codes == i).any()]
        gone = [labels[i] for i in range(len(labels)) if i not in present]
        if gone:
            self.sentences.append(f"{name}: nobody is in {', '.join(gone)} among the analysed rows.")
        order = list(present)
        if reference is not None:
            names = [labels[i] for i in present]
            wanted = _number_label(reference)
            if wanted not in names:
                raise UsageFault(
                    f"{name}: there is no level {reference!r} to be the reference; levels: {', '.join(names)}."
                )
            at = present[names.index(wanted)]
            order = [at, *(i for i in present if i != at)]
        place = np.full(len(labels), -1.0)
        place[order] = np.arange(len(order))
        key = f"{name} (categories)" if name in self.raw and name not in self.labels else name
        self.columns[key] = place[codes]
        if of_exposure:
            self.natural = tuple(labels)
        return Factor(key, tuple(float(i) for i in range(len(order))), tuple(labels[i] for i in order))

    def _levels(self, name: str) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        values = self.values[name]
        if name in self.labels:
            return values.astype(np.intp), self.labels[name]
        levels, codes = np.unique(values, return_inverse=True)
        if len(levels) > max(50, len(values) // 5):
            raise UsageFault(
                f"categories({name!r}): {len(levels)} distinct values; give `quantiles` or `cuts` to group them."
            )
        return codes.reshape(-1), tuple(_number_label(v) for v in levels)

    def _groups(self, declared: CategoriesTerm) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        values = self.values[declared.name]
        if declared.quantiles:
            cuts = quantile_cuts(values, declared.quantiles)
            if np.any(np.diff(cuts) == 0):
                self.sentences.append(f"{declared.name}: cut points coincide, as many rows share a value.")
            labels = declared.labels or tuple(f"Q{i}" for i in range(1, declared.quantiles + 1))
            return cut_up(values, cuts).astype(np.intp) - 1, labels
        return cut_fixed(values, declared.cuts).astype(np.intp) - 1, declared.labels or interval_labels(declared.cuts)


def _main(part: str | MainTerm) -> MainTerm:
    return LinearTerm(part) if isinstance(part, str) else part


def _number_label(value: object) -> str:
    return f"{float(value):.15g}" if isinstance(value, (int, float, np.number)) else str(value)


def interval_labels(cuts: Iterable[float]) -> tuple[str, ...]:
    """Names of the intervals between fixed limits: <18.5, 18.5 to <25, >=25."""
    limits = [f"{c:g}" for c in cuts]
    middle = [f"{a} to <{b}" for a, b in itertools.pairwise(limits)]
    return (f"<{limits[0]}", *middle, f">={limits[-1]}")
