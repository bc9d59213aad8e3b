"""Bags of words from reviews in the layout of the Large Movie Review data set."""

import hashlib
import re
import zipfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import check_structure
from ..backends._warnings import warn
from ..common.replacing import replacing
from ..data.decompressing import MAX_BYTES, DamagedFileError
from .files import check_checksum
from .reviews import GROUPS, Group, Limits, reviews

# Words of letters, digits and inner apostrophes: "don't" is one word, and 'so' loses its quotes.
_words = re.compile(r"\w+(?:'\w+)*").findall
_VERSION = "2"  # of the cache's layout and the definition of a word; other files are not read

Part = tuple[Any, np.ndarray]
"""Counts as a CSR array of shape (n_reviews, n_words), and the labels of shape (n_reviews,)."""

Bags = tuple[list[str], Part, Part]
"""The words, from the most frequent in the training part; the training part; the test part."""


def words(text: str) -> list[str]:
    """Return the words of a review in lower case.

    Examples
    --------
    >>> words("It's <br />'so' bad, BAD!")
    ["it's", 'so', 'bad', 'bad']
    """
    return _words(text.lower().replace("<br />", " "))


def load_bags(
    source: Path, cache: Path | None, sha256: str | None = None, max_bytes: int = MAX_BYTES
) -> Bags:
    """Return the word counts of the reviews in an archive or a folder, from the cache if possible.

    Parameters
    ----------
    source : Path
        A ``.tar.gz``, or the folder with ``train`` and ``test`` in it.
    cache : Path, optional
        The folder where the result is kept for next time, with a checksum. A file there that is
        damaged or has been changed is replaced.
    sha256 : str, optional
        The archive's checksum, which is compared whenever the reviews are read.
    max_bytes : int, default 1,073,741,824
        The maximum size of the decompressed archive. Other limits follow from it; see `Limits`.

    Raises
    ------
    ValueError
        The archive is damaged or larger than allowed, or one of the four kinds of review is not in
        the source.
    """
    if cache is None:
        return _count(source, sha256, max_bytes)
    file = cache / f"words-{_identity(source, sha256)}.npz"
    try:
        return _read_cache(file)
    except Exception:  # a damaged file may raise anything; the words are counted again
        bags = _count(source, sha256, max_bytes)
    try:
        _write_cache(file, bags)
    except OSError as error:
        warn(
            f"could not write {file} ({error}): the reviews will be read again next time. Set the "
            "environment variable XPNET_CACHE to another folder, or give cache=False"
        )
    return bags


# Reading and counting -----------------------------------------------------------------------


def _count(source: Path, sha256: str | None = None, max_bytes: int = MAX_BYTES) -> Bags:
    """Read each review once and number its words; sort the reviews and the words afterwards."""
    if sha256 is not None:
        with source.open("rb") as archive:
            check_checksum(source, hashlib.file_digest(archive, "sha256").hexdigest(), sha256)
    limits = Limits(max_bytes)
    number: defaultdict[str, int] = defaultdict()
    number.default_factory = number.__len__
    tokens = {group: array("i") for group in GROUPS}
    ends: dict[Group, list[int]] = {group: [0] for group in GROUPS}
    files: dict[Group, list[str]] = {group: [] for group in GROUPS}
    n_bytes = 0
    for group, name, content in reviews(source, limits):
        n_bytes += len(content)
        limits.check(source, "bytes of reviews", n_bytes, limits.text)
        # A stray byte that is not UTF-8 must not make the whole data set unreadable.
        text = content.decode("utf-8", errors="replace")
        tokens[group].extend(map(number.__getitem__, words(text)))
        limits.check(source, "different words", len(number), limits.words)
        ends[group].append(len(tokens[group]))
        files[group].append(name)
    for group, names in files.items():
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise DamagedFileError(
                f"{source} has the review {'/'.join(group)}/{twice} more than once: pack it again"
            )
    if lacking := ["/".join(group) for group in GROUPS if not files[group]]:
        raise ValueError(
            f"{source} has no reviews {', '.join(lacking)}/*.txt: expected the layout "
            "aclImdb/{train,test}/{neg,pos}/*.txt"
        )
    numbers = {group: np.asarray(tokens[group]) for group in GROUPS}
    in_training = np.concatenate([numbers[group] for group in GROUPS if group[0] == "train"])
    order, rank = _frequency_order(list(number), in_training)
    counts = [_matrix(numbers[g], ends[g], files[g], rank, len(order)) for g in GROUPS]
    train, test = _part(counts[:2]), _part(counts[2:])
    return order, train, test


