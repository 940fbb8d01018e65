"""From the activity probabilities of single seconds to one activity a second: a hidden Markov model over the recording.

With transition matrix A, start p and evidence e_t (see `Transition`), the smoothed probability of activity x at t
is proportional to f_t(x) b_t(x), where f_t = (f_{t-1} A) * e_t and b_{t-1} = A (e_t * b_t): the forward-backward
recursions (Rabiner 1989, doi 10.1109/5.18626). The activity given is the most probable one of each second, not
the most probable sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.epochs.activities import UNKNOWN, Codes

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

BLOCK_S = 1024
LEAST = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How activities follow each other from second to second.

    `matrix` (k, k): row i holds the probabilities of what follows activity i. `start` (k,): at the start of a chain.
    `weight` (k,): the evidence of a second for activity i is (weight_i * probability_i) ** exponent. The exponent is
    below 1 because neighbouring seconds are classified from overlapping windows and so repeat each other's evidence.
    `groups` (k,): activities of one number are first added up against the others, as walking and stairs; between the
    activities of one group the second's own probabilities decide.
    """

    matrix: F64
    start: F64
    weight: F64
    exponent: float
    groups: npt.NDArray[np.intp]

    @staticmethod
    def of(values: Mapping[str, object]) -> Transition:
        """From the lists of a model's metadata; ValueError where they are no Markov chain."""
        matrix, start, weight = (np.array(values[n], dtype=np.float64) for n in ("matrix", "start", "weight"))
        k = len(start)
        exponent = float(str(values["exponent"]))
        groups = np.array(values["groups"], dtype=np.intp)
        rows = np.vstack([matrix.reshape(-1, k), start])
        if matrix.shape != (k, k) or (rows < 0).any() or not np.allclose(rows.sum(axis=1), 1, atol=1e-6):
            raise ValueError("each row of a transition matrix, and its start, must be probabilities that add up to 1")
        if weight.shape != (k,) or groups.shape != (k,) or not (weight > 0).all() or not exponent > 0:
            raise ValueError("weights must be positive, weights and groups one an activity, and the exponent positive")
        return Transition(matrix=matrix, start=start, weight=weight, exponent=exponent, groups=groups)


def smooth(probabilities: F32, transition: Transition) -> tuple[Codes, F32]:
    """Activity code (s,) int8 and its group's smoothed probability (s,) float32 of each second of a whole recording.

    `probabilities` (s, k), rows of NaN where unknown: those seconds get code -1 and probability NaN, and the chain
    starts anew after them. Exact for any length: messages pass from block to block through transfer matrices, so that
    all blocks of the week are computed side by side.
    """
    s = len(probabilities)
    unknown: Bools = np.asarray(np.isnan(probabilities).any(axis=1))
    if s == 0 or unknown.all():
        return np.full(s, UNKNOWN, dtype=np.int8), np.full(s, np.nan, dtype=np.float32)
    evidence = (np.clip(probabilities, LEAST, 1).astype(np.float64) * transition.weight) ** transition.exponent
    evidence[unknown] = 1.0
    forward = _messages(evidence, unknown, transition.matrix, transition.start)
    level = np.full(len(transition.start), 1 / len(transition.start))
    following = _messages(evidence[::-1], unknown[::-1], transition.matrix.T, level, open_end=True)[::-1]
    both = forward * following
    both[~unknown] /= both[~unknown].sum(axis=1, keepdims=True)
    together = both @ (transition.groups[:, None] == np.arange(transition.groups.max() + 1))
    chosen = together.argmax(axis=1)
    own = np.where(transition.groups == chosen[:, None], probabilities, np.float32(-1))
    codes = own.argmax(axis=1).astype(np.int8)
    probability = together.max(axis=1).astype(np.float32)
    codes[unknown], probability[unknown] = UNKNOWN, np.nan
    return codes, probability


def _messages(evidence: F64, broken: Bools, matrix: F64, start: F64, *, open_end: bool = False) -> F64:
    """Messages (s, k), each scaled to sum 1: before the evidence of its own second if `open_end`, else with it.

    m_0 = start; m_t = (m_{t-1} * e) A, and `start` again after a broken second.
    """
    s, k = evidence.shape
    blocks = -(-s // BLOCK_S)
    e = np.ones((blocks * BLOCK_S, k))
    e[:s] = evidence
    stop = np.zeros(blocks * BLOCK_S, dtype=np.bool_)
    stop[:s] = broken
    e, stop = e.reshape(blocks, BLOCK_S, k), stop.reshape(blocks, BLOCK_S)
    carry = np.broadcast_to(np.eye(k), (blocks, k, k)).copy()  # what becomes of each state over a block
    for t in range(BLOCK_S):
        carry = _advance(carry, e[:, t], stop[:, t], matrix, start)
    first = np.empty((blocks, 1, k))
    now = start[None]
    for i in range(blocks):
        first[i] = now
        now = now @ carry[i]
        now = now / now.sum()
    out = np.empty((blocks, BLOCK_S, k))
    for t in range(BLOCK_S):
        with_own = first * e[:, t, None]
        out[:, t] = (first if open_end else with_own)[:, 0]
        first = _advance(first, e[:, t], stop[:, t], matrix, start)
    flat = out.reshape(-1, k)[:s]
    result: F64 = flat / flat.sum(axis=1, keepdims=True)
    return result


def _advance(m: F64, e: F64, stop: Bools, matrix: F64, start: F64) -> F64:
    """Messages (blocks, r, k) one second on; scaled over each block's r rows together, which keeps their ratios."""
    new: F64 = ((m * e[:, None]).reshape(-1, matrix.shape[0]) @ matrix).reshape(m.shape)  # one product for all blocks
    if stop.any():
        new[stop] = m[stop].sum(axis=2, keepdims=True) * start
    new /= new.sum(axis=(1, 2), keepdims=True)
    return new
