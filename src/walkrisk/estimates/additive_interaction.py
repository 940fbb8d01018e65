"""Additive interaction: RERI, AP and the synergy index, for every pair of levels of two exposures.

With R10, R01 and R11 the risk ratios of each exposure alone and of both, against neither:

    RERI = R11 - R10 - R01 + 1        AP = RERI/R11        S = (R11 - 1)/(R10 + R01 - 2)

Limits by the delta method (S on the log scale), by MOVER, which recovers the variances from the asymmetric limits of
the risk ratios, or from bootstrap replicates. P values are two-sided, of RERI = 0, AP = 0 and log S = 0.

References: Rothman 1986, Modern Epidemiology; Hosmer & Lemeshow 1992 doi 10.1097/00001648-199209000-00012; Zou 2008
doi 10.1093/aje/kwn104 (MOVER); Knol et al. 2007 doi 10.1007/s10654-007-9157-7 (continuous exposures); Knol et al. 2011
doi 10.1007/s10654-011-9554-9 (preventive exposures); Knol & VanderWeele 2012 doi 10.1093/ije/dyr218 (presentation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.joint_effects import JointEffects
from walkrisk.estimates.rows import critical_value, two_sided_p
from walkrisk.estimates.two_by_two import Interval

FloatArray = npt.NDArray[np.float64]

MEASURES = ("reri", "ap", "synergy")
CANCELLED = 1e-9  # an excess risk smaller than this is none


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditiveInteraction:
    """RERI, AP and S of one pair of levels against the joint reference, with the three ratios they are made of.

    `ratios` is R10, R01, R11 (Wald on the log). `reri`, `ap`: delta, mover; `synergy`: delta; of each the estimate is
    None where it does not exist, with the reason in `sentences`. `preventive`: R10 or R01 is below 1, so that the
    measures call for another reference (`recoded`).
    """

    first_level: str
    second_level: str
    reference: str
    ratios: tuple[Interval, Interval, Interval]
    reri: Mapping[str, Interval]
    ap: Mapping[str, Interval]
    synergy: Mapping[str, Interval]
    preventive: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithRecoding:
    """The measures as declared and, if an exposure is preventive there, beside them those after recoding.

    `recoded` takes as joint reference the cell of lowest risk (None if that is the declared one); `sentence` says so.
    """

    declared: tuple[AdditiveInteraction, ...]
    recoded: tuple[AdditiveInteraction, ...] | None
    recoded_reference: str
    sentence: str


def additive_interaction(
    joint: JointEffects, *, reference: tuple[int, int] = (0, 0), conf_level: float = 0.95
) -> tuple[AdditiveInteraction, ...]:
    """RERI, AP and S of each pair of levels other than those of the joint `reference`.

    Raises ValueError for joint effects on the identity scale, whose additive interaction is the interaction contrast
    (`multiplicative_interaction` of it), or a confidence level outside (0, 1).
    """
    if joint.scale == "identity":
        raise ValueError(
            "RERI, AP and S are of ratios; of risk differences take the interaction contrast, or give the joint risks "
            "on the log scale."
        )
    if not 0 < conf_level < 1:
        raise ValueError(f"The confidence level must lie between 0 and 1, got {conf_level:g}.")
    r, s = reference
    return tuple(
        _of_pair(joint, (i, j), reference, conf_level)
        for i in range(joint.shape[0])
        for j in range(joint.shape[1])
        if i != r and j != s
    )


def with_recoding(joint: JointEffects, *, conf_level: float = 0.95) -> WithRecoding:
    """The measures as declared, and after recoding the joint level of lowest risk as reference (Knol et al. 2011)."""
    declared = additive_interaction(joint, conf_level=conf_level)
    lowest = lowest_risk(joint)
    label = _label(joint, lowest)
    if lowest == (0, 0) or not any(row.preventive for row in declared):
        return WithRecoding(declared=declared, recoded=None, recoded_reference="", sentence="")
    sentence = (
        f"Beside the declared measures, against {_label(joint, (0, 0))}, stand those with the level of lowest risk, "
        f"{label}, as reference."
    )
    recoded = additive_interaction(joint, reference=lowest, conf_level=conf_level)
    return WithRecoding(declared=declared, recoded=recoded, recoded_reference=label, sentence=sentence)


def lowest_risk(joint: JointEffects) -> tuple[int, int]:
    """The joint level with the lowest estimable risk among those comparable with the declared reference."""
    comparable = joint.group == joint.group[0, 0]
    value = np.where(comparable & np.isfinite(joint.value), joint.value, np.inf)
    i, j = np.unravel_index(int(np.argmin(value)), joint.shape)
    return (int(i), int(j)) if np.isfinite(value[i, j]) else (0, 0)


def _label(joint: JointEffects, cell: tuple[int, int]) -> str:
    return f"{joint.first_labels[cell[0]]}/{joint.second_labels[cell[1]]}"


def _of_pair(
    joint: JointEffects, cell: tuple[int, int], reference: tuple[int, int], conf_level: float
) -> AdditiveInteraction:
    (i, j), (r, s) = cell, reference
    contrasts = [joint.contrast([to], [reference]) for to in ((i, s), (r, j), (i, j))]
    names = (joint.first_labels[i], joint.second_labels[j], _label(joint, reference))
    known = [c for c in contrasts if c is not None]
    if len(known) < len(contrasts):
        gone = [_label(joint, to) for to, c in zip(((i, s), (r, j), (i, j)), contrasts, strict=True) if c is None]
        return _nothing(
            names, f"Not estimable: {', '.join(gone)} cannot be compared with {names[2]} (nobody there, or no cases)."
        )
    theta, v = joint.estimate(known)
    if not np.isfinite(theta).all() or np.abs(theta).max() > 300:
        return _nothing(names, "Not estimable: a joint ratio is not finite.")
    said = []
    if joint.method == "cox":
        said.append("Hazard ratios stand for risk ratios here, which is near only if the outcome is rare in each cell.")
    if not np.isfinite(v).all():
        v = np.zeros((3, 3))
        said.append("The fit has no Wald variance (its maximum lies on the boundary): take bootstrap limits.")
    if joint.scale == "logit":
        said.append("Odds ratios stand for risk ratios here, which is near only if the outcome is rare in every cell.")
    return measures(theta, v, conf_level=conf_level, names=names, sentences=said)


def _nothing(names: tuple[str, str, str], sentence: str) -> AdditiveInteraction:
    empty = {"delta": Interval(method="delta"), "mover": Interval(method="mover")}
    wald = Interval(method="wald")
    return AdditiveInteraction(
        first_level=names[0],
        second_level=names[1],
        reference=names[2],
        ratios=(wald, wald, wald),
        reri=empty,
        ap=empty,
        synergy={"delta": empty["delta"]},
        preventive=False,
        sentences=(sentence,),
    )


def measures(
    theta: FloatArray,
    covariance: FloatArray,
    *,
    conf_level: float = 0.95,
    names: tuple[str, str, str] = ("", "", ""),
    sentences: Sequence[str] = (),
) -> AdditiveInteraction:
    """RERI, AP and S from log ratios theta = (log R10, log R01, log R11) and their covariance (3, 3)."""
    theta, v = np.asarray(theta, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if theta.shape != (3,) or v.shape != (3, 3) or not (np.isfinite(theta).all() and np.isfinite(v).all()):
        raise ValueError("Additive interaction needs three finite log ratios (R10, R01, R11) and their covariance.")
    z, said = critical_value(conf_level), list(sentences)
    r10, r01, r11 = (float(x) for x in np.exp(theta))
    se = np.sqrt(np.maximum(np.diag(v), 0.0))
    reri, ap = r11 - r10 - r01 + 1, (r11 - r10 - r01 + 1) / r11
    reri_slope = np.array([-r10, -r01, r11])
    ap_slope = np.array([-r10, -r01, r10 + r01 - 1]) / r11
    preventive = min(r10, r01) < 1
    if preventive:
        said.append(
            "An exposure is preventive against this reference: RERI, AP and S are hard to read then; see the measures "
            "with the level of lowest risk as reference."
        )
    synergy, why = _synergy((r10, r01, r11), v, z)
    if why:
        said.append(why)
    return AdditiveInteraction(
        first_level=names[0],
        second_level=names[1],
        reference=names[2],
        ratios=tuple(_ratio(t, s, z) for t, s in zip(theta, se, strict=True)),  # type: ignore[arg-type]
        reri={"delta": _delta(reri, reri_slope, v, z), "mover": _mover(theta, v, np.array([-1.0, -1.0, 1.0]), 1.0, z)},
        ap={"delta": _delta(ap, ap_slope, v, z), "mover": _mover_of_ap(theta, v, z)},
        synergy={"delta": synergy},
        preventive=preventive,
        sentences=tuple(said),
    )


def _ratio(log_ratio: float, se: float, z: float) -> Interval:
    if se == 0:
        return Interval(method="wald", estimate=math.exp(log_ratio))
    low, middle, high = (math.exp(min(log_ratio + k * se, 700.0)) for k in (-z, 0.0, z))
    p = two_sided_p(log_ratio / se)
    return Interval(method="wald", estimate=middle, std_error=float(se), low=low, high=high, p_value=p)


def _delta(value: float, slope: FloatArray, v: FloatArray, z: float) -> Interval:
    se = math.sqrt(max(float(slope @ v @ slope), 0.0))
    if se == 0:
        return Interval(method="delta", estimate=value)
    return Interval(
        method="delta",
        estimate=value,
        std_error=se,
        low=value - z * se,
        high=value + z * se,
        p_value=two_sided_p(value / se),
    )


def _mover(theta: FloatArray, v: FloatArray, sign: FloatArray, constant: float, z: float) -> Interval:
    """Limits of constant + sum sign_k exp(theta_k) from the log-symmetric limits of each term and their correlations.

    With e_k the distance of term k from the limit that pulls the sum down, L = value - sqrt(sum r_km e_k e_m), r_km the
    correlation of the log ratios with the signs of both terms; the upper limit likewise.
    """
    se = np.sqrt(np.maximum(np.diag(v), 0.0))
    value = constant + float(sign @ np.exp(theta))
    if not (se > 0).all():
        return Interval(method="mover", estimate=value)
    correlation = v / np.outer(se, se) * np.outer(sign, sign)
    down = np.exp(theta) - np.exp(theta - z * se)
    up = np.exp(theta + z * se) - np.exp(theta)
    below, above = np.where(sign > 0, down, up), np.where(sign > 0, up, down)
    low = value - math.sqrt(max(float(below @ correlation @ below), 0.0))
    high = value + math.sqrt(max(float(above @ correlation @ above), 0.0))
    return Interval(method="mover", estimate=value, low=low, high=high)


def _mover_of_ap(theta: FloatArray, v: FloatArray, z: float) -> Interval:
    """AP = 1 - R10/R11 - R01/R11 + 1/R11, by MOVER of these three ratios."""
    turn = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, -1.0]])
    return _mover(turn @ theta, turn @ v @ turn.T, np.array([-1.0, -1.0, 1.0]), 1.0, z)


def _synergy(ratios: tuple[float, float, float], v: FloatArray, z: float) -> tuple[Interval, str]:
    """S with limits on its log, if both excess risks have one sign; else why not."""
    r10, r01, r11 = ratios
    joint, alone = r11 - 1, r10 + r01 - 2
    if abs(joint) < CANCELLED or abs(alone) < CANCELLED:
        return Interval(method="delta"), "S is not defined: an excess risk is 0, so there is nothing to divide."
    if joint * alone < 0:
        return (
            Interval(method="delta"),
            "S is not defined: the excess risk of both exposures and the sum of those of each alone differ in sign.",
        )
    why = ""
    if joint < 0:
        why = "Both excess risks in S are negative: S above 1 means a larger joint reduction of risk, not of excess."
    slope = np.array([-r10 / alone, -r01 / alone, r11 / joint])
    se, log = math.sqrt(max(float(slope @ v @ slope), 0.0)), math.log(joint / alone)
    if se == 0 or abs(log) + z * se > 700:
        return Interval(method="delta", estimate=joint / alone), why
    low, high = math.exp(log - z * se), math.exp(log + z * se)
    return (
        Interval(
            method="delta", estimate=joint / alone, std_error=se, low=low, high=high, p_value=two_sided_p(log / se)
        ),
        why,
    )


def replicated_ratios(
    joint: JointEffects, coefficients: FloatArray, cell: tuple[int, int], *, reference: tuple[int, int] = (0, 0)
) -> FloatArray:
    """log R10, R01, R11 (B, 3) of one pair from replicates (B, p) of the coefficients of the design of `joint`.

    A coefficient that was not estimated counts as it does in the fit, not at all; one that a replicate lacks makes
    this replicate NaN. Raises ValueError if the joint effects are of risks, or the pair is not estimable.
    """
    if joint.rows is None:
        raise ValueError("Joint effects of risks have no coefficients; give the replicates of the risks instead.")
    (i, j), (r, s) = cell, reference
    contrasts = [joint.contrast([to], [reference]) for to in ((i, s), (r, j), (i, j))]
    if any(c is None for c in contrasts):
        raise ValueError("This pair of levels is not estimable in the data, so its replicates mean nothing.")
    weights = np.array([c for c in contrasts if c is not None]) @ joint.rows
    used = (weights != 0).any(axis=0)
    return np.asarray(coefficients[:, used] @ weights[:, used].T)


def replicated_measures(log_ratios: FloatArray) -> FloatArray:
    """RERI, AP and S (B, 3) of replicated log ratios (B, 3); S is NaN where it is not defined."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        r10, r01, r11 = np.exp(np.asarray(log_ratios, dtype=np.float64)).T
        reri, joint, alone = r11 - r10 - r01 + 1, r11 - 1, r10 + r01 - 2
        synergy = np.where(joint * alone > 0, joint / alone, np.nan)
        return np.column_stack([reri, reri / r11, np.where(np.isfinite(joint + alone), synergy, np.nan)])


def percentile_limits(
    replicates: FloatArray, estimates: Sequence[float | None], *, conf_level: float = 0.95, most_lost: float = 0.05
) -> tuple[dict[str, Interval], tuple[str, ...]]:
    """Percentile limits of RERI, AP and S from replicates (B, 3), with a sentence on those that had to be left out.

    A measure that more than `most_lost` of the replicates lack has no limits: those left would be a selection.
    """
    out, said = {}, []
    tail = (1 - conf_level) / 2
    for k, name in enumerate(MEASURES):
        values, estimate = replicates[:, k], estimates[k]
        kept = values[np.isfinite(values)]
        lost = len(values) - len(kept)
        if lost:
            said.append(f"{lost} of {len(values)} bootstrap replicates have no {name}.")
        if estimate is None or len(kept) < 2 or lost > most_lost * len(values):
            out[name] = Interval(method="percentile", estimate=estimate)
            continue
        low, high = (float(x) for x in np.quantile(kept, [tail, 1 - tail]))
        se = float(kept.std(ddof=1))
        out[name] = Interval(method="percentile", estimate=estimate, std_error=se, low=low, high=high)
    return out, tuple(said)
