"""SIMEX: what an exposure measured with still more error shows of what it would show without any.

Error of variance lambda v_i is added to each person's W_i (v_i that of the error it has, s_w / k_i), for lambda of a
grid, B times each; whatever is estimated (the coefficient per unit, the ratios of quartiles cut anew on each noisier
exposure, a spline curve) is averaged over the B, fitted as a function of lambda, and read off at lambda = -1:

    linear a + b l;  quadratic a + b l + c l^2;  rational a + b / (c + l)

The noise is normal with variance v_i, or (`empirical`) made of the person's own days: W_i + sqrt(lambda / k_i) sum_j
c_j x_ij with random contrasts c (sum 0, sum of squares 1), which needs neither normal nor equal variances; who has one
day gets normal noise of variance s_w. Variance of the result (Stefanski & Cook): the mean of the B estimated variances
less the variance of the B estimates, a function of lambda too, read off at -1; it takes s_w as known.

Extrapolation is an approximation: the curve is known where error was added and guessed where it is taken away. Where it
bends more than the extrapolant can, part of the bias stays. Errors are taken as unrelated to exposure, covariates and
outcome. References: Cook & Stefanski 1994, doi 10.1080/01621459.1994.10476871; Stefanski &
Cook 1995, doi 10.1080/01621459.1995.10476629; Carroll, Kuechenhoff, Lombard & Stefanski 1996,
doi 10.1080/01621459.1996.10476682; Devanarayan & Stefanski 2002, doi 10.1016/S0167-7152(02)00098-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import cut_fixed, cut_up, quantile_cuts
from walkrisk.models.fit import FAMILIES
from walkrisk.models.solver import inverse_information, maximise
from walkrisk.models.splines import restricted_cubic_basis

FloatArray = npt.NDArray[np.float64]
Extrapolant = Literal["linear", "quadratic", "rational"]
EXTRAPOLANTS: tuple[str, ...] = get_args(Extrapolant)
GRID = (0.5, 1.0, 1.5, 2.0)


class Form(Protocol):
    """How an exposure (n,) enters the model: its columns (n, c), and contrasts (e, c) of their coefficients."""

    def columns(self, exposure: FloatArray) -> FloatArray: ...

    def contrasts(self) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class PerUnit:
    """The exposure as it is, divided by `unit`."""

    unit: float = 1.0

    def columns(self, exposure: FloatArray) -> FloatArray:
        return exposure[:, None] / self.unit

    def contrasts(self) -> FloatArray:
        return np.eye(1)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Groups of equal size, cut anew on whatever exposure is given; the first is the reference."""

    groups: int

    def columns(self, exposure: FloatArray) -> FloatArray:
        group = cut_up(exposure, quantile_cuts(exposure, self.groups))
        return np.asarray(group[:, None] == np.arange(2, self.groups + 1), dtype=np.float64)

    def contrasts(self) -> FloatArray:
        return np.eye(self.groups - 1)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Categories by fixed limits, of which a value equal to one belongs above it; the first is the reference."""

    cuts: tuple[float, ...]

    def columns(self, exposure: FloatArray) -> FloatArray:
        group = cut_fixed(exposure, self.cuts)
        return np.asarray(group[:, None] == np.arange(2, len(self.cuts) + 2), dtype=np.float64)

    def contrasts(self) -> FloatArray:
        return np.eye(len(self.cuts))


@dataclass(frozen=True, slots=True)
class Spline:
    """A restricted cubic spline with fixed knots: its coefficients, of which `along` makes a curve."""

    knots: tuple[float, ...]

    def columns(self, exposure: FloatArray) -> FloatArray:
        return restricted_cubic_basis(exposure, self.knots)

    def contrasts(self) -> FloatArray:
        return np.eye(len(self.knots) - 1)

    def along(self, at: FloatArray, reference: float) -> FloatArray:
        """Contrasts (k, c) that make log ratios at the points `at` (k,) against the value `reference`."""
        points = restricted_cubic_basis(np.append(at, reference), self.knots)
        return np.asarray(points[:-1] - points[-1])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Noise:
    """The error a measured exposure (n,) has: `variance` (n,) of each, and for empirical noise the days (n, D)."""

    exposure: FloatArray
    variance: FloatArray
    days: FloatArray | None = None

    def noisier(self, size: float, rng: np.random.Generator) -> FloatArray:
        """The exposure with error of `size` (lambda) times its error variance added."""
        normal = np.sqrt(self.variance) * rng.standard_normal(len(self.exposure))
        if self.days is None:
            return np.asarray(self.exposure + np.sqrt(size) * normal)
        return np.asarray(self.exposure + np.sqrt(size) * np.where(self._several(), self._contrasts(rng), normal))

    def _several(self) -> npt.NDArray[np.bool_]:
        assert self.days is not None
        return np.asarray((~np.isnan(self.days)).sum(axis=1) > 1)

    def _contrasts(self, rng: np.random.Generator) -> FloatArray:
        """sum_j c_j x_ij / sqrt(k_i) (n,)."""
        assert self.days is not None
        known = ~np.isnan(self.days)
        k = np.maximum(known.sum(axis=1), 1)
        c = np.where(known, rng.standard_normal(self.days.shape), 0.0)
        c = np.where(known, c - (c.sum(axis=1) / k)[:, None], 0.0)
        length = np.sqrt((c * c).sum(axis=1))
        length[length == 0] = 1.0
        apart = np.where(known, self.days - self.exposure[:, None], 0.0)
        return np.asarray((c * apart).sum(axis=1) / (length * np.sqrt(k)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Replicates:
    """Estimates (b, e) of b noisier exposures at one lambda, their estimated variances (b, e); NaN: no maximum.

    `influence` (n, e) is what each person adds to the estimates, the mean over the b.
    """

    estimates: FloatArray
    variances: FloatArray
    influence: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Model:
    """The outcome model around the exposure: family by `method`, covariates z (n, p) with the intercept, y (n,)."""

    method: str
    z: FloatArray
    y: FloatArray
    form: Form
    weights: FloatArray | None = None

    def fit(self, exposure: FloatArray, start: FloatArray | None) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Coefficients (None: no maximum), estimates (e,) and their influence (n, e), of one exposure (n,)."""
        family = FAMILIES[self.method]
        columns = self.form.columns(exposure)
        x = np.asfortranarray(np.hstack([columns, self.z]))
        w = np.ones(len(self.y)) if self.weights is None else self.weights
        found = maximise(family, x, self.y, weights=w, start=start)
        contrasts = self.form.contrasts()
        if not found.converged:
            return None, np.full(len(contrasts), np.nan), np.full((len(x), len(contrasts)), np.nan)
        c = columns.shape[1]
        bread = inverse_information(family, x, self.y, found.eta, w)
        influence = x @ (bread[:, :c] @ contrasts.T) * (w * family.score(found.eta, self.y))[:, None]
        return found.coefficients, contrasts @ found.coefficients[:c], influence

    def alone(self, exposure: FloatArray, start: FloatArray | None = None) -> Replicates:
        """The estimates of the exposure as measured, in the form of one replicate; NaN without a maximum."""
        _, estimates, influence = self.fit(exposure, start)
        return Replicates(estimates=estimates[None], variances=(influence**2).sum(axis=0)[None], influence=influence)


