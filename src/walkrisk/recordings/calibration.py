"""Calibration of an accelerometer against gravity, from the windows in which it lay still.

A still sensor measures 1 g whichever way it is turned. Van Hees et al. 2014 (doi 10.1152/japplphysiol.00421.2014) find
the gains, offsets and offsets per degree that bring the still points of an ordinary recording closest to that sphere.
Here the same distance is minimised with what is known of such devices before the recording is seen (a prior), so
that a sensor that was never turned one way is calibrated as far as its data reach, and says how far that is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option
from walkrisk.recordings.recording import AxesArray, FloatArray
from walkrisk.recordings.windows import Windows

AXES = "xyz"
NAMES = tuple(f"{kind} {axis}" for kind in ("gain", "offset", "temperature slope") for axis in AXES)
COVERED_G = 0.3
LARGEST_GAIN_ERROR, LARGEST_OFFSET_G, LARGEST_DISTANCE_G = 0.2, 0.4, 0.5
HUBER = 1.5
NOISE_FLOOR_MG, NOISE_FIRST_MG = 1.0, 10.0
FIRST_STEPS, STEPS = 8, 60
IDENTITY = np.repeat([1.0, 0.0, 0.0], 3)

Verdict = Literal["full", "partial", "offset only", "poor", "not needed", "previous", "not possible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings:
    """How the sensors are calibrated against gravity."""

    still_sd_mg: float = option(13.0, doc="A window is still when the SD of every axis is below this.")
    min_still: int = option(6, doc="Fewest still windows to calibrate from.")
    relaxed_sd_mg: float = option(30.0, doc="The limit instead of still_sd_mg where too few windows are still.")
    cell_g: float = option(0.1, doc="Still windows within a cell of this size count together as one orientation.")
    gain_sd: float = option(0.015, doc="SD of gains about 1 among devices, known beforehand.")
    offset_sd_mg: float = option(80.0, doc="SD of offsets about 0 among devices, known beforehand.")
    slope_sd_mg_c: float = option(1.0, doc="SD of the offset's change per degree among devices, known beforehand.")
    session_gain_sd: float = option(0.003, doc="SD of a device's gain between two sessions.")
    session_offset_sd_mg: float = option(5.0, doc="SD of a device's offset between two sessions.")
    certain_mg: float = option(5.0, doc="A direction is calibrated when its remaining SD is at most this.")
    good_mg: float = option(10.0, doc="A larger error after calibration is called poor.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """c = gain * v + offset_g + slope_g_c * (T - reference_c), and how well it is known.

    `covariance` (9, 9) of (gain, offset, slope); `lowest_g`, `highest_g` (3,) the still means covered;
    `ends_mg` (2, 3) the SD left of a reading of -1 g (row 0) and +1 g (row 1) on each axis; `typical_mg` the root mean
    square SD of a corrected vector over all directions; errors are the mean distance of still orientations from 1 g;
    `undetermined` names what the recording said little about (its SD fell by less than half of the prior's).
    """

    verdict: Verdict
    sentence: str
    gain: FloatArray
    offset_g: FloatArray
    slope_g_c: FloatArray
    reference_c: float
    covariance: FloatArray
    error_before_mg: float
    error_after_mg: float
    lowest_g: FloatArray
    highest_g: FloatArray
    ends_mg: FloatArray
    typical_mg: float
    still_windows: int
    orientations: int
    hours: float
    undetermined: tuple[str, ...]

    @property
    def applied(self) -> bool:
        """Whether anything is changed by `apply`."""
        return self.verdict not in ("not needed", "not possible")

    def apply(self, axes_g: AxesArray, temperature_c: float | npt.ArrayLike = np.nan) -> AxesArray:
        """Corrected accelerations (3, n) float32; `temperature_c` is one value or (n,), NaN where unknown."""
        if not self.applied:
            return axes_g
        out = np.empty(axes_g.shape, dtype=np.float32)
        warmer = np.nan_to_num(np.asarray(temperature_c, dtype=np.float32) - np.float32(self.reference_c))
        for k in range(3):
            np.multiply(axes_g[k], np.float32(self.gain[k]), out=out[k])
            out[k] += np.float32(self.slope_g_c[k]) * warmer + np.float32(self.offset_g[k])
        return out


@dataclass(frozen=True, slots=True)
class _Still:
    """Still windows: means (w, 3), degrees from the reference (w,), weights (w,) summing to one an orientation."""

    mean_g: FloatArray
    warmer_c: FloatArray
    weight: FloatArray
    reference_c: float

    @property
    def orientations(self) -> int:
        return round(float(self.weight.sum()))

    def predictors(self) -> FloatArray:
        """(w, 3, 3): what gain, offset and slope of each axis are multiplied by."""
        ones = np.ones_like(self.mean_g)
        return np.stack([self.mean_g, ones, ones * self.warmer_c[:, None]], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What a calibration starts from: the still windows, the prior (mean (9,), covariance (9, 9)), the error found."""

    still: _Still
    hours: float
    prior: FloatArray
    spread: FloatArray
    before: float
    previous: bool
    settings: CalibrationSettings


def calibrate(
    windows: Windows, settings: CalibrationSettings | None = None, *, previous: Calibration | None = None
) -> Calibration:
    """Gains, offsets and temperature slopes that bring the still windows closest to 1 g, with their uncertainty.

    Minimises sum_i w_i rho((|c_i| - 1) / s) + (p - p0)' P^-1 (p - p0) / 2 over the nine parameters p by Gauss-Newton:
    rho is Huber's loss, s the robust spread of the residuals, w_i one over the number of still windows in the same
    orientation (a night on the table is one point, not thousands), and P the prior.
    Its default is a device as found: the data sheet of the AX3's ADXL345 (Analog Devices) gives 1 % of sensitivity and
    35-40 mg of 0 g level as typical; AX3 worn in HARTH and HAR70+ (doi 10.3390/s21237853, doi 10.3390/s23052368) show
    offsets of 40-240 mg on z, hence 1.5 % and 80 mg. A `previous` calibration of the same device replaces it,
    widened by what may change between sessions.

    Deviations from van Hees et al. 2014: the prior; repeats are weighted, not dropped; all parameters solved together
    instead of axis by axis; no minimum of hours; an axis that was not turned both ways does not stop the others.
    The result is used only if it lowers the error of the still orientations; otherwise nothing is changed
    and the verdict says so.
    """
    settings = settings or CalibrationSettings()
    still = still_windows(windows, settings)
    if previous is not None and not np.isfinite(still.reference_c):
        still = replace(still, reference_c=previous.reference_c)
    prior, spread = _prior(still.reference_c, settings, previous)
    case = _Case(
        still=still,
        hours=float(windows.n.sum() / windows.expected * windows.window_s / 3600.0),
        prior=prior,
        spread=spread,
        before=_error_mg(IDENTITY, still),
        previous=previous is not None and previous.applied,
        settings=settings,
    )
    if len(still.weight) < settings.min_still:
        return _without(case, f"Only {len(still.weight)} still windows were found, of {settings.min_still} needed")
    fitted, covariance = _fit(still, prior, spread)
    if np.abs(fitted[:3] - 1).max() > LARGEST_GAIN_ERROR or np.abs(fitted[3:6]).max() > LARGEST_OFFSET_G:
        return _without(case, "The best fit is not that of a working sensor (gain off by 20 % or offset above 0.4 g)")
    if _error_mg(fitted, still) >= case.before:
        return _result(case, "not needed", IDENTITY, covariance)
    return _result(case, _verdict(case, fitted, covariance), fitted, covariance)


def still_windows(windows: Windows, settings: CalibrationSettings) -> _Still:
    """The still windows with their weights; 13 mg in windows of 10 s is the limit of van Hees et al. 2014.

    Short recordings may hold no window so still; the mean of one up to `relaxed_sd_mg` is within 1 mg of gravity
    as long as the sensor is not driven anywhere, which the robust loss bears in part.
    """
    length = np.sqrt((windows.mean_g**2).sum(axis=1))
    usable = windows.whole & (np.abs(length - 1.0) < LARGEST_DISTANCE_G)
    still = usable & (windows.sd_g < settings.still_sd_mg / 1000.0).all(axis=1)
    if still.sum() < settings.min_still:
        still = usable & (windows.sd_g < settings.relaxed_sd_mg / 1000.0).all(axis=1)
    mean_g, temperature = windows.mean_g[still], windows.temperature_c[still]
    known = np.isfinite(temperature)
    if not len(mean_g):
        return _Still(mean_g, temperature, np.empty(0), np.nan)
    cell = np.round(mean_g / settings.cell_g)
    _, inverse, counts = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[np.ravel(inverse)]
    reference = float(np.average(temperature[known], weights=weight[known])) if known.any() else float("nan")
    return _Still(mean_g, np.where(known, temperature - reference, 0.0), weight, reference)


def _prior(
    reference_c: float, settings: CalibrationSettings, previous: Calibration | None
) -> tuple[FloatArray, FloatArray]:
    """Mean (9,) and covariance (9, 9) of the parameters before the recording is seen, at its reference temperature."""
    if previous is None or not previous.applied:
        sd = [settings.gain_sd, settings.offset_sd_mg / 1000.0, settings.slope_sd_mg_c / 1000.0]
        return IDENTITY, np.diag(np.repeat(sd, 3) ** 2)
    move = np.eye(9)
    move[3:6, 6:9] = np.eye(3) * np.nan_to_num(reference_c - previous.reference_c)
    mean = move @ np.concatenate((previous.gain, previous.offset_g, previous.slope_g_c))
    between = np.repeat([settings.session_gain_sd, settings.session_offset_sd_mg / 1000.0, 0.0], 3)
    return mean, move @ previous.covariance @ move.T + np.diag(between**2)


def _corrected(parameters: FloatArray, still: _Still) -> FloatArray:
    gain, offset, slope = parameters.reshape(3, 3)
    return np.asarray(gain * still.mean_g + offset + slope * still.warmer_c[:, None])


def _error_mg(parameters: FloatArray, still: _Still) -> float:
    """Mean distance of the still orientations from the unit sphere; NaN without any."""
    if not len(still.weight):
        return float("nan")
    distance = np.abs(np.linalg.norm(_corrected(parameters, still), axis=1) - 1.0)
    return float(1000.0 * np.average(distance, weights=still.weight))


def _fit(still: _Still, prior: FloatArray, spread: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Parameters (9,) and their posterior covariance (9, 9), by reweighted Gauss-Newton.

    The first steps take a fixed generous noise and no reweighting: from a start far off, the spread of the residuals
    is that of the miscalibration, and would hand the answer to the prior.
    """
    predictors, precision = still.predictors(), np.linalg.inv(spread)
    parameters = prior.copy()
    for round_ in range(STEPS):
        corrected = _corrected(parameters, still)
        length = np.linalg.norm(corrected, axis=1)
        residual = length - 1.0
        jacobian = (predictors * (corrected / length[:, None])[:, None, :]).reshape(-1, 9)
        noise, size = NOISE_FIRST_MG / 1000.0, np.ones_like(residual)
        if round_ >= FIRST_STEPS:
            noise = min(max(_spread(residual, still.weight), NOISE_FLOOR_MG / 1000.0), noise)
            size = np.maximum(np.abs(residual) / (HUBER * noise), 1.0)
        weighted = jacobian * (still.weight / size / noise**2)[:, None]
        curvature = weighted.T @ jacobian + precision
        step = np.linalg.solve(curvature, weighted.T @ residual + precision @ (parameters - prior))
        parameters = parameters - step
        if round_ > FIRST_STEPS and np.abs(step).max() < 1e-9:
            break
    return parameters, np.linalg.inv(curvature)


def _spread(residual: FloatArray, weight: FloatArray) -> float:
    """Robust SD: 1.4826 times the weighted median distance from zero."""
    order = np.argsort(np.abs(residual))
    at = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2.0)
    return 1.4826 * float(np.abs(residual)[order[min(int(at), len(order) - 1)]])


def _ends_mg(covariance: FloatArray) -> FloatArray:
    """SD (2, 3) of the corrected reading of an axis at -1 g and at +1 g, at the reference temperature."""
    gain, offset, both = np.diag(covariance)[:3], np.diag(covariance)[3:6], np.diag(covariance[:3, 3:6])
    return np.asarray(1000.0 * np.sqrt(np.maximum([gain + offset - 2 * both, gain + offset + 2 * both], 0.0)))


def _typical_mg(covariance: FloatArray) -> float:
    """Root mean square over the sphere of the SD of the corrected vector: sqrt(sum of var(offset) + var(gain) / 3)."""
    variance = np.diag(covariance)
    return float(1000.0 * np.sqrt(variance[3:6].sum() + variance[:3].sum() / 3.0))


def _without(case: _Case, why: str) -> Calibration:
    """What is left when the recording itself cannot be calibrated: an earlier session, or nothing."""
    if case.previous and not _error_mg(case.prior, case.still) > case.before:
        said = f"{why}; the calibration of an earlier session of this device is used."
        return _result(case, "previous", case.prior, case.spread, said=said)
    offset_mg = 1000.0 * np.sqrt(np.diag(case.spread)[3:6].mean())
    said = (
        f"{why}; the signal is used as recorded, its offsets unknown to {offset_mg:.0f} mg (SD). "
        "Record some minutes of the sensor lying still on each of its sides, or give another session of the device."
    )
    return _result(case, "not possible", IDENTITY, case.spread, said=said)


def _covered(still: _Still) -> npt.NDArray[np.bool_]:
    """(3,) axes turned both ways, by the criterion of van Hees et al. 2014."""
    if not len(still.weight):
        return np.zeros(3, dtype=bool)
    return np.asarray((still.mean_g.min(axis=0) < -COVERED_G) & (still.mean_g.max(axis=0) > COVERED_G))


def _loose(covariance: FloatArray, spread: FloatArray) -> npt.NDArray[np.bool_]:
    """(9,) parameters about which the recording said little."""
    return np.asarray(np.sqrt(np.diag(covariance) / np.diag(spread)) > 0.5)


def _verdict(case: _Case, fitted: FloatArray, covariance: FloatArray) -> Verdict:
    if _error_mg(fitted, case.still) > case.settings.good_mg:
        return "poor"
    if (_covered(case.still) & (_ends_mg(covariance) <= case.settings.certain_mg).all(axis=0)).all():
        return "full"
    return "offset only" if not case.previous and _loose(covariance, case.spread)[:3].all() else "partial"


def _result(
    case: _Case, verdict: Verdict, parameters: FloatArray, covariance: FloatArray, *, said: str = ""
) -> Calibration:
    still, none = case.still, np.full(3, np.nan)
    names = zip(NAMES, _loose(covariance, case.spread), strict=True)
    after, ends = _error_mg(parameters, still), _ends_mg(covariance)
    return Calibration(
        verdict=verdict,
        sentence=said or _sentence(case, verdict, after, ends),
        gain=parameters[:3],
        offset_g=parameters[3:6],
        slope_g_c=parameters[6:],
        reference_c=still.reference_c,
        covariance=covariance,
        error_before_mg=case.before,
        error_after_mg=after,
        lowest_g=still.mean_g.min(axis=0) if len(still.weight) else none,
        highest_g=still.mean_g.max(axis=0) if len(still.weight) else none,
        ends_mg=ends,
        typical_mg=_typical_mg(covariance),
        still_windows=len(still.weight),
        orientations=still.orientations,
        hours=case.hours,
        undetermined=tuple(name for name, loose in names if loose),
    )


def _sentence(case: _Case, verdict: Verdict, after: float, ends: FloatArray) -> str:
    """The verdict as a person should read it."""
    limit = case.settings.certain_mg
    found = f"{case.still.orientations} still orientations, mean error {case.before:.1f} mg"
    if verdict == "not needed":
        return f"Left as recorded: {found}, and no fit lowers it."
    fall = f"{found} before and {after:.1f} mg after"
    if verdict == "full":
        return f"Calibrated on every axis: {fall}."
    if verdict == "poor":
        return f"Calibrated, but poorly: {fall}; a sensor in order comes below {case.settings.good_mg:g} mg."
    missing = ", ".join(AXES[k] for k in np.flatnonzero(~_covered(case.still)))
    turned = f"; not turned both ways: {missing}" if missing else ""
    far = [f"{AXES[k]} at {'-+'[e]}1 g {ends[e, k]:.0f} mg" for k in range(3) for e in (0, 1) if ends[e, k] > limit]
    left = f"; SD left above {limit:g} mg: {', '.join(far)}" if far else ""
    return f"Calibrated as far as its orientations reach: {fall}{turned}{left}."
