"""How each sensor was worn, from the postures it recorded: upside down, inside out, turned, or on the other site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.recording import SECOND, AxesArray, FloatArray
from walkrisk.recordings.windows import Windows

BoolArray = npt.NDArray[np.bool_]
Site = Literal["thigh", "back"]

MOVING_G = (0.12, 4.0)  # sum of the axes' SDs in walking, cycling and running
STILL_G = 0.12
UPRIGHT_G = 0.75  # along the long axis while upright
LYING_G = 0.5  # along the long axis, at most, while that part of the body lies
LEAN_G = 0.25  # departure of the forward axis from its upright value in a reclined seat
BENT_G = 0.5  # nobody walks or cycles leaning back this far
ENOUGH = 5  # windows (of 10 s)
MAJORITY = 0.75
SEATED_BACK_G = 0.7  # along the back's long axis in a seat
MOVING_WINDOWS = 30
MOVING_SHARE = 0.85
STEP = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Device axes -> body axes: x up along the body; z backward out of the thigh, forward out of the back; y across.

    `rotation` (3, 3) holds a proper rotation by right angles, body = rotation @ device. `verdict` "as expected" or
    "turned" says what was found of both the long axis and front and back, "unsure" that at least one of them could not
    be told (`up_known`, `front_known`) and was left as the device has it. `confidence` (0 .. 1) is the smallest share
    of windows that agree. `tilt_deg` is how far the part of the body leans forward in the median upright window with
    movement, after the rotation; it is reported, not removed.
    """

    site: Site
    verdict: Literal["as expected", "turned", "unsure"]
    rotation: AxesArray
    up_known: bool
    front_known: bool
    confidence: float
    tilt_deg: float
    sentence: str

    def apply(self, axes_g: AxesArray) -> AxesArray:
        """Accelerations (3, n) in the body's axes; the input itself where nothing is turned."""
        if np.array_equal(self.rotation, np.eye(3, dtype=np.float32)):
            return axes_g
        source = np.abs(self.rotation).argmax(axis=1)
        sign = self.rotation[np.arange(3), source]
        return np.asarray(axes_g[source] * sign[:, None], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Whether the files of thigh and back were exchanged; `confidence` (0 .. 1) is the share of windows that agree."""

    verdict: Literal["as named", "swapped", "unsure"]
    confidence: float
    sentence: str


def placement(windows: Windows, site: Site, *, within: BoolArray | None = None) -> Placement:
    """The right-angle rotation that brings a sensor to the body's axes, from 10-s windows (`within` (w,), those worn).

    Up is the axis and sign along which at least 0.75 g lies in most windows with movement: walking, cycling, running.
    Front is told by posture. The thigh, when it lies still (sitting or lying), is face up; the back, lying or reclined
    still, is belly up, or moves bent forward by half a g. Each needs five windows, three quarters of them agreeing; a
    person who sleeps on the belly and never leans back gives "unsure", not the wrong answer. The plate's normal is
    taken to stay the z axis, as it does on skin: a sensor on its edge is not looked for. Left and right legs
    differ only in the sign of y and are not told apart.
    Like the flip tests of acti-motus (upside down, inside out), with quarter turns and a stated doubt.
    """
    used = windows.whole if within is None else windows.whole & within
    mean, spread = windows.mean_g[used], windows.sd_g[used].sum(axis=1)
    axis, sign, up_share = _up(mean, spread)
    if not up_share:
        return Placement(
            site=site,
            verdict="unsure",
            rotation=np.eye(3, dtype=np.float32),
            up_known=False,
            front_known=False,
            confidence=0.0,
            tilt_deg=float("nan"),
            sentence=f"How the {site} sensor was turned could not be told (too little upright movement); "
            "it was taken to be worn as expected.",
        )
    front, front_share = _front(mean, spread, axis, sign, site)
    rotation = _rotation(axis, sign, front or 1)
    turned = not np.array_equal(rotation, np.eye(3))
    body = mean[_upright(mean, spread, axis, sign)] @ rotation.T
    tilt = float(np.degrees(np.arctan2(-np.median(body[:, 2]), np.median(body[:, 0]))))
    return Placement(
        site=site,
        verdict="unsure" if not front else ("turned" if turned else "as expected"),
        rotation=rotation.astype(np.float32),
        up_known=True,
        front_known=bool(front),
        confidence=min(up_share, front_share) if front else 0.0,
        tilt_deg=tilt,
        sentence=_sentence(site, axis, sign, front),
    )


def placements(windows: Windows, site: Site, worn: Sequence[tuple[float, float]] | FloatArray) -> list[Placement]:
    """The placement in each stretch of wear [start_s, stop_s); what a stretch cannot tell is taken from the whole."""
    stretches = np.asarray(worn, dtype=np.float64).reshape(-1, 2)
    inside = [(windows.start_s >= a) & (windows.start_s < b) for a, b in stretches]
    if not inside:
        return []
    overall = placement(windows, site, within=np.logical_or.reduce(inside))
    return [_filled(placement(windows, site, within=mask), overall) for mask in inside]


def _filled(own: Placement, overall: Placement) -> Placement:
    """A stretch's placement, with that of the whole recording where the stretch cannot tell and does not contradict."""
    if own.front_known or not overall.up_known or (own.up_known and not overall.front_known):
        return own
    if own.up_known and not np.array_equal(own.rotation[0], overall.rotation[0]):
        return own
    tilt = own.tilt_deg * float(own.rotation[2, 2] * overall.rotation[2, 2])
    return replace(overall, tilt_deg=tilt, sentence=f"{overall.sentence} (From other stretches of wear.)")


def _upright(mean: FloatArray, spread: FloatArray, axis: int, sign: int) -> BoolArray:
    """Windows (w,) of movement with gravity along an axis."""
    moving = (spread > MOVING_G[0]) & (spread < MOVING_G[1])
    return np.asarray(moving & (sign * mean[:, axis] > UPRIGHT_G))


def _up(mean: FloatArray, spread: FloatArray) -> tuple[int, int, float]:
    """Axis and sign that are up in most windows of movement, and their share; share 0 where that cannot be told."""
    ways = [(axis, sign) for axis in (0, 1) for sign in (1, -1)]
    votes = np.array([int(_upright(mean, spread, axis, sign).sum()) for axis, sign in ways])
    best = int(votes.argmax())
    share = float(votes[best] / max(int(votes.sum()), 1))
    axis, sign = ways[best]
    return axis, sign, share if votes[best] >= ENOUGH and share >= MAJORITY else 0.0


def _front(mean: FloatArray, spread: FloatArray, axis: int, sign: int, site: Site) -> tuple[int, float]:
    """+1 where z is as expected, -1 where it is inverted, 0 where that cannot be told; and the share that agrees."""
    along, z = sign * mean[:, axis], mean[:, 2]
    still = spread < STILL_G
    lying = still & (np.abs(along) < LYING_G) & (np.abs(z) > LYING_G)
    if site == "thigh":
        votes = -np.sign(z[lying])
    else:
        upright = z[_upright(mean, spread, axis, sign)]
        usual = float(np.median(upright))
        apart = z - usual
        reclined = still & (along >= LYING_G) & (np.abs(apart) > LEAN_G)
        bent = np.full(ENOUGH, -np.sign(usual)) if abs(usual) > BENT_G else np.empty(0)
        votes = np.concatenate((np.sign(z[lying]), np.sign(apart[reclined]), bent))
    if len(votes) < ENOUGH:
        return 0, 0.0
    share = float((votes > 0).mean())
    front = 1 if share >= 0.5 else -1
    share = max(share, 1.0 - share)
    return (front, share) if share >= MAJORITY else (0, share)


def _rotation(axis: int, sign: int, front: int) -> FloatArray:
    """(3, 3) rows x, y, z of the body in device axes: x is sign times the axis, z front times z, y completes them."""
    unit = np.eye(3)
    x, z = sign * unit[axis], front * unit[2]
    return np.array([x, np.cross(z, x), z])


def _sentence(site: Site, axis: int, sign: int, front: int) -> str:
    """How the sensor was worn and what was done."""
    ways = [
        {(0, 1): "", (0, -1): "upside down", (1, 1): "a quarter turn off", (1, -1): "a quarter turn off"}[(axis, sign)],
        "inside out" if front < 0 else "",
    ]
    said = " and ".join(w for w in ways if w)
    text = f"The {site} sensor was worn {said}; this was put right." if said else ""
    if not front:
        doubt = f"Whether the {site} sensor was worn inside out could not be told; it was taken not to be."
        return f"{text} {doubt}".strip()
    return text or f"The {site} sensor was worn as expected."


def sites_swapped(thigh: Windows, back: Windows, *, lag_s: float = 0.0) -> Sites:
    """Whether the two recordings were exchanged, from 10-s windows; however each sensor was turned.

    Two signs, each alone enough and together never against each other: in a seat the thigh lies (under 0.5 g along its
    long axis) while the back is up (over 0.7 g), which the reverse hardly ever is (five windows, three quarters of
    them); and the thigh moves more than the back (sum of the SDs, in 30 windows in which both move, 85 % of them, or
    55 % where the seat already told). `lag_s` (`Clock.offset_s`) is added to the back's clock.
    """
    i, j = _side_by_side(thigh, back, lag_s)
    means = (thigh.mean_g[i], back.mean_g[j])
    spreads = (thigh.sd_g[i].sum(axis=1), back.sd_g[j].sum(axis=1))
    along = []
    for windows in (thigh, back):
        whole = windows.whole
        along.append(_up(windows.mean_g[whole], windows.sd_g[whole].sum(axis=1)))
    seat, seat_share = 0, 0.0
    if along[0][2] and along[1][2]:
        a, b = (np.abs(mean[:, axis]) for mean, (axis, _, _) in zip(means, along, strict=True))
        still = (spreads[0] < STILL_G) & (spreads[1] < STILL_G)
        named = int((still & (a < LYING_G) & (b > SEATED_BACK_G)).sum())
        other = int((still & (b < LYING_G) & (a > SEATED_BACK_G)).sum())
        seat, seat_share = _vote(named, other, ENOUGH, MAJORITY)
    both = (np.minimum(*spreads) > MOVING_G[0]) & (np.maximum(*spreads) < MOVING_G[1])
    more, less = (int(comparison[both].sum()) for comparison in (spreads[0] > spreads[1], spreads[0] < spreads[1]))
    move, move_share = _vote(more, less, MOVING_WINDOWS, 0.55 if seat else MOVING_SHARE)
    return _sites(seat, seat_share, move, move_share)


def _vote(named: int, other: int, enough: int, majority: float) -> tuple[int, float]:
    """+1 or -1 for the larger count, 0 where it is too small or not large enough; and its share."""
    total = named + other
    share = max(named, other) / max(total, 1)
    if total < enough or share < majority:
        return 0, share
    return (1 if named > other else -1), share


def _sites(seat: int, seat_share: float, move: int, move_share: float) -> Sites:
    """The two signs together."""
    if seat * move < 0 or not (seat or move):
        reason = "the signs contradict each other" if seat * move < 0 else "too little sitting and movement in both"
        return Sites(
            verdict="unsure",
            confidence=0.0,
            sentence=f"Whether the files of thigh and back were exchanged could not be told ({reason}); "
            "they were taken as they are named.",
        )
    confidence = min(s for sign, s in ((seat, seat_share), (move, move_share)) if sign)
    if (seat or move) > 0:
        return Sites(verdict="as named", confidence=confidence, sentence="Thigh and back are as the files are named.")
    return Sites(
        verdict="swapped",
        confidence=confidence,
        sentence="The files of thigh and back were exchanged: what is named back lies level in sitting and moves as a "
        "thigh does.",
    )


def _side_by_side(thigh: Windows, back: Windows, lag_s: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices (k,) of whole windows of the two that fall on the same ten seconds."""
    shift = float((back.origin - thigh.origin) / SECOND) + lag_s
    slots = [
        np.where(w.whole, np.round((w.start_s + move) / STEP), np.nan) for w, move in ((thigh, 0.0), (back, shift))
    ]
    kept = [np.flatnonzero(np.isfinite(s)) for s in slots]
    _, i, j = np.intersect1d(slots[0][kept[0]], slots[1][kept[1]], return_indices=True)
    return kept[0][i], kept[1][j]
