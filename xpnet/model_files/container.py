"""The file: tensors in safetensors, and the rest as JSON in its metadata, with a checksum."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "xpnet-3"
KEY = "xpnet"


def write(
    path: str | os.PathLike[str], content: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a file; a failure leaves an older one at ``path`` as it was."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    text = json.dumps(content)
    metadata = {KEY: json.dumps({"content": text, "sha256": checksum(text, arrays)})}
    _check_place(Path(path))
    temporary = Path(f"{os.fspath(path)}.part")  # so that a full disk does not destroy the old file
    try:
        save_file(arrays, temporary, metadata=metadata)
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"{os.fspath(path)} could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    """Refuse a path that is a folder, or whose folder does not exist."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; give the path of a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} could not be written: there is no folder {path.parent}")


def checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    """Return the checksum of the JSON text and of all tensors, with their names and shapes."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return digest.hexdigest()
