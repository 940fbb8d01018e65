"""Imputation among all eligible people, those lost included, for weights made in every imputed set.

A model of loss with imputed covariates has being followed as its outcome, so the models that impute must hold it, and
what modifies it; and the outcome of the study as far as it is known. Both are known of everyone in this form: R, R
times the exposures, and R times the outcome (0 for those lost). No outcome is imputed, and values of follow-up, which
nobody lost can have, are left out of the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.studies.bench import Bench
from walkrisk.studies.missing_data import Imputation, outcome_of
from walkrisk.studies.study import Study
from walkrisk.variations.ground import Ground, exposures_of, vary
from walkrisk.variations.imputed import Imputing, bench_of, imputed_set, imputing
from walkrisk.variations.loss_sample import People

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FOLLOWED, OUTCOME = "followed up", "outcome of those followed"  # no name of a declaration holds a space


@dataclass(frozen=True, slots=True, eq=False)
class LossImputing:
    """An imputation of eligible people's covariates, on the `ground` as read; `made` is that of the wider study."""

    ground: Ground
    declared: Imputation
    made: Imputing

    def bench(self, number: int) -> Bench:
        """The study of those followed in set `number`, everyone eligible completed, quantiles cut as in the main."""
        values: dict[str, FloatArray] = {}
        if self.made.prepared is not None:
            everyone = bench_of(self.made, imputed_set(self.made, number)).cohort.everyone
            values = {name: everyone[name] for name in self.made.prepared.names if name != OUTCOME}
        everyone = self.ground.bench.cohort.everyone
        known = [~np.isnan(everyone[name]) for name in self.declared.known]
        people = np.logical_and.reduce(known) if known else None
        return vary(self.ground, given=values, without=self.declared.replaces, people=people)

    @property
    def eligible(self) -> BoolArray:
        """Those imputed (n_all,)."""
        return self.made.base.cohort.included


def loss_imputing(ground: Ground, declared: Imputation, people: People, steps: Sequence[str]) -> LossImputing:
    """An imputation made ready among eligible `people`. Raises DataFault as `imputing` does."""
    study = ground.study
    columns = _followed_columns(ground, people)
    outcome = outcome_of(study)
    seen = ground.bench.cohort.everyone[study.outcomes[outcome].variable]
    columns[OUTCOME] = np.where(columns[FOLLOWED] == 1, seen, 0.0)
    wider_study = replace(
        study, outcomes={**study.outcomes, outcome: replace(study.outcomes[outcome], variable=OUTCOME)}
    )
    wider = replace(ground, study=wider_study, columns={**ground.columns, **columns})
    baseline = _known_of_the_lost(ground, people, [*declared.impute, *declared.auxiliaries, *declared.known])
    impute = {name: kind for name, kind in declared.impute.items() if name in baseline}
    if np.isnan(columns[OUTCOME][people.at]).any():
        impute[OUTCOME] = "binary"
    own = replace(
        declared,
        impute=impute,
        auxiliaries=(*(n for n in declared.auxiliaries if n in baseline), *(n for n in columns if n != OUTCOME)),
        known=tuple(n for n in declared.known if n in baseline),
        replaces=tuple(dict.fromkeys([*declared.replaces, *steps])),
        delete_imputed_outcomes=False,
        deltas=(),
    )
    return LossImputing(ground, declared, imputing(wider, own))


def _followed_columns(ground: Ground, people: People) -> dict[str, FloatArray]:
    """R and R times the number of each exposure (n_all,); an exposure unknown to an eligible person has no product."""
    followed = np.zeros(ground.bench.cohort.n_all)
    followed[people.at[people.followed]] = 1.0
    out = {FOLLOWED: followed}
    for name in _numbers_of_exposures(ground.study):
        if not np.isnan(people.sample.columns[name]).any():
            centred = ground.bench.cohort.everyone[name] - people.sample.columns[name].mean()
            out[f"{FOLLOWED} x {name}"] = followed * np.nan_to_num(centred)
    return out


def _numbers_of_exposures(study: Study) -> list[str]:
    parts = [part for name in exposures_of(study) for part in study.exposures[name].cross or (name,)]
    return list(dict.fromkeys(v for part in parts if (v := study.exposures[part].variable)))


def _known_of_the_lost(ground: Ground, people: People, names: Sequence[str]) -> set[str]:
    """The variables that at least one of those lost has: those of baseline."""
    lost = people.at[~people.followed]
    return {n for n in names if not np.isnan(ground.bench.cohort.everyone[n][lost]).all()}
