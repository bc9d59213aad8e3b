"""IDX files, plain and compressed."""

import gzip
from pathlib import Path
from random import Random

import numpy as np

from xpnet.data import read_idx

from .damage import damaged
from .target import Target

_CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}
_SIZES = (0, 1, 2**16, 2**31, 2**32 - 1, 60_000)


class Idx(Target):
    """``xpnet.data.read_idx``."""

    name = "idx"
    file = "images-idx3-ubyte"

    def content(self, random: Random) -> bytes:
        """Return a damaged array, or one with a wrong header; half of them are compressed."""
        kind = random.choice(list(_CODES))
        shape = [random.randrange(1, 6) for _ in range(random.randrange(1, 4))]
        values = np.arange(np.prod(shape)).astype(kind)
        sizes = np.array(shape, dtype=">u4")
        if random.random() < 0.3:
            sizes[random.randrange(len(shape))] = random.choice(_SIZES)
        header = bytes([0, 0, _CODES[kind], len(shape)]) + sizes.tobytes()
        content = header + values.tobytes()
        if random.random() < 0.1:
            content += bytes(random.choice((1, 10**6, 10**8)))
        if len(content) > 10**6 or random.random() < 0.5:
            content = gzip.compress(
                content if random.random() < 0.5 else _change(content, random), 1
            )
        return damaged(content, random) if random.random() < 0.7 else content

    def read(self, path: Path) -> np.ndarray:
        """Read the array, with a limit of 16 MB."""
        return read_idx(path, max_bytes=16_000_000)

    def check(self, result: np.ndarray) -> None:
        """Check that the array has a dtype of the format."""
        assert result.dtype.isnative
        assert result.dtype.str.lstrip("<|=") in ("u1", "i1", "i2", "i4", "f4", "f8")


def _change(content: bytes, random: Random) -> bytes:
    return damaged(content, random) if len(content) < 10**6 else content
