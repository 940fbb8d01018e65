"""Columns of any data frame, or mapping of columns, as numbers; every fault collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.declarations import suggest

FloatArray = npt.NDArray[np.float64]
Data = pd.DataFrame | Mapping[str, npt.ArrayLike]

LARGEST_VALUE = 1e100


@dataclass(slots=True, eq=False)
class Reader:
    """Reads columns of a frame as numbers, collecting faults."""

    data: Data
    n: int
    faults: list[str] = field(default_factory=list)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: dict[str, FloatArray] = field(default_factory=dict)
    ids: dict[str, FloatArray] = field(default_factory=dict)  # columns as identifiers, whatever else they are

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

    def identifiers(self, name: str, what: str) -> FloatArray:
        """Column `name` as numbers 0, 1, ... for its different values, whatever they are; NaN where unknown."""
        found: Any = self.data[name] if isinstance(name, str) and name in self.data else None
        if found is None or isinstance(found, pd.DataFrame) or np.size(found) != self.n:
            self.ids[name] = self.column(name, what)  # which finds the fault
            return self.ids[name]
        codes, _ = pd.factorize(pd.Series(found), sort=False)
        self.ids[name] = np.where(codes < 0, np.nan, codes.astype(np.float64))
        return self.ids[name]

    def _numbers(self, name: str, what: str) -> FloatArray:
        unknown = np.full(self.n, np.nan)
        found: Any = self.data[name]
        series = found if isinstance(found, (pd.Series, pd.DataFrame)) else pd.Series(found)
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
