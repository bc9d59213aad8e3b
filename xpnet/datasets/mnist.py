"""MNIST: images of handwritten digits, from files in the IDX format."""

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data import Dataset
from .decompressing import check_checksum, decompressed
from .digits import DIGITS
from .files import cache_folder, download, named_folder


class _Checksums(NamedTuple):
    """SHA-256 of a file as it is downloaded, and of its decompressed content."""

    compressed: str
    content: str


_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FILES = {
    "train-images-idx3-ubyte": _Checksums(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": _Checksums(
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": _Checksums(
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": _Checksums(
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_MOST_IDX_BYTES = 16 * 60_000 * 28 * 28
"""Sixteen times the size of MNIST's training images, since similar data sets are larger."""


def load_mnist(folder: str | Path | None = None) -> tuple[Dataset, Dataset]:
    """Return MNIST: 60,000 + 10,000 images of handwritten digits, 28×28 pixels from 0 to 255.

    Parameters
    ----------
    folder : str or Path, optional
        The folder of the four IDX files, compressed or not. By default it is the folder ``mnist``
        in the folder that the environment variable ``XPNET_DATA`` names. Without that variable,
        the files are downloaded once into the user's cache, or the folder that ``XPNET_CACHE``
        names. Files in the cache are compared with their checksums each time they are read.

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (60000, 784) or (10000, 784), ``uint8``; ``y`` ``int64``, 0 to 9.

    Raises
    ------
    FileNotFoundError
        The folder lacks a file.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        A download is needed, but pooch is not installed.
    ValueError
        A file is damaged, does not belong to MNIST, or is more than sixteen times as large as
        MNIST's largest file.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (1998). The IDX format: yann.lecun.com/exdb/mnist.
    """
    named = named_folder(folder, "mnist")
    place = named or cache_folder() / "mnist"
    files = {name: _find_idx(place, name) for name in _FILES}
    missing = [name for name, path in files.items() if path is None]
    if missing and named:
        raise FileNotFoundError(
            f"{place} lacks {', '.join(missing)} (or with .gz): they are at {_URL}; "
            "load_mnist() without a folder, and without XPNET_DATA, downloads them"
        )
    for name in missing:
        files[name] = download(_URL, f"{name}.gz", _FILES[name].compressed, place)
    # A folder that the user named may hold another data set in the same format.
    train_X, train_y, test_X, test_y = (
        _read_idx(files[name], name, None if named else known.content)
        for name, known in _FILES.items()
    )
    if train_X.shape[1:] != test_X.shape[1:]:
        raise ValueError(
            f"{place}: the training images have {train_X.shape[1:]} pixels, but the test images "
            f"have {test_X.shape[1:]}: expected the same shape"
        )
    return _part(place, "train", train_X, train_y), _part(place, "t10k", test_X, test_y)


def _find_idx(folder: Path, name: str) -> Path | None:
    """Return the file of that name, spelled with a dash or a dot, compressed or not."""
    spellings = (name, name.replace("-idx", ".idx"))
    paths = [folder / (spelling + end) for spelling in spellings for end in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _read_idx(path: Any, name: str, sha256: str | None = None) -> np.ndarray:
    """Return the bytes of an IDX file as an array: of 3 dimensions for images, 1 for labels.

    With ``sha256``, its content is compared with this checksum.
    """
    n_dimensions = 3 if "images" in name else 1
    # Two zeros, the type (8: unsigned bytes), how many dimensions, and each as 4 bytes.
    start = 4 + 4 * n_dimensions
    with decompressed(path, start + _MOST_IDX_BYTES) as file:
        header = file.read(start)
        if header[:4] != bytes([0, 0, 8, n_dimensions]) or len(header) < start:
            raise ValueError(
                f"{path} is not an IDX file of bytes in {n_dimensions} dimension(s): it begins "
                f"with {header[:4].hex(' ')!r}, expected '00 00 08 0{n_dimensions}'"
            )
        shape = tuple(int(size) for size in np.frombuffer(header[4:], dtype=">u4"))
        size = math.prod(shape)
        if size > _MOST_IDX_BYTES:
            raise ValueError(
                f"{path} has a header that says {shape}, {size:,} bytes: expected at most "
                f"{_MOST_IDX_BYTES:,}"
            )
        content = file.read_all(size + 1)
    if len(content) != size:
        found = f"only {len(content)}" if len(content) < size else "more"
        raise ValueError(
            f"{path} has {found} bytes of data, but its header says {shape}: it is damaged, so "
            "get it again"
        )
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(content)
        check_checksum(path, digest.hexdigest(), sha256)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _part(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> Dataset:
    if len(images) != len(labels) or images.size == 0:
        raise ValueError(
            f"{folder}: the {part} files have {images.shape} pixels and {len(labels)} labels; "
            "expected one label per image"
        )
    if labels.max() > 9:
        raise ValueError(f"{folder}: the {part} labels go up to {labels.max()}, expected 0 to 9")
    X, y = images.reshape(len(images), -1), labels.astype(np.int64)
    return Dataset(X, y, label_name="digit", class_names=DIGITS)
