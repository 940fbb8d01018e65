"""What a reader must know of a solved model, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from walkrisk.models.constrained import Certificate
from walkrisk.models.design import INTERCEPT, Design
from walkrisk.models.solver import Family, Link, Solution

FloatArray = npt.NDArray[np.float64]

LARGEST = 700.0  # whose exponential is a number
FEW_EVENTS = 5  # per coefficient
_UNEVEN = " (it takes weights for numbers of people, and people for independent)"
MEASURES: Mapping[Link, str] = {"log": "ratios", "logit": "ratios", "identity": "differences"}


def said(
    method: str,
    family: Family,
    fitted: tuple[FloatArray, FloatArray, FloatArray],
    solution: Solution,
    certificate: Certificate,
    converged: bool,
    coefficients: int,
) -> list[str]:
    """What a reader must know of a solved model."""
    mean, y, w = fitted
    even = bool(np.all(w == 1))
    top, events, said = float(mean.max()), int(y.sum()), []
    if not converged:
        said.append(_not_converged(method, solution.iterations, solution.relative_score, top))
    if certificate.verdict == "boundary":
        said.append(_on_boundary(family, certificate, mean, even))
    if certificate.flat.any():
        said.append("The same highest likelihood has several values of some coefficients, which are not estimable.")
    if family.name in ("poisson", "identity_poisson") and top > 1:
        kept = "risk ratios stay" if family.name == "poisson" else "risk differences stay"
        said.append(
            f"{int((mean > 1).sum())} fitted risks exceed 1 (largest {top:.3f}); {kept} consistent, predicted risks do "
            "not."
        )
    if family.name == "linear" and (out := int(((mean < 0) | (mean > 1)).sum())):
        said.append(
            f"{out} fitted risks are below 0 or above 1 (from {mean.min():.3f} to {top:.3f}); risk differences stay "
            "consistent, predicted risks do not."
        )
    if events < FEW_EVENTS * coefficients:
        said.append(
            f"{events} events for {coefficients} coefficient{'s' * (coefficients > 1)}: with fewer than {FEW_EVENTS} "
            f"events each, {MEASURES[family.link]} are unstable and robust intervals too narrow."
        )
    return said


def _on_boundary(family: Family, certificate: Certificate, mean: FloatArray, even: bool) -> str:
    people, patterns = int(certificate.active.sum()), certificate.active_patterns
    at = mean[certificate.active]
    where = "1" if np.all(at > 0.5) else "0" if np.all(at < 0.5) else "0 or 1"
    who = f"{people} people in {patterns} covariate patterns have"
    if patterns == 1:
        who = (
            f"{people} {'people' if people > 1 else 'person'} in 1 covariate pattern {'have' if people > 1 else 'has'}"
        )
    return (
        f"{who} a fitted risk of {where}: the maximum lies on the boundary, where standard errors do not hold, so "
        f"limits and P values are by profile likelihood{'' if even else _UNEVEN}."
    )


def collinear_sentence(design: Design, independent: npt.NDArray[np.intp]) -> list[str]:
    """The columns left out because they say nothing that earlier ones do not."""
    gone = [c for c in range(len(design.names)) if c not in independent]
    zero = [design.names[c] for c in gone if not design.matrix[:, c].any()]
    spanned = [design.names[c] for c in gone if design.matrix[:, c].any()]
    why = "a combination of earlier columns, so left out (the later of collinear columns goes)"
    said = [f"{', '.join(zero)}: 0 for everyone, so left out."] if zero else []
    return [*said, f"{', '.join(spanned)}: {why}."] if spanned else said


def overflowing(names: tuple[str, ...], coefficients: FloatArray, link: Link) -> list[str]:
    """Columns whose ratio per unit overflows."""
    large = [name for name, b in zip(names, coefficients, strict=True) if abs(b) > LARGEST and name != INTERCEPT]
    if link == "identity" or not large:
        return []
    return [f"{', '.join(large)}: the ratio per unit is no number; enter it in units as large as its differences."]


def _not_converged(method: str, iterations: int, score: float, top: float) -> str:
    where = f", largest fitted risk {top:.4f}" if method == "log_binomial" else ""
    instead = "Fewer or coarser covariates may help, or others in their place."
    if method == "log_binomial":
        instead = "Modified Poisson of the same model needs no such maximum."
    return (
        f"The {method.replace('_', '-')} fit did not converge ({iterations} iterations, "
        f"relative score {score:.1e}{where}); no estimate is given. {instead}"
    )
