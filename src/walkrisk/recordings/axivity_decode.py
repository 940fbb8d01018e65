"""Sectors of a .cwa file -> accelerations in g, many blocks at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.axivity_format import PAYLOAD
from walkrisk.recordings.recording import AxesArray

Sectors = npt.NDArray[np.uint8]
PACKED = 0x30
_TOP_TEN = np.uint32(0xFFC00000)
_LIFT = (22, 12, 2)  # brings x, y, z of a packed word to its top ten bits
_EXPONENT = np.uint32(30)
_FLOAT_BIAS = np.uint32(127 - 30)  # 2^e / 256 g a unit, and the unit stands 2^22 high


def packed_words(sectors: Sectors) -> npt.NDArray[np.uint32]:
    """(b, 120) packed samples of (b, 512) sectors."""
    return np.ascontiguousarray(sectors[:, PAYLOAD]).view("<u4")


def decode(sectors: Sectors, packing: int, unit_g: float, out: AxesArray | None = None) -> AxesArray:
    """(3, b, capacity) float32 accelerations in g of (b, 512) sectors of one layout, into `out` where it is given.

    Packed (AX3): 32-bit words eezzzzzzzzzzyyyyyyyyyyxxxxxxxxxx, each axis a signed 10-bit number times 2^e / 256 g.
    Unpacked: 16-bit numbers times `unit_g`; of 6 axes the gyroscope's three come first, of 9 the magnetometer's last.
    """
    if packing == PACKED:
        return _unpack(packed_words(sectors), out)
    axes = packing >> 4
    fits = 240 // axes
    values = np.ascontiguousarray(sectors[:, PAYLOAD]).view("<i2")[:, : fits * axes].reshape(len(sectors), fits, axes)
    first = 3 if axes > 3 else 0
    out = np.empty((3, len(sectors), fits), np.float32) if out is None else out
    for axis in range(3):
        np.multiply(values[:, :, first + axis], np.float32(unit_g), out=out[axis], casting="unsafe")
    return out


def _unpack(words: npt.NDArray[np.uint32], out: AxesArray | None) -> AxesArray:
    scale = ((words >> _EXPONENT) + _FLOAT_BIAS << np.uint32(23)).view(np.float32)
    out = np.empty((3, *words.shape), np.float32) if out is None else out
    for axis, lift in enumerate(_LIFT):
        top = words << np.uint32(lift)
        top &= _TOP_TEN
        np.multiply(top.view(np.int32).astype(np.float32), scale, out=out[axis])
    return out
