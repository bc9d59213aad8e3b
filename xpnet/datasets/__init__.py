"""Well-known data sets: scikit-learn's digits, MNIST, and film reviews of IMDB."""

import hashlib
import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..common.checks import check_count
from ..data import Dataset
from .decompressing import check_checksum, decompressed

__all__ = ["load_digits", "load_imdb", "load_mnist"]


class _Checksums(NamedTuple):
    """SHA-256 of a file as it is downloaded, and of its decompressed content."""

    compressed: str
    content: str


_EXTRA = "pip install 'xpnet[data]'"
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST = {
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
_IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/"
_IMDB_FILE = "aclImdb_v1.tar.gz"
_IMDB_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
_GET_IMDB = (
    f"{_IMDB_FILE} is at {_IMDB_URL}; load_imdb() without a path, and without XPNET_DATA, "
    "downloads it"
)
_DIGITS = [str(digit) for digit in range(10)]


def load_digits() -> Dataset:
    """Return scikit-learn's digits: 1797 images of 8×8 pixels, with values from 0 to 16.

    Returns
    -------
    Dataset
        ``X`` of shape (1797, 64), ``uint8``; ``y`` of shape (1797,), ``int64``, 0 to 9.

    Raises
    ------
    ImportError
        scikit-learn is not installed.

    Examples
    --------
    >>> load_digits()
    Dataset(1797 samples, 64 features of uint8 on cpu, labels of int64)
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "load_digits needs scikit-learn, which brings the data: pip install 'xpnet[sklearn]'"
        ) from error
    digits = datasets.load_digits()
    X, y = digits.data.astype(np.uint8), digits.target.astype(np.int64)
    return Dataset(X, y, list(digits.feature_names), "digit", class_names=_DIGITS)


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
    named = _named_folder(folder, "mnist")
    place = named or _cache_folder() / "mnist"
    files = {name: _find_idx(place, name) for name in _MNIST}
    missing = [name for name, path in files.items() if path is None]
    if missing and named:
        raise FileNotFoundError(
            f"{place} lacks {', '.join(missing)} (or with .gz): they are at {_MNIST_URL}; "
            "load_mnist() without a folder, and without XPNET_DATA, downloads them"
        )
    for name in missing:
        files[name] = _download(_MNIST_URL, f"{name}.gz", _MNIST[name].compressed, place)
    # A folder that the user named may hold another data set in the same format.
    train_X, train_y, test_X, test_y = (
        _read_idx(files[name], name, None if named else known.content)
        for name, known in _MNIST.items()
    )
    if train_X.shape[1:] != test_X.shape[1:]:
        raise ValueError(
            f"{place}: the training images have {train_X.shape[1:]} pixels, but the test images "
            f"have {test_X.shape[1:]}: expected the same shape"
        )
    return _mnist_part(place, "train", train_X, train_y), _mnist_part(place, "t10k", test_X, test_y)


def load_imdb(
    path: str | Path | None = None, num_words: int = 10_000, cache: bool = True
) -> tuple[Dataset, Dataset]:
    """Return the Large Movie Review data set as bags of words: 25,000 + 25,000 film reviews.

    Parameters
    ----------
    path : str or Path, optional
        The archive (``.tar.gz``), the folder ``aclImdb`` unpacked from it, or a folder that holds
        either. By default it is the folder ``imdb`` in the folder that the environment variable
        ``XPNET_DATA`` names. Without that variable, the archive (84 MB) is downloaded once into the
        user's cache, or the folder that ``XPNET_CACHE`` names.
    num_words : int, default 10000
        How many words to keep: the most frequent ones in the training part, in order of frequency.
        Equally frequent words are in alphabetical order.
    cache : bool, default True
        Whether to keep the counted words in the user's cache, so that the reviews are read only
        once.

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (25000, num_words), a SciPy CSR array of ``uint8``: 1 if the review has the
        word. It has fewer columns if there are fewer words. ``y`` is ``int64``: 0 is negative, 1 is
        positive. The negative reviews come first; both are sorted by file name.

    Raises
    ------
    FileNotFoundError
        There is no archive or folder of reviews at ``path``.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        SciPy, or pooch for a download, is not installed.
    ValueError
        The archive is damaged, far too large or without reviews, or the archive in the cache has
        a wrong checksum. Or ``num_words`` is below 1.

    References
    ----------
    A. L. Maas et al.: "Learning word vectors for sentiment analysis", ACL 2011.
    """
    num_words = check_count("num_words", num_words)
    if find_spec("scipy") is None:
        raise ImportError(f"load_imdb needs SciPy for its sparse matrices: {_EXTRA}")
    from .text import load_bags

    named = Path(path) if path is not None else _named_folder(None, "imdb")
    source = _find_imdb(named) if named else _download_imdb()
    known = None if named else _IMDB_SHA256
    words, train, test = load_bags(source, _cache_folder() / "imdb" if cache else None, known)
    names = words[:num_words]
    return _imdb_part(*train, names), _imdb_part(*test, names)


# MNIST --------------------------------------------------------------------------------------


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


def _mnist_part(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> Dataset:
    if len(images) != len(labels) or images.size == 0:
        raise ValueError(
            f"{folder}: the {part} files have {images.shape} pixels and {len(labels)} labels; "
            "expected one label per image"
        )
    if labels.max() > 9:
        raise ValueError(f"{folder}: the {part} labels go up to {labels.max()}, expected 0 to 9")
    X, y = images.reshape(len(images), -1), labels.astype(np.int64)
    return Dataset(X, y, label_name="digit", class_names=_DIGITS)


# IMDB ---------------------------------------------------------------------------------------


def _find_imdb(path: Path) -> Path:
    """Return the archive, or the folder with ``train`` and ``test`` in it."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such file or folder: {_GET_IMDB}")
    folders = [folder for folder in (path, path / "aclImdb") if (folder / "train").is_dir()]
    found = [*folders, *sorted(path.glob("*.tar.gz"))]
    if not found:
        raise FileNotFoundError(
            f"{path} holds neither aclImdb nor an archive (.tar.gz): {_GET_IMDB}"
        )
    return found[0]


