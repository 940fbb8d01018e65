"""Bootstrap intervals of standardised risks and their contrasts: the model refitted in every resample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.bootstrap import BootstrapIntervals, bootstrap_intervals
from walkrisk.estimates.resampled_risks import bootstrap_risks, jackknife_risks
from walkrisk.estimates.risk_contrasts import Quantity, RiskContrast, contrasts_of_risks, number_needed
from walkrisk.estimates.standardisation import StandardisedRisks, fit_weights, risk_influence, standardise
from walkrisk.models.batch_solver import FAMILIES as BATCHED
from walkrisk.models.covariance import totals
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.resampling import Seed, jackknife_influence, resampling

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]

EXACT_JACKKNIFE = 2000  # people or clusters up to whom BCa leaves each out; above, their infinitesimal influence


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrappedContrasts:
    """Risks of the levels and their contrasts with bootstrap limits and standard errors (P values are NaN).

    Of `replicates` resamples, `failed` lack the risk of some level; `warnings` has a sentence for each thing to know,
    those of `standardise` included.
    """

    levels: tuple[str, ...]
    risks: tuple[Quantity, ...]
    contrasts: tuple[RiskContrast, ...]
    replicates: int
    failed: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Sample:
    """What is resampled."""

    fit: Fit
    scenarios: Mapping[str, Design]
    risks: StandardisedRisks
    y: FloatArray
    w: FloatArray
    population: npt.NDArray[np.generic] | None
    cluster: Labels | None
    strata: Labels | None

    @property
    def batched(self) -> bool:
        """Whether the kernel's batches may refit it: no one set aside, and every risk determined."""
        whole = bool(self.fit.rows[self.w > 0].all()) and not self.risks.unknown.any()
        return self.fit.method in BATCHED and whole

    def arrays(self) -> tuple[str, FloatArray, FloatArray, list[FloatArray]]:
        """Method, design, outcome and counterfactual designs, for the batches."""
        at = self.fit.estimated
        designs = [d.matrix[:, at] for d in self.scenarios.values()]
        return self.fit.method, self.fit.design.matrix[:, at], self.y, designs


def bootstrapped_contrasts(
    fit: Fit,
    scenarios: Mapping[str, Design],
    *,
    y: FloatArray,
    seed: Seed,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: Labels | None = None,
    strata: Labels | None = None,
    reference: str | None = None,
    pairwise: bool = False,
    kind: str = "percentile",
    replicates: int = 2000,
    conf_level: float = 0.95,
) -> BootstrappedContrasts:
    """Standardised risks, ratios, differences and numbers needed with percentile, bca, basic or normal limits.

    People, or whole clusters (n,), are drawn with replacement, within strata (n,) if given; each resample refits the
    model of `fit` and averages over its own people, so that the sampling of covariates is in the limits. They are made
    on the scales of the risk, the log ratios and the risk difference. The influence that BCa needs is delete-one up to
    2,000 people or clusters, infinitesimal above. Logistic and modified Poisson models are refitted in batches; other
    models, and data with people set aside from the fit, one by one. The same seed gives the same limits.

    Raises ValueError as `standardise` and `bootstrap_intervals` do. Reference: Efron 1987
    doi 10.1080/01621459.1987.10478410.
    """
    w = fit_weights(fit, weights)
    risks = standardise(fit, scenarios, y=y, weights=weights, population=population)
    sample = _Sample(
        fit=fit, scenarios=scenarios, risks=risks, y=y, w=w, population=population, cluster=cluster, strata=strata
    )
    drawn = np.full((0, len(risks.levels)), np.nan)
    if np.isfinite(risks.risks).any():
        drawn = (_by_batches if sample.batched else _one_by_one)(sample, seed, replicates)
    around = _leverage(sample) if kind == "bca" and len(drawn) else None
    limits = _Limits(risks, drawn, around, kind, conf_level)
    places = range(len(risks.levels))
    base = 0 if reference is None else risks.position(reference)
    pairs = [(b, a) for a, b in combinations(places, 2)] if pairwise else [(k, base) for k in places if k != base]
    own = tuple(limits.of((k,), "risk") for k in places)
    made = tuple(limits.contrast(pair) for pair in pairs)
    return BootstrappedContrasts(
        levels=risks.levels,
        risks=own,
        contrasts=made,
        replicates=len(drawn),
        failed=int((~np.isfinite(drawn).all(axis=1)).sum()),
        warnings=(*risks.warnings, *limits.sentences),
    )


def _by_batches(sample: _Sample, seed: Seed, replicates: int) -> FloatArray:
    found = bootstrap_risks(
        *sample.arrays(),
        replicates=replicates,
        seed=seed,
        weights=sample.w,
        population=sample.population,
        cluster=sample.cluster,
        strata=sample.strata,
    )
    return found.risks


