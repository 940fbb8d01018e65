"""The shipped classifiers load, refuse what is not theirs, and name plain postures and movements."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from walkrisk.epochs.activities import ACTIVITIES
from walkrisk.epochs.classifier import (
    HELD_S,
    KINDS,
    SHARES,
    SURE,
    columns_of,
    load_classifier,
    metadata,
    moving_seconds,
)
from walkrisk.epochs.features import RATE_HZ, feature_names, second_features
from walkrisk.epochs.smoothing import smooth

SECONDS = 60


def posture(thigh: tuple[float, float, float], back: tuple[float, float, float], kind: str) -> np.ndarray:
    """Features of someone who keeps still but for a tremor of a few mg."""
    rng = np.random.default_rng(11)
    axes = {
        site: (np.array(g)[:, None] + rng.normal(0, 0.005, (3, SECONDS * RATE_HZ))).astype(np.float32)
        for site, g in (("thigh", thigh), ("back", back))
    }
    return second_features(*(axes[s] if s in kind.split("+") else None for s in ("thigh", "back")))


def named(features: np.ndarray, kind: str) -> str:
    classifier = load_classifier(kind)  # type: ignore[arg-type]
    codes, _ = smooth(classifier.probabilities(features), classifier.transition)
    values, counts = np.unique(codes, return_counts=True)
    return ACTIVITIES[values[counts.argmax()]]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_add_up_and_unknown_stays_unknown(kind: str) -> None:
    f = posture((1, 0, 0), (1, 0, 0), kind)
    f[7] = np.nan
    p = load_classifier(kind).probabilities(f)  # type: ignore[arg-type]
    assert p.shape == (SECONDS, len(ACTIVITIES))
    assert p.dtype == np.float32
    assert np.isnan(p[7]).all()
    assert np.delete(p, 7, axis=0).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_plain_postures() -> None:
    kind = "thigh+back"
    assert named(posture((1, 0, 0.05), (0.98, 0.05, -0.15), kind), kind) == "standing"
    assert named(posture((0.05, 0.05, -1), (0.97, 0.05, -0.1), kind), kind) == "sitting"
    assert named(posture((0.05, 0.05, -1), (0.05, 0.05, 0.98), kind), kind) == "lying"
    assert named(posture((0.05, 0.05, -1), (1, 0, 0), "thigh"), "thigh") in ("sitting", "lying")


def test_predictions_do_not_depend_on_the_rows_beside_them() -> None:
    rng = np.random.default_rng(3)
    f = rng.normal(0, 1, (20_000, len(feature_names("thigh")))).astype(np.float32)
    classifier = load_classifier("thigh")
    whole = classifier.probabilities(f)
    np.testing.assert_array_equal(whole[9_000:9_100], classifier.probabilities(f[9_000:9_100]))
    np.testing.assert_array_equal(whole, classifier.probabilities(f))


def wandering(seed: int, seconds: int = 400) -> np.ndarray:
    """Features of someone who steps about in the middle and is otherwise still."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 0.004, (2, 3, seconds * RATE_HZ)).astype(np.float32)
    a[:, 0] += 1
    mid = slice(180 * RATE_HZ, 220 * RATE_HZ)
    a[:, 0, mid] += 0.3 * np.sin(2 * np.pi * 1.8 * np.arange(40 * RATE_HZ) / RATE_HZ).astype(np.float32)
    return second_features(a[0], a[1])


class Counting:
    def __init__(self, booster: object) -> None:
        self.booster, self.rows = booster, 0

    def inplace_predict(self, rows: np.ndarray) -> np.ndarray:
        self.rows += len(rows)
        return self.booster.inplace_predict(rows)  # type: ignore[attr-defined, no-any-return]


def counted(f: np.ndarray) -> tuple[np.ndarray, list[int]]:
    whole = load_classifier("thigh+back")
    boosters = tuple((k, Counting(b)) for k, b in whole.boosters)
    p = replace(whole, boosters=boosters).probabilities(f)  # type: ignore[arg-type]
    return p, [b.rows for _, b in boosters]


def test_doubtful_moving_seconds_are_the_mean_of_three_models_and_still_ones_are_shared() -> None:
    f = wandering(5)
    moving = moving_seconds(f, "thigh+back")
    assert np.flatnonzero(moving).tolist() == list(range(175, 225))  # 2 s of window and 3 s more on either side
    p, rows = counted(f)
    names = feature_names("thigh+back")
    jerk = f[:, names.index("thigh_jerk")] + f[:, names.index("back_jerk")]
    look = [i for i in range(len(f)) if moving[i] or jerk[i] == jerk[max(i - HELD_S, 0) : i + HELD_S + 1].max()]
    far = [i for i in range(len(f)) if np.abs(np.array(look) - i).min() > HELD_S]
    assert rows[0] == len(look) + len(far)
    assert rows[0] < moving.sum() + 0.35 * (~moving).sum()
    each = {k: b.inplace_predict(np.ascontiguousarray(f[:, columns_of(k, "thigh+back")]))
            for k, b in load_classifier("thigh+back").boosters}  # fmt: skip
    sure = each["thigh+back"].max(axis=1) >= SURE
    mean = sum(SHARES[k] * each[k] for k in KINDS)
    asked = moving & ~sure
    assert rows[1] == rows[2] == asked.sum() > 0
    np.testing.assert_allclose(p[asked], mean[asked], atol=1e-6)
    np.testing.assert_array_equal(p[moving & sure], each["thigh+back"][moving & sure])
    found = [np.flatnonzero((each["thigh+back"] == row).all(axis=1)) for row in p[~moving]]
    apart = [np.abs(i - j).min() for i, j in zip(found, np.flatnonzero(~moving), strict=True) if len(i)]
    assert len(apart) > 0.9 * (~moving).sum()  # the others stand beside moving ones
    assert max(apart) <= HELD_S


def test_a_single_sensor_is_asked_alone() -> None:
    assert [k for k, _ in load_classifier("back").boosters] == ["back"]
    names = feature_names("thigh+back")
    assert [names[i] for i in columns_of("back", "thigh+back")] == list(feature_names("back"))
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_cut_does_not_change_what_is_held() -> None:
    f = wandering(6)
    classifier = load_classifier("thigh+back")
    whole, part = classifier.probabilities(f), classifier.probabilities(f[100:300])
    np.testing.assert_allclose(part[10:-10], whole[110:290], atol=1e-6)


def test_features_of_other_sensors_are_refused() -> None:
    with pytest.raises(ValueError, match="features a second"):
        load_classifier("thigh+back").probabilities(np.zeros((3, 5), dtype=np.float32))


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {k: dict(v) for k, v in metadata()["classifiers"].items()}
    own["back"]["sha256"] = "0" * 64
    monkeypatch.setattr("walkrisk.epochs.classifier.metadata", lambda: metadata.__wrapped__() | {"classifiers": own})
    load_classifier.cache_clear()
    with pytest.raises(RuntimeError, match="not as it was released"):
        load_classifier("back")
    load_classifier.cache_clear()


def test_shipped_files_are_small_and_complete() -> None:
    folder = resources.files("walkrisk.epochs") / "trained"
    files = sorted(f.name for f in folder.iterdir())
    assert files == ["back.ubj", "classifiers.json", "thigh.ubj", "thigh_back.ubj"]
    assert sum(len(f.read_bytes()) for f in folder.iterdir()) < 3_000_000
    for kind in KINDS:
        assert tuple(metadata()["classifiers"][kind]["features"]) == feature_names(kind)
