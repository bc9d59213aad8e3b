"""Reading a file that cannot be trusted: its header, its JSON and its tensors."""

import os
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..backends._errors import printable, shown
from ..common.checks import check_path
from ..common.version import VERSION
from .container import KEY, TYPES, checksum
from .forms import MAX_MESSAGE, ModelFileError, fields, text
from .older import upgraded
from .schema import FILE, FORMATS, OLDER_FILE, WITH_ONE_METRIC
from .strict_json import parse


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the tensors of a file, after verifying its checksum.

    The content has the fields and the types that :data:`.schema.FILE` describes. Time and memory
    are bounded by the size of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        There is no such file, or it cannot be opened.
    ModelFileError
        The file was not written by xpnet, or was truncated or altered. The message begins with the
        path.
    """
    path = check_path("path", path)
    try:
        return _read(path)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {printable(error, MAX_MESSAGE)}") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    entry, raw = _entry_and_bytes(path)
    arrays = _tensors(raw)
    del raw
    content_text = entry["content"]
    try:
        actual = checksum(content_text, arrays)
    except UnicodeEncodeError as error:
        raise ModelFileError(f"was altered since it was saved ({error})") from error
    if entry["sha256"] != actual:
        raise ModelFileError("was altered since it was saved (its checksum differs)")
    return content_of(content_text), arrays


def content_of(description: str) -> dict[str, Any]:
    """Return the content of a JSON description, with the fields of :data:`.schema.FILE`.

    Raises
    ------
    ModelFileError
        The text does not describe a network, or is of an unknown format.
    """
    content: dict[str, Any] = parse(description, "the description of the network")
    _check_format(content)
    if content["format"] == FORMATS[0]:
        content.setdefault("xpnet", "0.1.0")  # the only version that wrote it
    check = OLDER_FILE if content["format"] in WITH_ONE_METRIC else FILE
    check(content, "the network")
    return content if content["format"] == FORMATS[-1] else upgraded(content)


def _entry_and_bytes(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return xpnet's entry in the header, and all bytes of the file."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        inside = sorted(each.name for each in path.glob("checkpoint-*.safetensors"))
        advice = (
            f"the newest checkpoint in it is {path / inside[-1]}"
            if inside
            else "give the path of a file in it"
        )
        raise IsADirectoryError(f"{path}: a folder: {advice}")
    if not path.is_file():
        raise ModelFileError("not a regular file")
    with path.open("rb") as file:  # only once: another process may replace the file
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError("not a regular file")
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= status.st_size - 8:
            raise _incomplete("its header is cut off")
        header = file.read(length)
        entry = _entry(header)
        return entry, b"".join((first, header, file.read()))


def _entry(raw: bytes) -> dict[str, Any]:
    """Return xpnet's entry in the header of a file."""
    try:
        header = parse(raw.decode("utf-8"), "its header")
    except (UnicodeDecodeError, ModelFileError) as error:
        raise _incomplete(error) from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(metadata, dict | None):
        raise _incomplete("its header does not list tensors")
    if metadata is None or type(metadata.get(KEY)) is not str:
        raise ModelFileError("a safetensors file, but not one that xpnet wrote")
    try:
        entry: dict[str, Any] = parse(metadata[KEY], "its entry")
        fields({"content": text, "sha256": text})(entry, "its entry")
    except ModelFileError as error:
        raise ModelFileError(f"was altered since it was saved ({error})") from error
    return entry


def _tensors(raw: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a file by name; refuse overlaps, gaps and bytes at the end."""
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(raw)  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError) as error:
        raise _incomplete(error) from error
    arrays = {}
    for name, tensor in found:
        shape, dtype = tensor["shape"], TYPES.get(tensor["dtype"])
        if dtype is None:
            raise ModelFileError(
                f"the tensor {shown(name)} has the type {tensor['dtype']}: expected one of "
                f"{', '.join(TYPES)}"
            )
        try:
            arrays[name] = np.frombuffer(tensor["data"], dtype).reshape(shape)
        except ValueError as error:  # too many dimensions
            raise ModelFileError(f"the tensor {shown(name)} is damaged: {error}") from error
    return arrays


def _incomplete(reason: object) -> ModelFileError:
    return ModelFileError(
        f"not a complete safetensors file ({reason}). It was truncated, or is another kind of "
        "file: save the network again"
    )


def _check_format(content: Any) -> None:
    """Refuse an unknown format; the message says which version of xpnet wrote it."""
    given = content.get("format") if isinstance(content, dict) else None
    if type(given) is not str:
        raise ModelFileError("the description of the network names no format: save it again")
    if given not in FORMATS:
        by = content.get("xpnet")
        writer = f"xpnet {shown(by)[1:-1]}" if type(by) is str else "another version of xpnet"
        raise ModelFileError(
            f"has the format {shown(given)}, which {writer} wrote, but this xpnet {VERSION} reads "
            f"{', '.join(map(repr, FORMATS))}: update xpnet, or save the network again"
        )