def _download_imdb() -> Path:
    folder = _cache_folder() / "imdb"
    archive = folder / _IMDB_FILE
    return archive if archive.is_file() else _download(_IMDB_URL, _IMDB_FILE, _IMDB_SHA256, folder)


def _imdb_part(counts: Any, y: np.ndarray, names: list[str]) -> Dataset:
    X = counts[:, : len(names)]
    X.data = np.ones(X.nnz, dtype=np.uint8)
    return Dataset(X, y, names, "sentiment", class_names=["negative", "positive"])


# Where files are ----------------------------------------------------------------------------


def _named_folder(folder: str | Path | None, name: str) -> Path | None:
    """Return the folder that the user named, by argument or by ``XPNET_DATA``."""
    if folder is not None:
        return Path(folder)
    data = os.environ.get("XPNET_DATA")
    return Path(data) / name if data else None


def _cache_folder() -> Path:
    """Return the user's cache folder; pooch knows the place on each operating system."""
    if named := os.environ.get("XPNET_CACHE"):
        return Path(named)
    if find_spec("pooch") is None:
        return Path.home() / ".cache" / "xpnet"
    import pooch

    return Path(pooch.os_cache("xpnet"))


def _download(url: str, file: str, sha256: str, folder: Path) -> Path:
    """Download a file into a folder and check it; errors say how to get it by hand."""
    by_hand = f"put {file} from {url} into {folder} by hand"
    if find_spec("pooch") is None:
        raise ImportError(f"downloading {file} needs pooch: {_EXTRA}, or {by_hand}")
    import pooch

    try:
        found = pooch.retrieve(
            url + file, known_hash=f"sha256:{sha256}", fname=file, path=folder, progressbar=True
        )
    except (OSError, ValueError) as error:  # no network, no disk space, or a wrong checksum
        raise ConnectionError(f"could not download {url}{file} ({error}): {by_hand}") from error
    return Path(found)
