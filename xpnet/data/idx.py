"""Arrays in the IDX file format of MNIST and similar data sets."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..common.checks import check_count, check_path
from .decompressing import MAX_BYTES, DamagedFileError, Decompressed, decompressed

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_DIMENSIONS = 64
"""NumPy's limit on the dimensions of an array."""


def read_idx(path: str | Path, *, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Read an array from a file in the IDX format, compressed with gzip or not.

    Parameters
    ----------
    path : str or Path
        Compression is detected from the file's content, not from its name.
    max_bytes : int, default 1,073,741,824
        The maximum decompressed size of a compressed file. An uncompressed file has no limit.

    Returns
    -------
    array
        A writable array of one or more dimensions, in native byte order: ``uint8`` (type code 08),
        ``int8`` (09), ``int16`` (0B), ``int32`` (0C), ``float32`` (0D) or ``float64`` (0E).

    Raises
    ------
    OSError
        The file cannot be read: ``FileNotFoundError`` if it does not exist.
    TypeError
        ``path`` is not a path.
    ValueError
        The file is not in the IDX format, is damaged, has fewer or more bytes than its header says,
        or is larger than ``max_bytes`` when decompressed. No memory is allocated for bytes that the
        file does not have. Or ``max_bytes`` is not an integer above 0.

    References
    ----------
    The IDX format: yann.lecun.com/exdb/mnist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from xpnet.data import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path, max_bytes = check_path("path", path), check_count("max_bytes", max_bytes)
    with decompressed(path, max_bytes) as file:
        dtype, shape = _read_header(path, file)
        size = math.prod(shape) * dtype.itemsize
        content = file.read_all(size + 1)
    if len(content) != size:
        found = f"only {len(content):,}" if len(content) < size else "more"
        raise DamagedFileError(
            f"{path} has {found} bytes of data, but its header says {shape} of "
            f"{dtype.name}, {size:,} bytes: it is damaged, so get it again"
        )
    array = np.frombuffer(content, dtype).reshape(shape)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def _read_header(path: Path, file: Decompressed) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read two zeros, the type, the number of dimensions, and each size in 4 bytes."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        types = ", ".join(f"{code:02x}" for code in _TYPES)
        raise DamagedFileError(
            f"{path} is not an IDX file: it begins with {start.hex(' ')!r}, expected '00 00', a "
            f"type ({types}) and the number of dimensions"
        )
    dtype, n_dimensions = _TYPES[start[2]], start[3]
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise DamagedFileError(
            f"{path} has a header that says {n_dimensions} dimensions: expected 1 to "
            f"{_MAX_DIMENSIONS}, NumPy's limit"
        )
    sizes = file.read(4 * n_dimensions)
    if len(sizes) < 4 * n_dimensions:
        raise DamagedFileError(
            f"{path} ends after {4 + len(sizes)} bytes: expected a header of "
            f"{4 + 4 * n_dimensions} bytes for {n_dimensions} dimension(s)"
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    # NumPy limits the product of the nonzero sizes, even for an empty array.
    if math.prod(size for size in shape if size) * dtype.itemsize > sys.maxsize:
        raise DamagedFileError(
            f"{path} has a header that says {shape} of {dtype.name}: it is damaged, since no "
            "computer has memory for that"
        )
    return dtype, shape
