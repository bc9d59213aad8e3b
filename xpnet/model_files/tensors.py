"""Writing tensors in the format of safetensors, one after another.

The safetensors library either creates the file itself, with its own permissions, or returns the
whole content, which takes the memory twice. What is written here is the same to the byte; tests
compare the two.
"""

import json
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

CODES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32",
    "int32": "I32", "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8",
    "bool": "BOOL",
}  # fmt: skip
"""The format's name of each NumPy type; the largest come first, so that each number is aligned."""

_ORDER = {name: place for place, name in enumerate(CODES)}


def plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array as the format stores it, contiguous and little-endian.

    Raises
    ------
    TypeError
        The format has no such type.
    """
    if array.dtype.name not in CODES:
        raise TypeError(
            f"the tensor {name!r} has the type {array.dtype.name}, which a file cannot hold: "
            f"expected one of {', '.join(CODES)}"
        )
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return what stands before the tensors."""
    content: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in ordered(arrays):
        array = arrays[name]
        start, end = end, end + array.nbytes
        content[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def ordered(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the tensors in the order of the file."""
    return sorted(arrays, key=lambda name: (_ORDER[arrays[name].dtype.name], name))


def write_tensors(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays from :func:`plain`, and the texts of the metadata, to a file."""
    file.write(header(arrays, metadata))
    for name in ordered(arrays):
        file.write(arrays[name].data)
