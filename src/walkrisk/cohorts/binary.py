"""A walk through the bytes of a file that never goes past their end."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path


class Damaged(Exception):
    """The bytes do not follow their format."""


class Cursor:
    """A position in `buffer`; numbers are read in byte order `order` (`<` or `>`)."""

    def __init__(self, buffer: mmap.mmap, order: str = "<", position: int = 0) -> None:
        self.buffer = buffer
        self.order = order
        self.position = position

    def skip(self, n: int) -> None:
        """Go `n` bytes on; raises Damaged past the end."""
        if n < 0 or self.position + n > len(self.buffer):
            raise Damaged
        self.position += n

    def take(self, n: int) -> bytes:
        """The next `n` bytes."""
        self.skip(n)
        return self.buffer[self.position - n : self.position]

    def expect(self, tag: bytes) -> None:
        """Go past `tag`; raises Damaged if something else stands there."""
        if self.take(len(tag)) != tag:
            raise Damaged

    def number(self, kind: str) -> int:
        """The next whole number, `kind` a letter of the struct module."""
        return int(struct.unpack(self.order + kind, self.take(struct.calcsize(self.order + kind)))[0])

    def texts(self, n: int, width: int, encoding: str) -> tuple[str, ...]:
        """The next `n` texts of `width` bytes, each up to its first zero byte."""
        block = self.take(n * width)
        return tuple(text_of(block[i * width : (i + 1) * width], encoding) for i in range(n))


def text_of(block: bytes, encoding: str) -> str:
    """The text before the first zero byte."""
    return block.split(b"\0", 1)[0].decode(encoding, "replace")


def mapped(path: Path) -> mmap.mmap:
    """The file's bytes, read as they are asked for."""
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
