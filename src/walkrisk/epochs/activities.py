"""The activities that the classifier tells apart, and their codes in its per-second arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int8]

ACTIVITIES = ("walking", "stairs", "running", "standing", "shuffling", "sitting", "lying", "cycling")
"""Code i is ACTIVITIES[i]."""

CODE = {name: code for code, name in enumerate(ACTIVITIES)}
UNKNOWN = -1
"""Code of a second without enough signal."""
