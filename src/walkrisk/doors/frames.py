"""A data frame and what is asked of it -> complete rows of numbers and model terms; every fault at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.doors.reading import Data, Reader
from walkrisk.doors.resolving import TermMaker, as_term, interval_labels, names_of, part_of
from walkrisk.doors.terms import CategoriesTerm, DeclaredTerm, LinearTerm, MainTerm, PowerTerm, ProductTerm, SplineTerm
from walkrisk.errors import DataFault, UsageFault
from walkrisk.models.covariance import MAY_HAVE_CLUSTERS, NEED_CLUSTERS
from walkrisk.models.design import Design, Factor, Main, Term, build_design

__all__ = ["Asked", "Clusters", "Data", "ModelFrame", "Subset", "interval_labels", "model_frame"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Clusters = str | Sequence[str] | None  # a column, or several
Subset = str | npt.ArrayLike | None  # a 0/1 column, or a mask of all rows

IDENTIFIERS = ("cluster", "strata", "psu")  # what columns are asked for as identifiers
CLUSTERED = (*NEED_CLUSTERS, *MAY_HAVE_CLUSTERS)  # variances that use the cluster of each row


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelFrame:
    """The complete rows (n,) of a question, as numbers, with the terms that make its design.

    `columns` hold what the terms evaluate; `y` the 0/1 outcome; `weights`, `cluster`, `strata`, `psu` what was named.
    `rows` (n_all,) marks the complete rows of the data. `whole` are strata and PSU of everyone with both known.
    `levels` are an exposure's level names in their own order (empty for a numeric exposure). `cluster` is (n,) or, of
    several columns, (n, d). `also` are further terms by what they are for. `observed` (n,) marks whose outcome is known
    where that was asked for (`y` is 0 for the others), else None.
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
    index: pd.Index[Any] | None = None  # of the data's rows, where they are a data frame
    also: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    observed: BoolArray | None = None

    @property
    def n(self) -> int:
        """Number of complete rows."""
        return len(self.y)

    @property
    def has_likelihood(self) -> bool:
        """Whether rows are independent and count once, so that a likelihood ratio has its chi-square distribution."""
        return self.weights is None and self.cluster is None and self.strata is None

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
    cluster: Clusters = None
    strata: str | None = None
    psu: str | None = None
    subset: Subset = None
    extra: Sequence[str] = ()  # further numeric columns that must be known (follow-up time, a modifier of its own)
    also: Mapping[str, Sequence[str | DeclaredTerm]] = field(default_factory=dict)  # terms of other models
    outcome_may_lack: bool = False  # keep rows without an outcome, for a model of who has one

    @property
    def clusters(self) -> tuple[str, ...]:
        """The columns of clusters."""
        if self.cluster is None:
            return ()
        return (self.cluster,) if isinstance(self.cluster, str) else tuple(self.cluster)


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
    reader = Reader(data, n)
    declared = [as_term(asked.exposure), *(as_term(c) for c in _listed(asked.covariates))]
    also = {what: [as_term(c) for c in _listed(terms, what)] for what, terms in asked.also.items()}
    _check_asked(asked, declared, also)
    y = reader.column(asked.outcome, "outcome")
    needed: dict[str, str] = {} if asked.outcome_may_lack else {asked.outcome: "outcome"}
    for i, term in enumerate(declared):
        needed |= {n: "exposure" if i == 0 else "covariates" for n in names_of(term) if n not in needed}
    for what, terms in also.items():
        needed |= {n: what for term in terms for n in names_of(term) if n not in needed}
    for what in ("weights", "strata", "psu"):
        if getattr(asked, what) is not None:
            needed.setdefault(getattr(asked, what), what)
    for name in asked.clusters:
        needed.setdefault(name, "cluster")
    ids = {*asked.clusters, *(n for n in (asked.strata, asked.psu) if n is not None)}
    needed |= {name: "column" for name in asked.extra if name not in needed}
    for name in ids:
        reader.identifiers(name, needed[name])
    for name, what in needed.items():
        if name not in ids or what not in IDENTIFIERS:
            reader.column(name, what)
    _check_values(asked, reader, y)
    inside = _inside(asked.subset, reader)
    if reader.faults:
        raise DataFault(reader.faults)
    found = {name: reader.read[name] if name in reader.read else reader.ids[name] for name in needed}
    rows = inside & np.logical_and.reduce([~np.isnan(values) for values in found.values()])
    sentences = _lost_sentence(rows[inside], {name: values[inside] for name, values in found.items()})
    if not inside.all():
        sentences.insert(0, f"{int(inside.sum())} of {n} rows are in the subset.")
    if not rows.any():
        raise DataFault("No row has all the named columns known, so nothing can be estimated; check their codes.")
    if asked.weights is not None and not (reader.read[asked.weights][rows] > 0).any():
        raise DataFault(f"The weights {asked.weights} of all rows that would be analysed are zero.")
    return _resolved(asked, (declared, also), reader, rows, sentences)


