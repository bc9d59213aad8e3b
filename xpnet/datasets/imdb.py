"""IMDB film reviews as bags of words."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..backends._cache_folder import cache_folder
from ..common.checks import check_count
from ..data import Dataset
from ..data.decompressing import MAX_BYTES, DamagedFileError
from .files import download, download_again, named_folder
from .text import Bags, load_bags

_URL = "https://ai.stanford.edu/~amaas/data/sentiment/"
_ARCHIVE = "aclImdb_v1.tar.gz"
_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
_HOW_TO_GET_IT = (
    f"{_ARCHIVE} is at {_URL}; load_imdb() without a path, and without XPNET_DATA, downloads it"
)


def load_imdb(
    path: str | Path | None = None,
    num_words: int = 10_000,
    cache: bool = True,
    *,
    max_bytes: int = MAX_BYTES,
) -> tuple[Dataset, Dataset]:
    """Return the Large Movie Review data set as bags of words: 25,000 + 25,000 film reviews.

    Parameters
    ----------
    path : str or Path, optional
        The archive (``.tar.gz``), the folder ``aclImdb`` unpacked from it, or a folder that holds
        either. By default it is the folder ``imdb`` in the folder that the environment variable
        ``XPNET_DATA`` names. Without that variable, the archive (84 MB) is downloaded once into the
        user's cache, or the folder that ``XPNET_CACHE`` names. If the checksum of the cached
        archive is wrong, it is downloaded again.
    num_words : int, default 10000
        How many words to keep: the most frequent words of the training part, in order of frequency.
        Equally frequent words are in alphabetical order.
    cache : bool, default True
        Whether to keep the word counts in the user's cache, so that the reviews are read only once.
        If the cached counts are damaged, the words are counted again.
    max_bytes : int, default 1,073,741,824
        The maximum decompressed size of the archive; the original has about 350 million bytes.
        Other limits follow from it: a quarter for the bytes of all reviews, a 1,024th for the bytes
        of one review, and a 256th for the number of different words.

    Returns
    -------
    train, test : Dataset
        ``X`` of shape (25000, num_words), a SciPy CSR array of ``uint8``: 1 if the review has the
        word. It has fewer columns if there are fewer words. ``y`` is ``int64``: 0 is negative, 1 is
        positive. The negative reviews come first; both kinds are sorted by file name.

    Raises
    ------
    FileNotFoundError
        There is no archive or folder of reviews at ``path``.
    ConnectionError
        The download failed; the message says which file to put where.
    ImportError
        SciPy, or pooch for a download, is not installed.
    ValueError
        The archive or folder is damaged, exceeds a limit, lacks one of the four kinds of review, or
        has a review twice. Or a review is a link or a sparse file. Or ``num_words`` or
        ``max_bytes`` is below 1.

    References
    ----------
    A. L. Maas et al.: "Learning word vectors for sentiment analysis", ACL 2011.

    Examples
    --------
    >>> from xpnet.datasets import load_imdb
    >>> train, test = load_imdb("data/imdb", num_words=10_000)  # doctest: +SKIP

    Your own reviews, in the same folders:

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "test"):
    ...         for kind, text in (("neg", "a dull film"), ("pos", "a fine film")):
    ...             Path(folder, "aclImdb", part, kind).mkdir(parents=True)
    ...             _ = Path(folder, "aclImdb", part, kind, "0_1.txt").write_text(text)
    ...     train, test = load_imdb(folder, cache=False)
    >>> train.X.toarray().tolist(), train.y.tolist()  # the words a, film, dull, fine
    ([[1, 1, 1, 0], [1, 1, 0, 1]], [0, 1])
    """
    num_words = check_count("num_words", num_words)
    max_bytes = check_count("max_bytes", max_bytes)
    if find_spec("scipy") is None:
        raise ImportError("load_imdb needs SciPy for its sparse matrices: pip install scipy")
    named = Path(path) if path is not None else named_folder(None, "imdb")
    counts = cache_folder() / "imdb" if cache else None
    if named:
        words, train, test = load_bags(find_reviews(named), counts, max_bytes=max_bytes)
    else:
        words, train, test = _load_cached(counts, max_bytes)
    names = words[:num_words]
    return _part(*train, names), _part(*test, names)


def find_reviews(path: Path) -> Path:
    """Return the archive, or the folder with ``train`` and ``test`` in it."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such file or folder: {_HOW_TO_GET_IT}")
    folders = [folder for folder in (path, path / "aclImdb") if (folder / "train").is_dir()]
    found = [*folders, *sorted(path.glob("*.tar.gz"))]
    if not found:
        raise FileNotFoundError(
            f"{path} holds neither aclImdb nor an archive (.tar.gz): {_HOW_TO_GET_IT}"
        )
    return found[0]


def _load_cached(counts: Path | None, max_bytes: int) -> Bags:
    """Count the words of the archive in the cache, which is downloaded if missing or damaged."""
    folder = cache_folder() / "imdb"
    archive = folder / _ARCHIVE
    if not archive.is_file():
        archive = download(_URL, _ARCHIVE, _SHA256, folder)
    try:
        return load_bags(archive, counts, _SHA256, max_bytes)
    except DamagedFileError as damage:
        archive = download_again(damage, _URL, _ARCHIVE, _SHA256, folder)
    return load_bags(archive, counts, _SHA256, max_bytes)


def _part(counts: Any, y: np.ndarray, names: list[str]) -> Dataset:
    X = counts[:, : len(names)]
    X.data = np.ones(X.nnz, dtype=np.uint8)
    return Dataset(X, y, names, "sentiment", class_names=["negative", "positive"])