def replicates(
    model: Model,
    noise: Noise,
    size: float,
    number: int,
    rng: np.random.Generator,
    *,
    start: FloatArray | None = None,
) -> Replicates:
    """`number` fits with error of `size` (lambda) added; each starts where the one before ended."""
    e = len(model.form.contrasts())
    estimates, variances = np.empty((number, e)), np.full((number, e), np.nan)
    total, fine = np.zeros((len(model.y), e)), 0
    for b in range(number):
        beta, estimates[b], influence = model.fit(noise.noisier(size, rng), start)
        if beta is None:
            continue
        start, fine = beta, fine + 1
        variances[b] = (influence**2).sum(axis=0)
        total += influence
    return Replicates(estimates=estimates, variances=variances, influence=total / max(fine, 1))


def joined(parts: Sequence[Replicates]) -> Replicates:
    """Replicates of one lambda, made in several parts, as one."""
    fine = np.array([int(np.all(np.isfinite(p.estimates), axis=1).sum()) for p in parts], dtype=np.float64)
    weight = fine / max(float(fine.sum()), 1.0)
    return Replicates(
        estimates=np.concatenate([p.estimates for p in parts]),
        variances=np.concatenate([p.variances for p in parts]),
        influence=np.asarray(sum(w * p.influence for w, p in zip(weight, parts, strict=True))),
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Read:
    """What one extrapolant reads off at lambda = -1, for e estimates.

    `corrected` (e,); `influence` (n, e), what each person adds to them, for any variance that is a sum over persons;
    `std_errors` (e,) by Stefanski & Cook, NaN for the rational one and where a variance comes out negative;
    `monte_carlo` (e,) the standard error that B, being finite, leaves; `parameters` (3, e) draw the curve
    (`extrapolated`). All NaN where a rational curve has no place for its pole beyond -1.
    """

    corrected: FloatArray
    influence: FloatArray
    std_errors: FloatArray
    monte_carlo: FloatArray
    parameters: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extrapolation:
    """The way to lambda = -1: `sizes` (m,) from 0 up, mean `estimates` (m, e), and what each extrapolant reads off.

    `failed` of the `made` fits had no maximum.
    """

    sizes: FloatArray
    estimates: FloatArray
    read: Mapping[str, Read]
    failed: int
    made: int


def extrapolate(
    naive: Replicates,
    sizes: Sequence[float],
    by_size: Sequence[Replicates],
    *,
    extrapolants: Sequence[str] = EXTRAPOLANTS,
) -> Extrapolation:
    """Estimates at lambda = -1 from those of the exposure as measured and of noisier ones by size.

    With f(l; g) fitted by least squares to the m mean estimates, J its derivatives by g, the corrected estimate is to
    first order sum_m r_m estimate_m, r = f'(-1) (J'J)^-1 J' (exactly for polynomials), and so is its influence.
    Raises ValueError for unknown extrapolants, too few sizes, or more than 5 % of fits without a maximum.
    """
    unknown = [name for name in extrapolants if name not in EXTRAPOLANTS]
    if unknown:
        raise ValueError(f"unknown extrapolant {unknown[0]!r}; choose from {', '.join(EXTRAPOLANTS)}")
    if len(sizes) < 3:
        raise ValueError("An extrapolation needs three sizes of added error or more; 0.5, 1, 1.5, 2 are usual.")
    fine: list[npt.NDArray[np.bool_]] = [np.all(np.isfinite(r.estimates), axis=1) for r in by_size]
    failed, made = sum(int((~f).sum()) for f in fine), sum(len(f) for f in fine)
    if failed > 0.05 * made or any(f.sum() < 2 for f in fine) or not np.isfinite(naive.estimates).all():
        raise ValueError(
            f"{failed} of {made} fits with added error have no maximum (a category without cases), so their mean says "
            "nothing; take fewer categories or covariates."
        )
    kept = [r.estimates[f] for r, f in zip(by_size, fine, strict=True)]
    spread = [e.var(axis=0, ddof=1) for e in kept]
    model = [r.variances[f].mean(axis=0) for r, f in zip(by_size, fine, strict=True)]
    steps = _Steps(
        sizes=np.array([0.0, *sizes]),
        estimates=np.stack([naive.estimates[0], *(e.mean(axis=0) for e in kept)]),
        differences=np.stack([naive.variances[0], *(m - s for m, s in zip(model, spread, strict=True))]),
        finite=np.stack([np.zeros_like(spread[0]), *(s / len(e) for s, e in zip(spread, kept, strict=True))]),
        influence=np.stack([naive.influence, *(r.influence for r in by_size)]),
    )
    return Extrapolation(
        sizes=steps.sizes,
        estimates=steps.estimates,
        read={name: _read(name, steps) for name in extrapolants},
        failed=failed,
        made=made,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Steps:
    """By lambda (m, ...): estimates, Stefanski & Cook's differences of variances, Monte Carlo variances, influence."""

    sizes: FloatArray
    estimates: FloatArray
    differences: FloatArray
    finite: FloatArray
    influence: FloatArray


def _read(name: str, steps: _Steps) -> Read:
    l = steps.sizes  # noqa: E741 - lambda
    parameters = np.stack([EXTRAPOLATE[name](l, column) for column in steps.estimates.T], axis=1)
    reading = np.stack([_reading(name, l, column) for column in parameters.T], axis=1)
    errors = np.full(parameters.shape[1], np.nan)
    if name != "rational":
        found = np.stack([EXTRAPOLATE[name](l, column) for column in steps.differences.T], axis=1)
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(extrapolated(name, found, -1.0))
    return Read(
        corrected=extrapolated(name, parameters, -1.0),
        influence=np.einsum("me,mne->ne", reading, steps.influence),
        std_errors=errors,
        monte_carlo=np.sqrt((reading**2 * steps.finite).sum(axis=0)),
        parameters=parameters,
    )


def _reading(name: str, l: FloatArray, parameters: FloatArray) -> FloatArray:  # noqa: E741
    """r (m,): what the estimate at each lambda adds to the one read off at -1."""
    if not np.isfinite(parameters).all():
        return np.full(len(l), np.nan)
    derivatives = _derivatives(name, np.append(l, -1.0), parameters)
    return np.asarray(derivatives[-1] @ np.linalg.pinv(derivatives[:-1]))


def weight_as_measured(name: str, sizes: Sequence[float]) -> float:
    """What the estimate as measured weighs in a linear or quadratic one read off at -1, `sizes` of added error > 0."""
    if name not in ("linear", "quadratic"):
        raise ValueError(
            f"The weights of the extrapolant {name!r} depend on the estimates; linear or quadratic do not."
        )
    return float(_reading(name, np.array([0.0, *sizes]), np.zeros(3))[0])


def _derivatives(name: str, l: FloatArray, parameters: FloatArray) -> FloatArray:  # noqa: E741
    if name != "rational":
        return np.vander(l, 3 if name == "quadratic" else 2, increasing=True)
    _, b, c = parameters
    return np.column_stack([np.ones_like(l), 1 / (c + l), -b / (c + l) ** 2])


def extrapolated(name: str, parameters: FloatArray, size: float | FloatArray) -> FloatArray:
    """The curve of an extrapolant with `parameters` (3, ...) at `size`."""
    a, b, c = parameters
    if name == "rational":
        return np.asarray(a + b / (c + size))
    return np.asarray(a + b * size + c * np.square(size))


def _polynomial(degree: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
    def fit(l: FloatArray, y: FloatArray) -> FloatArray:  # noqa: E741
        out = np.zeros(3)
        if np.isfinite(y).all():
            out[: degree + 1] = np.linalg.lstsq(np.vander(l, degree + 1, increasing=True), y, rcond=None)[0]
        else:
            out[:] = np.nan
        return out

    return fit


def _rational(l: FloatArray, y: FloatArray) -> FloatArray:  # noqa: E741
    """Least squares of a + b / (c + l), by a search over c alone (a and b are then linear), c + l of one sign.

    NaN where the best pole is at -1 or beyond, which is where nothing can be read off.
    """
    from scipy import optimize

    none = np.full(3, np.nan)
    if not np.isfinite(y).all():
        return none
    if np.ptp(y) <= 1e-12 * max(1.0, float(np.abs(y).max())):
        return np.array([float(y.mean()), 0.0, 2.0])

    def at(log_c: float) -> tuple[float, FloatArray, float]:
        c = 1.0 + float(np.exp(log_c))
        columns = np.column_stack([np.ones_like(l), 1 / (c + l)])
        ab = np.asarray(np.linalg.lstsq(columns, y, rcond=None)[0], dtype=np.float64)
        return c, ab, float(((y - columns @ ab) ** 2).sum())

    grid = np.linspace(-7, 6, 53)
    best = int(np.argmin([at(g)[2] for g in grid]))
    if best == 0:
        return none
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(lambda g: at(g)[2], bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    c, ab, _ = at(float(found.x))
    return np.array([ab[0], ab[1], c])


EXTRAPOLATE: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "linear": _polynomial(1),
    "quadratic": _polynomial(2),
    "rational": _rational,
}
