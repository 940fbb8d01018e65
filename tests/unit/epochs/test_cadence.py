"""Cadence from signals whose steps were put there by hand."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walkrisk.epochs.cadence import (
    BACK,
    BEYOND,
    JUMP_COST,
    PAD_S,
    RUNNING_SPREAD,
    SPREAD,
    STEP_COST,
    STRENGTH_MOST,
    STRENGTH_SPREAD,
    THIGH,
    CadenceSettings,
    _basis,
    _coupling,
    _evidence,
    _explained,
    _lean,
    _likeliest,
    cadence_spm,
    steps,
    stride_rates,
)

RATE = 50
Array = npt.NDArray[np.float32]


def walk(spm: npt.ArrayLike, *, noise_g: float = 0.03, seed: int = 1, rate: int = RATE) -> tuple[Array, Array]:
    """Thigh and back (3, n) of level walking at `spm`, one value a second: pulses at each heel strike, swing, sway.

    Movement grows with cadence, as it does in people.
    """
    rng = np.random.default_rng(seed)
    a_sample = np.repeat(np.asarray(spm, dtype=float), rate)
    stride = 2 * np.pi * np.cumsum(a_sample / 120.0 / rate)
    size = np.clip(a_sample / 100.0, 0.3, 3.0)

    def strike(phase: npt.NDArray[np.float64], sharpness: float) -> npt.NDArray[np.float64]:
        return size * np.exp(sharpness * (np.cos(phase) - 1.0))

    angle = size * 0.35 * np.sin(stride) + size * 0.1 * np.sin(2 * stride + 1.0)
    thigh_x = np.cos(angle) + 0.3 * strike(stride, 8) + 0.1 * strike(stride + np.pi, 8)
    thigh_z = -np.sin(angle) + 0.15 * strike(stride + 0.3, 8)
    back_x = 1.0 + 0.2 * (strike(2 * stride, 5) - 0.3) + 0.03 * strike(stride, 5)
    back_y = size * 0.1 * np.sin(stride) + size * 0.03 * np.sin(3 * stride + 1.0)
    back_z = -0.2 + size * 0.06 * np.sin(2 * stride + 0.5)
    nought = np.zeros(len(stride))
    sensors = [np.stack(rows) for rows in ((thigh_x, nought, thigh_z), (back_x, back_y, back_z))]
    thigh, back = ((s + rng.normal(0, noise_g, s.shape)).astype(np.float32) for s in sensors)
    return thigh, back


def all_of(seconds: int) -> npt.NDArray[np.bool_]:
    return np.ones(seconds, dtype=np.bool_)


@pytest.mark.parametrize("sensors", ["thigh", "back", "both"])
@pytest.mark.parametrize("spm", [35, 50, 65, 80, 100, 118, 135, 160, 185, 210])
def test_a_steady_walk_has_its_cadence(spm: int, sensors: str) -> None:
    thigh, back = walk(np.full(40, spm))
    found = cadence_spm(
        thigh if sensors != "back" else None, back if sensors != "thigh" else None, all_of(40), rate_hz=RATE
    )
    assert np.abs(found - spm).max() < 0.02 * spm + 2.0


def test_steps_are_cadence_over_time() -> None:
    assert steps(np.array([60.0, 120.0, np.nan, 90.0], dtype=np.float32)) == pytest.approx(4.5)
    assert steps(np.array([120.0]), second_s=2.0) == pytest.approx(4.0)
    thigh, back = walk(np.full(300, 96.0))
    assert steps(cadence_spm(thigh, back, all_of(300), rate_hz=RATE)) == pytest.approx(480, abs=3)


def test_only_walking_seconds_have_a_cadence() -> None:
    thigh, back = walk(np.full(60, 110.0))
    walking = np.zeros(60, dtype=np.bool_)
    walking[10:25] = walking[40:44] = True
    found = cadence_spm(thigh, back, walking, rate_hz=RATE)
    assert np.array_equal(np.isfinite(found), walking)
    assert found.dtype == np.float32
    assert np.abs(found[walking] - 110).max() < 4


@pytest.mark.parametrize("length", [3, 4, 6, 8, 10])
def test_a_short_bout_between_standing_keeps_its_cadence(length: int) -> None:
    spm = np.zeros(40)
    spm[15 : 15 + length] = 100.0
    thigh, back = walk(spm)
    for sensor in (thigh, back):
        standing = np.repeat(spm == 0, RATE)
        sensor[:, standing] = sensor[:, :1]
    found = cadence_spm(thigh, back, spm > 0, rate_hz=RATE)[15 : 15 + length]
    assert np.abs(np.median(found) - 100) < 6


def test_a_change_of_pace_is_followed() -> None:
    spm = np.repeat([70.0, 110.0, 170.0, 90.0], 20)
    thigh, back = walk(spm)
    found = cadence_spm(thigh, back, all_of(80), rate_hz=RATE)
    away_from_changes = np.abs((np.arange(80) % 20) - 9.5) < 7
    assert np.abs(found - spm)[away_from_changes].max() < 4


def test_a_noisy_second_is_decided_by_its_neighbours() -> None:
    """Six seconds of noise in a walk at 90: alone they would be anything, next to the rest they stay near it."""
    thigh, back = walk(np.full(60, 90.0))
    rng = np.random.default_rng(5)
    noise = slice(30 * RATE, 36 * RATE)
    thigh[:, noise] = thigh.mean(axis=1, keepdims=True) + rng.normal(0, 0.2, (3, 6 * RATE))
    back[:, noise] = back.mean(axis=1, keepdims=True) + rng.normal(0, 0.2, (3, 6 * RATE))
    found = cadence_spm(thigh, back, all_of(60), rate_hz=RATE)
    assert np.abs(found - 90).max() < 15
    apart = np.zeros(60, dtype=np.bool_)
    apart[31:35] = True
    assert np.abs(cadence_spm(thigh, back, apart, rate_hz=RATE)[31:35] - 90).max() > 15


def test_the_likeliest_sequence_is_the_best_of_all_sequences() -> None:
    """Against every one of the 16 x 16 x 16 x 16 sequences, with a halt before the third second."""
    rng = np.random.default_rng(2)
    coupling = np.array([0.0, 1.0, 0.15, 1.0], dtype=np.float32)
    sequences = np.array(list(itertools.product(range(16), repeat=4)))
    changes = np.minimum(STEP_COST * np.abs(np.diff(sequences, axis=1)), JUMP_COST)
    for _ in range(20):
        evidence = rng.normal(0, 4, (4, 16)).astype(np.float32)
        score = evidence[np.arange(4), sequences].sum(axis=1) - changes @ coupling[1:]
        assert _likeliest(evidence, coupling).tolist() == sequences[np.argmax(score)].tolist()


def test_a_jump_across_a_halt_costs_less_too() -> None:
    """With a tie of a tenth, fifteen states away costs a tenth of a jump: 0.6, which a gain of 0.8 outweighs."""
    evidence = np.zeros((2, 16), dtype=np.float32)
    evidence[0, 0], evidence[1, 15] = 10.0, 0.8
    assert JUMP_COST / 10 < 0.8 < 15 * STEP_COST / 10
    assert _likeliest(evidence, np.array([0.0, 0.1], dtype=np.float32)).tolist() == [0, 15]


def test_a_long_sequence_is_decided_in_stretches_as_a_whole() -> None:
    """One strong second and one far weaker rival: all in between follow, however the stretches are cut."""
    evidence = np.zeros((150, 20), dtype=np.float32)
    evidence[:, 4] = 0.5
    evidence[::10, 12] = 4.0
    assert (_likeliest(evidence, np.ones(150, dtype=np.float32)) == 4).all()


def test_stretches_decide_as_the_whole_would(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = np.random.default_rng(4).normal(0, 4, (1000, 30)).astype(np.float32)
    coupling = np.ones(1000, dtype=np.float32)
    in_stretches = _likeliest(evidence, coupling)
    monkeypatch.setattr("walkrisk.epochs.cadence.CORE", 1000)
    assert np.mean(in_stretches == _likeliest(evidence, coupling)) > 0.995


def test_a_halt_loosens_what_seconds_say_about_each_other() -> None:
    second = np.array([5, 6, 7, 10, 12, 22, 23, 40])
    ties = [0.0, 1.0, 1.0, 0.8, 0.9, 0.1, 1.0, 0.0]
    np.testing.assert_allclose(_coupling(second), ties, atol=1e-6)


def test_the_stride_is_not_taken_for_the_step() -> None:
    """A limp: one leg's step is stronger, so that the back's vertical repeats once a stride, not once a step."""
    seconds, spm = 40, 84.0
    thigh, back = walk(np.full(seconds, spm))
    stride = 2 * np.pi * np.cumsum(np.full(seconds * RATE, spm / 120.0 / RATE))
    back[0] += (0.1 * np.cos(stride)).astype(np.float32)
    for pair in ((thigh, back), (None, back)):
        assert np.abs(np.median(cadence_spm(pair[0], pair[1], all_of(seconds), rate_hz=RATE)) - spm) < 2


def test_other_rates_and_orientations_give_the_same() -> None:
    spm = np.full(40, 95.0)
    thigh, back = walk(spm, rate=100)
    assert np.abs(cadence_spm(thigh, back, all_of(40), rate_hz=100) - 95).max() < 2
    turned = thigh.copy()
    turned[1:] *= -1.0
    same = cadence_spm(thigh, None, all_of(40), rate_hz=100)
    assert np.array_equal(cadence_spm(turned, None, all_of(40), rate_hz=100), same)


def test_one_sensor_may_be_missing_for_a_while() -> None:
    thigh, back = walk(np.full(60, 75.0))
    thigh[:, 20 * RATE : 40 * RATE] = np.nan
    found = cadence_spm(thigh, back, all_of(60), rate_hz=RATE)
    assert np.abs(found - 75).max() < 4


def test_what_is_not_known_is_not_guessed() -> None:
    thigh, back = walk(np.full(60, 100.0))
    thigh[:, 20 * RATE : 40 * RATE] = np.nan
    still = walk(np.full(60, 100.0))[1]
    still[:, 20 * RATE : 40 * RATE] = 0.5
    for pair in ((thigh, None), (None, still)):
        found = cadence_spm(pair[0], pair[1], all_of(60), rate_hz=RATE)
        assert np.isnan(found[23:37]).all()
        assert np.isfinite(found[:18]).all()
    assert np.isnan(cadence_spm(None, None, all_of(5), rate_hz=RATE)).all()
    assert np.isnan(cadence_spm(thigh, back, np.zeros(60, dtype=np.bool_), rate_hz=RATE)).all()
    assert cadence_spm(thigh[:, :0], None, np.zeros(0, dtype=np.bool_), rate_hz=RATE).shape == (0,)


def test_cut_into_stretches_it_is_the_same() -> None:
    rng = np.random.default_rng(3)
    spm = np.repeat(rng.uniform(60, 150, 30), 20)
    thigh, back = walk(spm)
    walking = np.repeat(rng.random(120) < 0.7, 5)
    whole = cadence_spm(thigh, back, walking, rate_hz=RATE)
    pieces = []
    for start in range(0, 600, 200):
        low, high = max(0, start - PAD_S), min(600, start + 200 + PAD_S)
        samples = slice(low * RATE, high * RATE)
        part = cadence_spm(thigh[:, samples], back[:, samples], walking[low:high], rate_hz=RATE)
        pieces.append(part[start - low : start - low + 200])
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-3)


@pytest.mark.parametrize("spm", [62.0, 94.7, 95.6, 96.5, 97.4, 131.0])
def test_cadence_is_finer_than_the_candidates(spm: float) -> None:
    thigh, back = walk(np.full(40, spm))
    assert np.median(cadence_spm(thigh, back, all_of(40), rate_hz=RATE)) == pytest.approx(spm, abs=0.4)


def test_what_is_beside_a_short_bout_does_not_count() -> None:
    thigh, back = walk(np.full(30, 80.0))
    walking = np.zeros(30, dtype=np.bool_)
    walking[13:16] = True
    alone = cadence_spm(thigh, back, walking, rate_hz=RATE)
    beside = np.ones(30 * RATE, dtype=np.bool_)
    beside[12 * RATE + 24 : 17 * RATE - 24] = False  # half a second beyond the bout and a sample
    shaking = np.random.default_rng(7).normal(0, 3.0, (3, int(beside.sum()))).astype(np.float32)
    thigh[:, beside] += shaking
    back[:, beside] -= shaking
    assert np.array_equal(cadence_spm(thigh, back, walking, rate_hz=RATE), alone, equal_nan=True)


def test_a_slow_turn_takes_nothing_from_the_evidence() -> None:
    """A window of one harmonic upon a steep ramp: all but the ramp is explained at the right rate."""
    wanted, time = CadenceSettings(), (np.arange(125) - 62) / 25
    rates = stride_rates(wanted)
    window = (2.0 * time + 0.3 * np.sin(2 * np.pi * rates[30] * time)).astype(np.float32)
    share, power = _explained(window[None], _basis(wanted, (1, 2), (1.0, 1.0), 25.0))
    assert share[0, 30] > 0.97
    assert np.argmax(share[0]) == 30
    assert power[0] < 0.3**2


def test_a_fast_vibration_is_no_step() -> None:
    """24.2 Hz would look like 0.8 Hz if every other sample were dropped."""
    _, back = walk(np.full(40, 76.0))
    back += (1.0 * np.sin(2 * np.pi * 24.2 * np.arange(40 * RATE) / RATE)).astype(np.float32)
    assert np.abs(cadence_spm(None, back, all_of(40), rate_hz=RATE) - 76).max() < 3


@pytest.mark.parametrize(("amplitude_g", "known"), [(0.008, False), (0.025, True)])
def test_movement_below_the_noise_is_no_walking(amplitude_g: float, known: bool) -> None:
    back = np.zeros((3, 20 * RATE), dtype=np.float32)
    back[0] = 1.0 + amplitude_g * np.sin(2 * np.pi * 1.6 * np.arange(20 * RATE) / RATE)
    assert (np.isfinite(cadence_spm(None, back, all_of(20), rate_hz=RATE)) == known).all()


def test_without_rhythm_cadence_leans_to_the_usual() -> None:
    back = np.random.default_rng(6).normal(0, 0.2, (3, 1200 * RATE)).astype(np.float32)
    walking = np.arange(1200) % 20 < 4
    low, high = (
        np.median(cadence_spm(None, back, walking, rate_hz=RATE, settings=CadenceSettings(usual_spm=spm))[walking])
        for spm in (60, 150)
    )
    assert low < 90 < high


def without(labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.zeros_like(labels)


def half_or_double(spm: float, *, odd: float, strength: float = 1.0) -> tuple[Array, Array]:
    """40 s whose even harmonics fit `spm` and twice `spm` alike: only `odd` (g) belongs to the slower alone."""
    stride = 2 * np.pi * spm / 120 * np.arange(40 * RATE) / RATE
    rng = np.random.default_rng(8)
    even = [np.sin(k * stride + k) for k in (2, 4, 6, 8)]
    thigh_x = 0.3 * even[0] + 0.1 * even[1] + 0.1 * even[2] + 0.1 * even[3]
    back_x = 0.15 * even[0] + 0.05 * even[1] + 0.05 * even[3]
    back_y = 0.05 * even[0] + 0.05 * even[2]
    nought = np.zeros(len(stride))
    thigh = strength * np.stack((thigh_x + odd * np.sin(stride), nought, thigh_x - odd * np.sin(stride)))
    back = strength * np.stack((back_x, back_y + odd * np.sin(stride), nought))
    noisy = [(s + rng.normal(0, 0.02, s.shape)).astype(np.float32) for s in (thigh, back)]
    return noisy[0], noisy[1]


@pytest.mark.parametrize("sensors", ["thigh", "back", "both"])
def test_walking_is_not_found_at_twice_its_cadence(sensors: str) -> None:
    """Steps at 85 whose stride hardly shows: 170 fits better, but nobody walks so fast."""
    thigh, back = half_or_double(85, odd=0.02, strength=0.8)
    pair = (thigh if sensors != "back" else None, back if sensors != "thigh" else None)
    walking = all_of(40)
    assert np.abs(cadence_spm(pair[0], pair[1], walking, rate_hz=RATE, running=without(walking)) - 85).max() < 2
    assert np.abs(cadence_spm(pair[0], pair[1], walking, rate_hz=RATE, running=walking) - 170).max() < 4


@pytest.mark.parametrize("sensors", ["thigh", "back", "both"])
@pytest.mark.parametrize("spm", [35, 45, 55, 65, 140])
def test_slow_and_fast_walking_remain_possible(spm: int, sensors: str) -> None:
    thigh, back = walk(np.full(40, spm))
    pair = (thigh if sensors != "back" else None, back if sensors != "thigh" else None)
    found = cadence_spm(pair[0], pair[1], all_of(40), rate_hz=RATE, running=without(all_of(40)))
    assert np.abs(found - spm).max() < 0.02 * spm + 2.0


def test_a_wrong_label_does_not_halve_a_plain_rhythm() -> None:
    thigh, back = walk(np.full(40, 168.0))
    strong = 3.0 * (thigh - thigh.mean(axis=1, keepdims=True)), 3.0 * (back - back.mean(axis=1, keepdims=True))
    for running in (None, all_of(40), without(all_of(40))):
        assert np.abs(cadence_spm(*strong, all_of(40), rate_hz=RATE, running=running) - 168).max() < 4
    thigh, back = walk(np.full(40, 112.0))
    assert np.abs(cadence_spm(thigh, back, all_of(40), rate_hz=RATE, running=all_of(40)) - 112).max() < 4


def test_running_and_walking_each_have_their_own_seconds() -> None:
    thigh, back = half_or_double(80, odd=0.02, strength=0.8)
    running = np.arange(40) >= 20
    found = cadence_spm(thigh, back, all_of(40), rate_hz=RATE, running=running)
    assert np.abs(found[:17] - 80).max() < 3
    assert np.abs(found[23:] - 160).max() < 5
    apart = without(running)
    apart[:15] = apart[30:] = True  # seconds that are not walking have no label to shift the others'
    found = cadence_spm(thigh, back, apart, rate_hz=RATE, running=running)
    assert np.abs(found[:15] - 80).max() < 3
    assert np.abs(found[30:] - 160).max() < 5


@pytest.mark.parametrize(("strength", "spm"), [(0.35, 60), (2.2, 120)])
def test_weak_movement_is_slow_walking(strength: float, spm: float) -> None:
    """The same rhythm of 1 Hz, felt weakly and strongly: steps at 60 or at 120 a minute."""
    thigh, back = half_or_double(60, odd=0.03, strength=strength)
    walking = all_of(40)
    found = cadence_spm(thigh, back, walking, rate_hz=RATE, running=without(walking))
    assert np.abs(found - spm).max() < 3


def test_what_is_held_against_a_cadence_is_what_the_equation_says() -> None:
    wanted = CadenceSettings(usual_spm=100, running_usual_spm=160)
    spm = 120 * stride_rates(wanted)
    strength = np.log(np.array([80.0, 80.0, np.nan], dtype=np.float32))
    labels = np.array([False, True, False])
    usual = (np.log(spm / 100) / SPREAD) ** 2 / 2
    weak = np.minimum((np.log(spm / 80) / STRENGTH_SPREAD) ** 2 / 2, STRENGTH_MOST)
    run = (np.log(spm / 160) / RUNNING_SPREAD) ** 2 / 2 + BEYOND * (spm < 128.06)
    fast = BEYOND * (spm > 152.3)  # beyond 150 by more than half a step of the grid
    np.testing.assert_allclose(_lean(strength, labels, wanted), [usual + weak + fast, run, usual + fast], rtol=1e-3)
    np.testing.assert_allclose(_lean(strength, None, wanted), [usual + weak, usual + weak, usual], rtol=1e-3)


@pytest.mark.parametrize("length", [2, 20])
def test_strength_is_the_cadence_at_which_walking_is_so_strong(length: int) -> None:
    """An SD of twice that at 100 steps/min is 100 2^(1/exponent), in a bout shorter than the window too.

    Nothing is known outside the bout.
    """
    walking = (np.arange(40) >= 10) & (np.arange(40) < 10 + length)
    time = np.arange(40 * 25) / 25
    for plan in (THIGH, BACK):
        axes = np.zeros((3, len(time)), dtype=np.float32)
        wanted = []
        for rhythm in plan:
            sd = 0.3 if rhythm.sd_g is None else 2 * rhythm.sd_g
            axes[rhythm.axis] = sd * np.sqrt(2) * np.sin(2 * np.pi * 3.0 * time)
            wanted += [] if rhythm.sd_g is None else [2 ** (1 / rhythm.exponent)]
        axes[:, ~np.repeat(walking, 25)] = np.nan
        strength = _evidence([(axes, plan)], walking, 25.0, CadenceSettings())[1]
        assert np.exp(strength) == pytest.approx(100 * np.prod(wanted) ** (1 / len(wanted)), rel=0.05)


def test_strength_is_each_seconds_own_and_of_the_axes_that_move() -> None:
    """Ten seconds twice as strong as walking at 100 steps/min, ten of one axis alone four times as strong."""
    walking = np.ones(25, dtype=np.bool_)
    walking[10:15] = False
    wave = np.sqrt(2) * np.sin(2 * np.pi * 3.0 * np.arange(625) / 25)
    axes = np.zeros((3, 625), dtype=np.float32)
    first, second = THIGH
    assert first.sd_g is not None
    assert second.sd_g is not None
    axes[0] = first.sd_g * np.where(np.arange(625) < 300, 2.0, 4.0) * wave
    axes[2] = second.sd_g * np.where(np.arange(625) < 300, 2.0, 0.0) * wave
    found = np.exp(_evidence([(axes, THIGH)], walking, 25.0, CadenceSettings())[1])
    both = 100 * 2 ** ((1 / first.exponent + 1 / second.exponent) / 2)
    np.testing.assert_allclose(found, np.repeat([both, 100 * 4 ** (1 / first.exponent)], 10), rtol=0.03)


def test_a_harmonic_counts_as_much_as_its_weight() -> None:
    wanted, time = CadenceSettings(), (np.arange(125) - 62) / 25
    rate = stride_rates(wanted)[40]
    basis = _basis(wanted, (1, 2), (0.25, 1.0), 25.0)
    for harmonic, weight in ((1, 0.25), (2, 1.0)):
        window = np.sin(2 * np.pi * harmonic * rate * time).astype(np.float32)
        assert _explained(window[None], basis)[0][0, 40] == pytest.approx(weight, abs=0.02)


def test_nothing_given_is_changed() -> None:
    thigh, back = walk(np.full(10, 100.0))
    walking, running = all_of(10), np.arange(10) > 6
    before = thigh.copy(), back.copy(), walking.copy(), running.copy()
    cadence_spm(thigh, back, walking, rate_hz=RATE, running=running)
    for now, then in zip((thigh, back, walking, running), before, strict=True):
        assert np.array_equal(now, then)


def test_candidates_reach_from_the_slowest_to_the_fastest() -> None:
    rates = stride_rates(CadenceSettings(slowest_spm=60, fastest_spm=150))
    assert rates[0] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(1.25)
    assert np.diff(np.log(rates)).max() < 0.031


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(0, 10_000))
def test_any_pattern_and_any_signal_give_a_cadence_in_range(walking: list[bool], seed: int) -> None:
    mask = np.array(walking, dtype=np.bool_)
    signal = np.random.default_rng(seed).normal(0, 0.3, (3, len(mask) * RATE)).astype(np.float32)
    found = cadence_spm(signal, -signal, mask, rate_hz=RATE)
    assert np.array_equal(np.isfinite(found), mask)
    assert ((found[mask] >= 29.9) & (found[mask] <= 221)).all()
