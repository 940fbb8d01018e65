"""The shipped classifiers load, refuse what is not theirs, and name plain postures and movements."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from walkrisk.epochs.activities import ACTIVITIES, CODE, ActivitySettings, merge
from walkrisk.epochs.classifier import KINDS, load_classifier, metadata
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


@pytest.mark.parametrize(
    ("stairs", "shuffling", "expected"),
    [(True, True, [0, 0, 3, 3, 7, -1]), (False, False, [0, 1, 3, 4, 7, -1]), (True, False, [0, 0, 3, 4, 7, -1])],
)
def test_merging_is_declared(stairs: bool, shuffling: bool, expected: list[int]) -> None:
    codes = np.array([CODE[n] for n in ("walking", "stairs", "standing", "shuffling", "cycling")] + [-1], dtype=np.int8)
    merged = merge(codes, ActivitySettings(stairs_as_walking=stairs, shuffling_as_standing=shuffling))
    assert merged.tolist() == expected
    assert merged.dtype == np.int8
