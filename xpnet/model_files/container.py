"""The file: tensors in safetensors, and the rest as JSON in its metadata, with a checksum."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..common.checks import check_new_path
from ..common.replacing import replacing

FORMAT = "xpnet-5"
KEY = "xpnet"

TYPES = {
    "BOOL": "bool",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}
"""NumPy's names of the dtypes that tensors can have, by their names in safetensors."""


_OTHER_FORMATS = {
    ".bin", ".ckpt", ".csv", ".dill", ".gz", ".h5", ".hdf5", ".html", ".joblib", ".jpg", ".json",
    ".jsonl", ".keras", ".md", ".mlmodel", ".npy", ".npz", ".onnx", ".parquet", ".pb", ".pdf",
    ".pickle", ".pkl", ".pmml", ".png", ".pt", ".pth", ".svg", ".tflite", ".tsv", ".txt", ".zip",
}  # fmt: skip
"""Suffixes of other formats, by which other programs would misread a model file."""


def check_model_path(path: Any) -> Path:
    """Return the path of a model file to be written; refuse the suffixes of other formats."""
    checked = check_new_path("path", path)
    if (suffix := checked.suffix).lower() in _OTHER_FORMATS:
        raise ValueError(
            f"{os.fspath(path)}: {suffix} is the suffix of another format, but networks are saved "
            "in the safetensors format: expected a name that ends in .safetensors"
        )
    return checked


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a file, which replaces an older one; see :func:`xpnet.common.replacing.replacing`.

    Raises
    ------
    TypeError
        The format does not support the dtype of an array.
    """
    from safetensors.numpy import save

    arrays = {name: _plain(name, array) for name, array in arrays.items()}
    text = json.dumps(content)
    metadata = {KEY: json.dumps({"content": text, "sha256": checksum(text, arrays)})}
    with replacing(check_new_path("path", path)) as file:
        file.write(save(arrays, metadata))


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array as the file stores it, contiguous and little-endian."""
    if array.dtype.name not in TYPES.values():
        raise TypeError(
            f"the tensor {name!r} has the type {array.dtype.name}, which a file cannot hold: "
            f"expected one of {', '.join(TYPES.values())}"
        )
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    """Return the checksum of the JSON text and of all tensors, with their names and shapes."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return digest.hexdigest()
