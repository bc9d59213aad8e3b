"""Data sets of courses and papers: digits, MNIST and the film reviews of IMDB."""

import gzip
import math
import os
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ._checks import check_count
from .data import Dataset

__all__ = ["load_digits", "load_imdb", "load_mnist"]

_EXTRA = "pip install 'xpnet[data]'"
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
_IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/"
_IMDB_FILE = "aclImdb_v1.tar.gz"
_IMDB_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
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
        Where the four IDX files are, compressed or not. By default the folder ``mnist`` in the
        one that the environment variable ``XPNET_DATA`` names; without it, files are downloaded
        once into the user's cache (``XPNET_CACHE`` names another one).

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (60000, 784) or (10000, 784), ``uint8``; ``y`` ``int64``, 0 to 9.

    Raises
    ------
    FileNotFoundError
        A file is not in the folder given.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        A download is needed, but pooch is not installed.
    ValueError
        A file is damaged or something else.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (1998). The IDX format: yann.lecun.com/exdb/mnist.
    """
    named = _named_folder(folder, "mnist")
    place = named or _cache_folder() / "mnist"
    files = {name: _find_idx(place, name) for name in _MNIST_MD5}
    missing = [name for name, path in files.items() if path is None]
    if missing and named:
        raise FileNotFoundError(
            f"{place} lacks {', '.join(missing)} (or with .gz): they are at {_MNIST_URL}; "
            "load_mnist() without a folder, and without XPNET_DATA, downloads them"
        )
    for name in missing:
        files[name] = _download(_MNIST_URL, f"{name}.gz", _MNIST_MD5[name], place)
    train_X, train_y, test_X, test_y = (_read_idx(files[name], name) for name in _MNIST_MD5)
    if train_X.shape[1:] != test_X.shape[1:]:
        raise ValueError(
            f"{place}: the training images are of {train_X.shape[1:]} pixels, the test images of "
            f"{test_X.shape[1:]}; expected the same"
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
        either. By default the folder ``imdb`` in the one that the environment variable
        ``XPNET_DATA`` names; without it, the archive (84 MB) is downloaded once into the user's
        cache (``XPNET_CACHE`` names another one).
    num_words : int, default 10000
        How many words to keep: those most frequent in the training part, first the most frequent,
        equally frequent ones in alphabetical order.
    cache : bool, default True
        Keep the counted words in the user's cache, so that the reviews are read only once.

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (25000, num_words), a SciPy CSR array of ``uint8``: 1 where the review has
        the word; fewer columns where there are fewer words. ``y`` ``int64``: 0 negative, 1
        positive. First the negative reviews, then the positive, each sorted by file name.

    Raises
    ------
    FileNotFoundError
        There is nothing at ``path``.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        SciPy, or pooch for a download, is not installed.
    ValueError
        The archive is damaged or has no reviews in it, or ``num_words`` is below 1.

    References
    ----------
    A. L. Maas et al.: "Learning word vectors for sentiment analysis", ACL 2011.
    """
    num_words = check_count("num_words", num_words)
    if find_spec("scipy") is None:
        raise ImportError(f"load_imdb needs SciPy for its sparse matrices: {_EXTRA}")
    from ._text import load_bags

    named = Path(path) if path is not None else _named_folder(None, "imdb")
    source = _find_imdb(named) if named else _download_imdb()
    words, train, test = load_bags(source, _cache_folder() / "imdb" if cache else None)
    names = words[:num_words]
    return _imdb_part(*train, names), _imdb_part(*test, names)


# MNIST --------------------------------------------------------------------------------------


def _find_idx(folder: Path, name: str) -> Path | None:
    """Return the file of that name, spelled with a dash or a dot, compressed or not."""
    spellings = (name, name.replace("-idx", ".idx"))
    paths = [folder / (spelling + end) for spelling in spellings for end in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _read_idx(path: Any, name: str) -> np.ndarray:
    """Return the bytes of an IDX file as an array: of 3 dimensions for images, 1 for labels."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":  # whatever its name says
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is damaged ({error}): get it again") from error
    n_dimensions = 3 if "images" in name else 1
    # Two zeros, the type (8: unsigned bytes), how many dimensions, and each as 4 bytes.
    start = 4 + 4 * n_dimensions
    if content[:4] != bytes([0, 0, 8, n_dimensions]) or len(content) < start:
        raise ValueError(
            f"{path} is no IDX file of bytes in {n_dimensions} dimension(s): it begins with "
            f"{content[:4].hex(' ')!r}, expected '00 00 08 0{n_dimensions}'"
        )
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path} has {len(content) - start} bytes of data, but its header says {shape}: it is "
            "damaged, get it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()


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
    return archive if archive.is_file() else _download(_IMDB_URL, _IMDB_FILE, _IMDB_MD5, folder)


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
    """Return the user's cache, as the system places it where pooch is there to tell."""
    if named := os.environ.get("XPNET_CACHE"):
        return Path(named)
    if find_spec("pooch") is None:
        return Path.home() / ".cache" / "xpnet"
    import pooch

    return Path(pooch.os_cache("xpnet"))


def _download(url: str, file: str, md5: str, folder: Path) -> Path:
    """Download a file into a folder and check it; whatever goes wrong, say how to do without."""
    by_hand = f"put {file} from {url} into {folder} by hand"
    if find_spec("pooch") is None:
        raise ImportError(f"downloading {file} needs pooch: {_EXTRA}, or {by_hand}")
    import pooch

    try:
        found = pooch.retrieve(
            url + file, known_hash=f"md5:{md5}", fname=file, path=folder, progressbar=True
        )
    except (OSError, ValueError) as error:  # no network, no disk space, or a wrong checksum
        raise ConnectionError(f"could not download {url}{file} ({error}): {by_hand}") from error
    return Path(found)
