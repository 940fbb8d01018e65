"""A small simulated cohort, for trying things out and for the examples of the documentation."""

from __future__ import annotations

import numpy as np
import pandas as pd


def example_cohort(n: int = 2000, *, seed: int = 1) -> pd.DataFrame:
    """A SIMULATED cohort (n rows) with known truth; nobody in it exists.

    Columns: `event` (0/1 after `follow_up_years`), `time_years` to event or end, `walking_min_day`, `intensity_met`,
    `sleep_min`, `sitting_min`, `light_min` (with the walking, a day of 1,440 minutes), `age`, `sex`, `smoking`
    (never, former, current), `bmi`, `area` (40 areas) and `weight`. True risk:

        log risk = -1.9 - 0.25 log2(walking/100) + 0.015 (age - 55) + 0.25 current + 0.03 (bmi - 26), at most log 0.95

    Raises ValueError unless n is at least 50.

    >>> cohort = example_cohort()
    >>> int(cohort["event"].sum())
    356
    """
    if n < 50:
        raise ValueError("an example needs 50 rows or more")
    rng = np.random.default_rng(seed)
    age = np.round(np.clip(rng.normal(55, 13, n), 20, 95), 1)
    sex = np.where(rng.random(n) < 0.55, "female", "male")
    smoking = np.array(["never", "former", "current"])[rng.choice(3, n, p=[0.5, 0.34, 0.16])]
    bmi = np.round(np.clip(rng.normal(26.5, 4, n), 16, 50), 1)
    walking = np.round(100 * np.exp(rng.normal(0, 0.45, n) - 0.008 * (age - 55)), 1)
    intensity = np.round(np.clip(rng.normal(3.2, 0.2, n) - 0.004 * (age - 55), 2.8, 4.2), 3)
    risk = np.exp(
        -1.9 - 0.25 * np.log2(walking / 100) + 0.015 * (age - 55) + 0.25 * (smoking == "current") + 0.03 * (bmi - 26)
    )
    event = (rng.random(n) < np.minimum(risk, 0.95)).astype(np.int64)
    follow_up = np.round(rng.uniform(3.5, 4.9, n), 2)
    time = np.where(event == 1, np.round(follow_up * rng.uniform(0.02, 1, n), 2), follow_up)
    sleep = np.round(np.clip(rng.normal(470, 55, n), 250, 700), 1)
    light = np.round(np.clip(rng.normal(230, 70, n), 30, 480), 1)
    return pd.DataFrame(
        {
            "event": event,
            "time_years": np.maximum(time, 0.01),
            "walking_min_day": walking,
            "intensity_met": intensity,
            "sleep_min": sleep,
            "sitting_min": np.round(1440 - sleep - light - walking, 1),
            "light_min": light,
            "age": age,
            "sex": sex,
            "smoking": pd.Categorical(smoking, categories=["never", "former", "current"]),
            "bmi": bmi,
            "area": rng.integers(1, 41, n),
            "weight": np.round(rng.uniform(0.5, 2.0, n), 3),
        }
    )