def _inside(subset: Subset, reader: Reader) -> BoolArray:
    """Which rows (n,) are to be analysed: everyone, those with 1 in a column, or those of a mask."""
    if subset is None:
        return np.ones(reader.n, dtype=bool)
    if isinstance(subset, str):
        values = reader.column(subset, "subset")
        if subset in reader.labels or not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
            reader.faults.append(f"The subset {subset} must be a column of 0 and 1 (or True and False).")
        return np.asarray(values == 1.0)
    if (
        isinstance(subset, pd.Series)
        and isinstance(reader.data, pd.DataFrame)
        and not subset.index.equals(reader.data.index)
    ):
        raise UsageFault("`subset` has another index than the data; give it in the order of the data's rows.")
    mask = np.asarray(subset)
    if mask.shape != (reader.n,) or not np.isin(mask, (0, 1)).all():
        raise UsageFault(
            f"`subset` must be a column of 0 and 1, or a mask with True or False for each of the {reader.n} rows."
        )
    return mask.astype(bool)


def _listed(covariates: Sequence[str | DeclaredTerm], what: str = "covariates") -> Sequence[str | DeclaredTerm]:
    if isinstance(covariates, (str, *get_args(DeclaredTerm))):
        raise UsageFault(f"`{what}` must be a list of columns or terms; write [{covariates!r}].")
    wrong = [type(c).__name__ for c in covariates if not isinstance(c, (str, *get_args(DeclaredTerm)))]
    if wrong:
        raise UsageFault(f"`{what}` must be names of columns or terms, got {', '.join(dict.fromkeys(wrong))}.")
    return covariates


def _check_asked(asked: Asked, declared: Sequence[DeclaredTerm], also: Mapping[str, Sequence[DeclaredTerm]]) -> None:
    faults = []
    if not isinstance(declared[0], (LinearTerm, CategoriesTerm, SplineTerm, PowerTerm)):
        faults.append("`exposure` must be one column or one term; a product belongs among the covariates.")
    names = [n for terms in (declared, *also.values()) for term in terms for n in names_of(term)]
    if asked.outcome in names:
        faults.append(f"The outcome {asked.outcome} also stands among exposure and covariates; take it out there.")
    seen: list[DeclaredTerm] = []
    for term in declared:
        if term in seen:
            faults.append(f"{', '.join(names_of(term))} stands twice in the model; name it once.")
        seen.append(term)
    mains = {t.name for t in declared if not isinstance(t, ProductTerm)}
    for term in declared:
        if isinstance(term, ProductTerm):
            alone = [n for n in names_of(term) if n not in mains]
            faults += [f"product{names_of(term)}: {n} must stand in the model itself too; add it." for n in alone]
            if len(set(names_of(term))) == 1:
                faults.append(f"product{names_of(term)}: a variable with itself is no interaction; write power(...).")
    if (asked.strata is None) != (asked.psu is None):
        faults.append("A survey design needs both `strata` and `psu`; make a column of ones where there are no strata.")
    if faults:
        raise UsageFault(faults)