def _frequency_order(found: list[str], tokens: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the words that occur, by frequency, and the rank of each word or -1."""
    occurrences = np.bincount(tokens, minlength=len(found)).tolist()
    order = [k for k, count in enumerate(occurrences) if count]
    order.sort(key=lambda k: (-occurrences[k], found[k]))
    rank = np.full(len(found), -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return [found[k] for k in order], rank


def _matrix(
    tokens: np.ndarray, ends: list[int], files: list[str], rank: np.ndarray, n_words: int
) -> Any:
    """Return the counts of the ranked words in each review, the reviews sorted by file name."""
    from scipy.sparse import csr_array

    columns = rank[tokens]
    known = columns >= 0
    starts = np.concatenate([[0], np.cumsum(known)])[ends]  # without the other words
    columns = columns[known]
    ones = np.ones(len(columns), dtype=np.uint16)
    counts = csr_array((ones, columns, starts.astype(np.int32)), shape=(len(files), n_words))
    counts.sum_duplicates()
    return counts[np.argsort(files, kind="stable")]


def _part(kinds: list[Any]) -> Part:
    """Stack the negative reviews (0) above the positive reviews (1), and return their labels."""
    from scipy.sparse import vstack

    labels = np.repeat(np.arange(2, dtype=np.int64), [counts.shape[0] for counts in kinds])
    return vstack(kinds, format="csr"), labels


# The cache ----------------------------------------------------------------------------------

_DIGEST = "sha256"
"""The name of the array that holds the checksum of all other arrays."""


def _identity(source: Path, sha256: str | None = None) -> str:
    """Return a name for the source that changes with the paths, sizes and times of its files.

    It differs for archives with and without a compared checksum.
    """
    digest = hashlib.sha256(f"{_VERSION} {sha256}\n{source.resolve()}".encode())
    files = [source]
    if source.is_dir():
        folders = [source / part / label for part, label in GROUPS]
        files = [file for folder in folders for file in sorted(folder.glob("*.txt"))]
    for file in files:
        status = file.stat()
        digest.update(f"\n{file} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _write_cache(file: Path, bags: Bags) -> None:
    """Write the bags of words to a file, which other processes see only when it is complete."""
    order, *parts = bags
    arrays: dict[str, Any] = {"words": np.frombuffer("\n".join(order).encode(), dtype=np.uint8)}
    for name, (counts, labels) in zip(("train", "test"), parts, strict=True):
        for key in ("data", "indices", "indptr"):
            arrays[f"{name}_{key}"] = getattr(counts, key)
        arrays[f"{name}_labels"] = labels
    arrays[_DIGEST] = np.frombuffer(_digest(arrays), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as stream:
        np.savez(stream, **arrays)


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the checksum of arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, each in sorted(arrays.items()):
        digest.update(f"{name} {each.dtype.str} {each.shape}\n".encode())
        digest.update(np.ascontiguousarray(each).data)
    return digest.digest()


def _read_cache(file: Path) -> Bags:
    # Opened here, since np.load leaves a damaged file open.
    with file.open("rb") as stream:
        # np.load compares no checksum if a damaged header makes it read only a part.
        with zipfile.ZipFile(stream) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{file}: {damaged} is damaged")
        stream.seek(0)
        return _read_arrays(stream)


def _read_arrays(stream: Any) -> Bags:
    from scipy.sparse import csr_array

    with np.load(stream, allow_pickle=False) as archive:
        arrays = dict(archive)
        if arrays.pop(_DIGEST).tobytes() != _digest(arrays):
            raise ValueError("the arrays do not match their checksum")
        order = arrays["words"].tobytes().decode().split("\n")
        parts = []
        for name in ("train", "test"):
            content = tuple(arrays[f"{name}_{key}"] for key in ("data", "indices", "indptr"))
            labels = arrays[f"{name}_labels"]
            counts = csr_array(content, shape=(len(labels), len(order)))
            check_structure(counts)  # SciPy's own check accepts a negative last position
            counts.check_format(full_check=True)
            parts.append((counts, labels))
    return order, parts[0], parts[1]
