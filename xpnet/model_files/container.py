"""The file: tensors in safetensors, and the rest as JSON in its metadata, with a checksum."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..common.checks import check_new_path, check_path
from ..common.replacing import replacing
from .describing import ModelFileError
from .tensors import plain, write_tensors

FORMAT = "xpnet-2"
KEY = "xpnet"


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a file; see :func:`xpnet.common.replacing.replacing` for what it replaces."""
    arrays = {name: plain(name, array) for name, array in arrays.items()}
    text = json.dumps(content)
    metadata = {KEY: json.dumps({"content": text, "sha256": checksum(text, arrays)})}
    with replacing(check_new_path("path", path)) as file:
        write_tensors(file, arrays, metadata)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the tensors of a file, after verifying its checksum."""
    from safetensors import SafetensorError, safe_open

    if not check_path("path", path).is_file():
        reason = ", but it is a folder" if Path(path).is_dir() else ""
        raise FileNotFoundError(f"{os.fspath(path)}: there is no such file{reason}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not a complete safetensors file ({error}). It was truncated, or is another "
            "kind of file: save the network again"
        ) from error
    if KEY not in metadata:
        raise ModelFileError(f"{path}: a safetensors file, but not one that xpnet wrote")
    try:
        entry = json.loads(metadata[KEY])
        text, saved = entry["content"], entry["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path}: was altered since it was saved ({error})") from error
    if saved != checksum(text, arrays):
        raise ModelFileError(f"{path}: was altered since it was saved (its checksum differs)")
    content: dict[str, Any] = json.loads(text)
    if content["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: has the format {content['format']!r}, but this version of xpnet reads "
            f"{FORMAT!r}: update xpnet, or save the network again"
        )
    return content, arrays


def checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    """Return the checksum of the JSON text and of all tensors, with their names and shapes."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