def _check_values(asked: Asked, reader: Reader, y: FloatArray) -> None:
    known = y[~np.isnan(y)]
    if asked.outcome in reader.labels:
        reader.faults.append(f"The outcome {asked.outcome} is text; recode it to 0 and 1.")
    elif known.size and not np.isin(known, (0.0, 1.0)).all():
        found = ", ".join(f"{v:g}" for v in np.unique(known)[:5])
        reader.faults.append(f"The outcome {asked.outcome} must be 0 or 1; found {found}; recode it.")
    for name in asked.extra:
        if name in reader.labels:
            reader.faults.append(f"{name} is text; recode it to numbers (an event to 0 and 1).")
    if asked.weights is not None and asked.weights in reader.read:
        weights = reader.read[asked.weights]
        if asked.weights not in reader.data:
            pass
        elif asked.weights in reader.labels:
            reader.faults.append(f"The weights {asked.weights} are text; recode them to numbers.")
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
    asked: Asked,
    terms: tuple[Sequence[DeclaredTerm], Mapping[str, Sequence[DeclaredTerm]]],
    reader: Reader,
    rows: BoolArray,
    sentences: list[str],
) -> ModelFrame:
    declared, also = terms
    columns: dict[str, FloatArray] = {}
    values = {n: v[rows] for n, v in reader.read.items()}
    everything = [t for some in (declared, *also.values()) for t in some]
    mains = [t for t in everything if not isinstance(t, ProductTerm)]
    plain = mains + [part_of(p, mains) for t in everything if isinstance(t, ProductTerm) for p in (t.first, t.second)]
    raw = frozenset(t.name for t in plain if isinstance(t, (LinearTerm, SplineTerm, PowerTerm)))
    maker = TermMaker(values, reader.labels, columns, sentences, raw, mains)
    first = declared[0]
    assert not isinstance(first, ProductTerm)
    exposure = maker.main(first, asked.reference, of_exposure=True)
    covariates = [maker.term(term) for term in declared[1:]]
    twice = [n for i, t in enumerate(declared[1:]) if covariates[i] in [exposure, *covariates[:i]] for n in names_of(t)]
    if twice:
        raise UsageFault(f"{', '.join(twice)} stands twice in the model; name it once.")
    others = {what: tuple(maker.term(term) for term in some) for what, some in also.items()}
    if len(maker.forms[first.name]) > 1:
        raise UsageFault(
            f"{first.name} is the exposure and enters the model in another form too, so that neither form alone is its "
            "effect; name one form, or a power or spline of the number itself with dose_response(...)."
        )
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
        whole = (reader.ids[asked.strata], reader.ids[asked.psu])
    y = used[asked.outcome]
    clusters = [reader.ids[name][rows] for name in asked.clusters]
    return ModelFrame(
        names=(first.name,),
        columns=columns,
        y=np.nan_to_num(y) if asked.outcome_may_lack else y,
        exposure=exposure,
        covariates=tuple(covariates),
        weights=used[asked.weights] if asked.weights is not None else None,
        cluster=None if not clusters else clusters[0] if len(clusters) == 1 else np.column_stack(clusters),
        strata=reader.ids[asked.strata][rows] if asked.strata is not None else None,
        psu=reader.ids[asked.psu][rows] if asked.psu is not None else None,
        whole=whole,
        rows=rows,
        levels=maker.natural if isinstance(exposure, Factor) else (),
        extra={n: used[n] for n in asked.extra},
        sentences=tuple(dict.fromkeys(sentences)),
        also=others,
        observed=~np.isnan(y) if asked.outcome_may_lack else None,
        index=reader.data.index if isinstance(reader.data, pd.DataFrame) else None,
    )
