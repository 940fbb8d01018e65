"""The simulated people of analyses/minimal_study.toml."""

from __future__ import annotations

import numpy as np
import pandas as pd


def cohort(n: int = 600, seed: int = 1) -> pd.DataFrame:
    """One row a person, every column known."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"p{i:05d}" for i in range(n)],
            "age": rng.normal(55, 12, n).clip(20, 95).round(1),
            "sex": rng.choice(["F", "M"], n),
            "smoking": rng.integers(0, 3, n),
            "steps": rng.gamma(6, 1500, n).round(),
            "activity": rng.integers(1, 4, n),
            "outcome": (rng.random(n) < 0.2).astype(int),
        }
    )
