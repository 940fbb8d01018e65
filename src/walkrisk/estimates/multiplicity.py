"""P values adjusted for the number of tests in a family.

With p sorted upwards, p_(1) <= ... <= p_(m):

    bonferroni          min(1, m p)
    holm                running maximum of min(1, (m - i + 1) p_(i))
    benjamini_hochberg  running minimum from the top of min(1, m p_(i)/i)

The first two hold the chance of any false rejection, the last the expected share of false rejections (if tests are
independent or positively dependent).

References: Holm 1979, Scand J Stat 6:65-70; Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ADJUSTMENTS = ("holm", "benjamini_hochberg", "bonferroni")


def adjust_p_values(p_values: npt.ArrayLike, method: str) -> FloatArray:
    """P values (m,) adjusted by "holm", "benjamini_hochberg" or "bonferroni", in the order given.

    Tests without a P value (NaN) stay so and do not count. Raises ValueError for an unknown method, or for values
    outside 0 to 1.

    >>> adjust_p_values([0.01, 0.04, 0.03], "holm").tolist()
    [0.03, 0.06, 0.06]
    """
    if method not in ADJUSTMENTS:
        raise ValueError(f"unknown adjustment of P values {method!r}; choose from {', '.join(ADJUSTMENTS)}")
    p = np.array(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"P values to adjust come in one row, not in the shape {p.shape}.")
    known = ~np.isnan(p)
    tested = p[known]
    if not ((tested >= 0) & (tested <= 1)).all():
        raise ValueError("P values lie between 0 and 1; one to adjust does not.")
    order = np.argsort(tested, kind="stable")
    m, rank = len(tested), np.arange(1, len(tested) + 1)
    ascending = tested[order]
    if method == "bonferroni":
        adjusted = m * ascending
    elif method == "holm":
        adjusted = np.maximum.accumulate((m - rank + 1) * ascending)
    else:
        adjusted = np.minimum.accumulate((m / rank * ascending)[::-1])[::-1]
    back = np.empty(m)
    back[order] = np.minimum(adjusted, 1.0)
    p[known] = back
    return p
