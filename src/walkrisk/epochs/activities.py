"""The activities that the classifier tells apart, and their codes in its per-second arrays."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int8]

ACTIVITIES = ("walking", "stairs", "running", "standing", "shuffling", "sitting", "lying", "cycling")
"""Code i is ACTIVITIES[i]."""

CODE = {name: code for code, name in enumerate(ACTIVITIES)}
Kind = Literal["thigh+back", "thigh", "back"]
KINDS: tuple[Kind, ...] = ("thigh+back", "thigh", "back")
"""The sensors that a second can be classified from, coded 1, 2, 3 in per-second arrays; 0 is not classified."""

UNKNOWN = -1
"""Code of a second without enough signal."""