def _one_by_one(sample: _Sample, seed: Seed, replicates: int) -> FloatArray:
    draw = resampling(len(sample.y), seed, cluster=sample.cluster, strata=sample.strata)
    return np.array([_refitted(sample, draw.weights(r, r + 1)[0] * sample.w) for r in range(replicates)])


def _refitted(sample: _Sample, w: FloatArray) -> FloatArray:
    """Risks (L,) under other weights; NaN where there are none."""
    v = w if sample.population is None else w * np.asarray(sample.population).astype(np.float64)
    if not v.any():
        return np.full(len(sample.risks.levels), np.nan)
    fit = fit_model(sample.fit.method, sample.fit.design, sample.y, weights=w)
    return standardise(fit, sample.scenarios, y=sample.y, weights=w, population=sample.population).risks


def _leverage(sample: _Sample) -> tuple[FloatArray, bool]:
    """Risks (units, L) with each unit left out and True, or, for many units, their influence and False."""
    units = np.arange(len(sample.y)) if sample.cluster is None else np.unique(sample.cluster, return_inverse=True)[1]
    number = units.reshape(-1)
    count = int(number.max()) + 1
    if count > EXACT_JACKKNIFE:
        return totals(risk_influence(sample.risks, sample.fit, "HC0"), number, count), False
    if sample.batched:
        left = jackknife_risks(*sample.arrays(), weights=sample.w, population=sample.population, cluster=sample.cluster)
        return left.risks, True
    return np.array([_refitted(sample, np.where(number == unit, 0.0, sample.w)) for unit in range(count)]), True


def _statistic(name: str, m: FloatArray) -> FloatArray:
    """A statistic (R,) of replicated risks (R, 1), or (R, 2), level then reference."""
    return m[:, 0] if name == "risk" else contrasts_of_risks(m, reference=1)[name][:, 0]


def _slopes(name: str, m: FloatArray) -> FloatArray:
    """The derivatives of a statistic by the risks m (1,) or (2,)."""
    sign = np.array([1.0, -1.0])[: len(m)]
    return sign / {"log_risk_ratio": m, "log_odds_ratio": m * (1 - m)}.get(name, np.ones_like(m))


class _Limits:
    """Limits of statistics of the risks, and what there is to say of them."""

    def __init__(
        self,
        risks: StandardisedRisks,
        drawn: FloatArray,
        around: tuple[FloatArray, bool] | None,
        kind: str,
        conf_level: float,
    ) -> None:
        self.risks, self.drawn, self.around, self.kind, self.conf_level = risks, drawn, around, kind, conf_level
        self.sentences: list[str] = []

    def contrast(self, pair: tuple[int, int]) -> RiskContrast:
        """The contrast of two levels, level then reference."""
        difference = self.of(pair, "risk_difference")
        return RiskContrast(
            level=self.risks.levels[pair[0]],
            reference=self.risks.levels[pair[1]],
            risk_ratio=_exponentiated(self.of(pair, "log_risk_ratio")),
            risk_difference=difference,
            odds_ratio=_exponentiated(self.of(pair, "log_odds_ratio")),
            number_needed=number_needed(difference.estimate, difference.conf_low, difference.conf_high),
        )

    def of(self, places: tuple[int, ...], name: str) -> Quantity:
        """One statistic of the risks at `places`, on its own scale."""
        at = list(places)
        estimate = _statistic(name, self.risks.risks[None, at])
        if not math.isfinite(estimate[0]) or not len(self.drawn) or self.risks.exact[at].any():
            return Quantity(estimate=float(estimate[0]))
        made = bootstrap_intervals(
            _statistic(name, self.drawn[:, at])[:, None],
            estimate,
            kind=self.kind,
            conf_level=self.conf_level,
            influence=self._influence(at, name, estimate),
        )
        self._say(made, " against ".join(f"'{self.risks.levels[k]}'" for k in places))
        return Quantity(
            estimate=float(estimate[0]),
            std_error=float(made.std_error[0]),
            conf_low=float(made.conf_low[0]),
            conf_high=float(made.conf_high[0]),
        )

    def _influence(self, at: list[int], name: str, estimate: FloatArray) -> FloatArray | None:
        if self.around is None:
            return None
        values, left_out = self.around
        if left_out:
            return jackknife_influence(_statistic(name, values[:, at])[:, None], estimate)
        return np.asarray((values[:, at] @ _slopes(name, self.risks.risks[at]))[:, None])

    def _say(self, made: BootstrapIntervals, what: str) -> None:
        for sentence in made.sentences:
            said = sentence.replace("Statistic 1", f"The contrast of {what}" if "against" in what else f"Level {what}")
            if said not in self.sentences:
                self.sentences.append(said)


def _exponentiated(q: Quantity) -> Quantity:
    with np.errstate(over="ignore"):
        middle, low, high = (float(np.exp(x)) for x in (q.estimate, q.conf_low, q.conf_high))
    return Quantity(estimate=middle, std_error=q.std_error, conf_low=low, conf_high=high)
