"""A row to compare with: one label per non-overlapping 5-s window, in the manner of Bach et al. 2021.

Our own short version (means, SDs, quantiles, correlations and spectra of gravity and movement, 200 boosted trees a
class instead of 1024), not the authors' code or model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xgboost
from labelled import RATE_HZ, UNLABELLED, Person
from scipy.signal import butter, sosfiltfilt

from walkrisk.epochs.activities import ACTIVITIES, UNKNOWN

WINDOW_S = 5
SOS = butter(4, 1.0, fs=RATE_HZ, output="sos")
PARAMETERS = {"objective": "multi:softprob", "num_class": len(ACTIVITIES), "tree_method": "hist", "max_bin": 64}
PARAMETERS |= {"eta": 0.3, "max_depth": 5, "nthread": 1, "seed": 1}


def windowed_baseline(people: Sequence[Person], fold: Mapping[str, int]) -> dict[str, npt.NDArray[np.int8]]:
    """Person -> codes (s,), from classifiers of the other folds."""
    data = {p.key: _windows(p) for p in people}
    out = {}
    for k in sorted(set(fold.values())):
        train = [data[p.key] for p in people if fold[p.key] != k]
        x, y = np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train])
        booster = xgboost.train(PARAMETERS, xgboost.QuantileDMatrix(x[y >= 0], label=y[y >= 0], max_bin=64), 200)
        for p in (p for p in people if fold[p.key] == k):
            codes = np.full(len(p.labels), UNKNOWN, dtype=np.int8)
            found = np.repeat(booster.inplace_predict(data[p.key][0]).argmax(axis=1), WINDOW_S)
            codes[: len(found)] = found
            out[p.key] = codes
    return out


def _windows(person: Person) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Features (w, p) and majority labels (w,) of whole windows; gaps are bridged by their last value."""
    w = len(person.labels) // WINDOW_S
    raw = np.concatenate([person.back, person.thigh])
    last = np.maximum.accumulate(np.where(np.isnan(raw[0]), 0, np.arange(raw.shape[1])))
    raw = np.nan_to_num(raw[:, last])
    raw = np.concatenate([raw, [np.linalg.norm(raw[:3], axis=0), np.linalg.norm(raw[3:], axis=0)]])
    a = raw[:, : w * WINDOW_S * RATE_HZ].reshape(8, w, -1)
    gravity = sosfiltfilt(SOS, a, axis=2)
    movement = a - gravity
    power = np.abs(np.fft.rfft(movement, axis=2)) ** 2 + 1e-9
    hz = np.arange(power.shape[2]) / WINDOW_S
    columns = [
        gravity.mean(2), gravity.std(2), *np.quantile(gravity, [0, 0.25, 0.5, 0.75, 1], axis=2), movement.std(2),
        (movement**3).mean(2), (movement**4).mean(2), np.abs(movement).max(2), np.log(power.sum(2)),
        power.argmax(2) / WINDOW_S, (power * hz).sum(2) / power.sum(2), power.max(2) / power.sum(2),
    ]  # fmt: skip
    scaled = (movement - movement.mean(2, keepdims=True)) / (movement.std(2, keepdims=True) + 1e-6)
    pairs = [(scaled[i] * scaled[j]).mean(1) for i in range(6) for j in range(i)]
    x = np.concatenate([np.concatenate(columns), pairs]).T.astype(np.float32)
    labels = person.labels[: w * WINDOW_S].reshape(w, WINDOW_S)
    votes = np.stack([(labels == c).sum(axis=1) for c in range(len(ACTIVITIES))], axis=1)
    return x, np.where((labels == UNLABELLED).any(axis=1), -1, votes.argmax(axis=1))
