"""MNIST: images of handwritten digits, from files in the IDX format."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backends._cache_folder import cache_folder
from ..common.checks import check_count, check_string
from ..data import Dataset, read_idx
from ..data.decompressing import MAX_BYTES, DamagedFileError
from .files import check_checksum, download, download_again, named_folder
from .layouts import NAMES, find_files, spellings


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


def load_mnist(
    folder: str | Path | None = None, *, split: str | None = None, max_bytes: int = MAX_BYTES
) -> tuple[Dataset, Dataset]:
    """Return MNIST: 60,000 + 10,000 images of handwritten digits, 28×28 pixels from 0 to 255.

    It also reads data sets that are stored like MNIST: Fashion-MNIST, KMNIST, EMNIST.

    Parameters
    ----------
    folder : str or Path, optional
        The folder of the four IDX files, compressed or not. They may also be in its subfolders
        ``mnist``, ``raw``, ``MNIST/raw``, ``FashionMNIST/raw`` or ``KMNIST/raw``, where torchvision
        stores them. EMNIST's files may be in the folder itself, or in ``gzip``, ``raw`` or
        ``EMNIST/raw``. Files with MNIST's names in the folder itself take precedence; otherwise
        there must be only one data set. By default it is the folder ``mnist`` in the folder that
        the environment variable ``XPNET_DATA`` names. Without that variable, the files are
        downloaded once into the user's cache, or the folder that ``XPNET_CACHE`` names. The
        checksums of files in the cache are compared each time they are read; a damaged file is
        downloaded again.
    split : str, optional
        Which part of EMNIST to read, e.g. ``"letters"``; needed if there are several.
    max_bytes : int, default 1,073,741,824
        The maximum decompressed size of a compressed file.

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (60000, 784) or (10000, 784), ``uint8``; ``y`` ``int64``, 0 to 9. Other data
        sets have other numbers of images, pixels and classes: EMNIST's letters are 1 to 26, for
        which a network needs 27 outputs. EMNIST's images are transposed relative to MNIST's, and
        are returned as they are stored.

    Raises
    ------
    FileNotFoundError
        The folder lacks a file.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        A download is needed, but pooch is not installed.
    ValueError
        A file is damaged, does not hold images or labels, or exceeds ``max_bytes``. Or the folder
        holds several data sets; the message names them. Or ``max_bytes`` is below 1, or ``split``
        is given without a folder: EMNIST is not downloaded.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (1998). The IDX format: yann.lecun.com/exdb/mnist.

    G. Cohen, S. Afshar, J. Tapson, A. van Schaik: "EMNIST: Extending MNIST to handwritten letters",
    IJCNN 2017.

    Examples
    --------
    >>> from xpnet.datasets import load_mnist
    >>> train, test = load_mnist("data/mnist")  # doctest: +SKIP
    >>> train  # doctest: +SKIP
    Dataset(60000 samples, 784 features of uint8 on cpu, labels of int64)

    Your own data set in the same format:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> def idx(array):
    ...     sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    ...     return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
    >>> images, labels = np.zeros((3, 28, 28), "uint8"), np.array([0, 1, 0], "uint8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "t10k"):
    ...         _ = Path(folder, f"{part}-images-idx3-ubyte").write_bytes(idx(images))
    ...         _ = Path(folder, f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    ...     train, test = load_mnist(folder)
    >>> train.X.shape, train.y.tolist()
    ((3, 784), [0, 1, 0])
    """
    max_bytes = check_count("max_bytes", max_bytes)
    named = named_folder(folder, "mnist")
    if split is not None:
        check_string("split", split)
        if named is None:
            raise ValueError(
                f"split={split!r} chooses among EMNIST's files in a folder, and EMNIST is not "
                "downloaded: give folder="
            )
    place = named or cache_folder() / "mnist"
    if named:
        paths = find_files(named, split, _URL)
        arrays = [_read_part(paths[name], name, max_bytes) for name in NAMES]
    else:
        arrays = _read_cached(place, max_bytes)
    train_X, train_y, test_X, test_y = arrays
    if train_X.shape[1:] != test_X.shape[1:]:
        raise ValueError(
            f"{place}: the training images have {train_X.shape[1:]} pixels, but the test images "
            f"have {test_X.shape[1:]}: expected the same shape"
        )
    _check_part(place, "training", train_X, train_y)
    _check_part(place, "test", test_X, test_y)
    largest = max(int(train_y.max()), int(test_y.max()))
    name = "digit" if largest <= 9 else "class"
    return _part(train_X, train_y, name), _part(test_X, test_y, name)


def _read_cached(folder: Path, max_bytes: int) -> list[np.ndarray]:
    """Download the files that the cache lacks, then read all four."""
    found = {
        name: [path for path in spellings(folder, name) if path.is_file()]
        or [_download(name, folder)]
        for name in NAMES
    }
    return [_read_intact(paths, name, max_bytes) for name, paths in found.items()]


def _read_intact(paths: list[Path], name: str, max_bytes: int) -> np.ndarray:
    """Read the first file that has MNIST's checksum, or download it again."""
    damages = []
    for path in paths:
        try:
            return _read_known(path, name, max_bytes)
        except DamagedFileError as error:
            damages.append(error)
    sha256 = _FILES[name].compressed
    path = download_again(damages[0], _URL, f"{name}.gz", sha256, paths[0].parent)
    return _read_known(path, name, max_bytes)


def _download(name: str, folder: Path) -> Path:
    return download(_URL, f"{name}.gz", _FILES[name].compressed, folder)


def _read_known(path: Path, name: str, max_bytes: int) -> np.ndarray:
    """Read a file of MNIST and compare it with its checksum."""
    array = _read_part(path, name, max_bytes)
    # An array of bytes has only one encoding in the format.
    digest = hashlib.sha256(bytes([0, 0, 8, array.ndim]))
    digest.update(np.array(array.shape, ">u4").tobytes())
    digest.update(array.data)
    check_checksum(path, digest.hexdigest(), _FILES[name].content)
    return array


def _read_part(path: Path, name: str, max_bytes: int) -> np.ndarray:
    """Read images, which have 3 dimensions, or labels, which have 1."""
    array = read_idx(path, max_bytes=max_bytes)
    n_dimensions = 3 if "images" in name else 1
    if array.dtype != np.uint8 or array.ndim != n_dimensions:
        raise DamagedFileError(
            f"{path} has {array.dtype.name} values in {array.ndim} dimension(s): expected uint8 "
            f"in {n_dimensions}"
        )
    return array


def _check_part(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    if len(images) != len(labels) or images.size == 0:
        raise ValueError(
            f"{folder}: the {part} files have {images.shape} pixels and {len(labels)} labels; "
            "expected one label per image"
        )


def _part(images: np.ndarray, labels: np.ndarray, name: str) -> Dataset:
    X, y = images.reshape(len(images), -1), labels.astype(np.int64)
    return Dataset(X, y, label_name=name)
