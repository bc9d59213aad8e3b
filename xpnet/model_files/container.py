"""The file: tensors in safetensors, and the rest as JSON in its metadata, with a checksum."""

import hashlib
import json
import os
from typing import Any

import numpy as np

from ..common.checks import check_path
from ..common.replacing import replacing
from .tensors import plain, write_tensors

FORMAT = "xpnet-3"
KEY = "xpnet"


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a file; see :func:`xpnet.common.replacing.replacing` for what it replaces."""
    arrays = {name: plain(name, array) for name, array in arrays.items()}
    text = json.dumps(content)
    metadata = {KEY: json.dumps({"content": text, "sha256": checksum(text, arrays)})}
    with replacing(check_path("path", path)) as file:
        write_tensors(file, arrays, metadata)


def checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    """Return the checksum of the JSON text and of all tensors, with their names and shapes."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return digest.hexdigest()
