"""Finding the four files of MNIST, or of a data set that is stored like it, in a folder."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
"""MNIST's names for the files of training images and labels, then test images and labels."""

_FOLDERS = ["mnist", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"]
_EMNIST_FOLDERS = ["", "gzip", "raw", "EMNIST/raw"]
_emnist_split = re.compile(
    r"emnist-(.+)-(?:train|test)-(?:images|labels)[-.]idx[13]-ubyte(?:\.gz)?"
).fullmatch


class _Found(NamedTuple):
    """The files of a data set that were found in a folder; some may be missing."""

    folder: Path
    split: str | None
    files: dict[str, Path]
    """The paths of the files that exist, by MNIST's name."""

    def __str__(self) -> str:
        return str(self.folder) + (f" (split={self.split!r})" if self.split else "")


def find_files(folder: Path, split: str | None, url: str) -> dict[str, Path]:
    """Return the path of each of the four files, by MNIST's name for it.

    Parameters
    ----------
    folder : Path
    split : str, optional
        The name of one of EMNIST's splits. All other data sets are then ignored.
    url : str
        The address of MNIST's files, for messages.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        The folder holds several data sets.
    """
    found = list(_data_sets(folder))
    if split is not None:
        return _find_split(folder, split, found)
    if not found:
        raise _lacks(folder, NAMES, url)
    if found[0].folder == folder and found[0].split is None:  # MNIST's names in the folder itself
        found = found[:1]
    if len(found) > 1:
        raise ValueError(
            f"{folder} holds {len(found)} data sets: {_listed(found)}. Give the folder of one of "
            f"them{_how_to_split(found)}"
        )
    return _complete(found[0], url)


def spellings(folder: Path, name: str) -> list[Path]:
    """Return the paths that a file may have: with a dash or a dot, compressed or not."""
    return [
        folder / (spelled + end)
        for spelled in (name, name.replace("-idx", ".idx"))
        for end in ("", ".gz")
    ]


def _data_sets(folder: Path) -> Iterator[_Found]:
    """Yield each data set with at least one file; MNIST's names in the folder itself come first."""
    for place in [folder, *(folder / name for name in _FOLDERS)]:
        if files := _files(place, NAMES):
            yield _Found(place, None, files)
    for place in [folder / name for name in _EMNIST_FOLDERS]:
        entries = place.iterdir() if place.is_dir() else ()
        splits = {match[1] for entry in entries if (match := _emnist_split(entry.name))}
        for split in sorted(splits):
            yield _Found(place, split, _files(place, _split_names(split)))


def _split_names(split: str) -> list[str]:
    return [f"emnist-{split}-{name.replace('t10k', 'test')}" for name in NAMES]


def _files(folder: Path, names: list[str]) -> dict[str, Path]:
    """Return the files that exist in a folder under some spelling of ``names``, by MNIST's name."""
    found = {}
    for name, spelled in zip(NAMES, names, strict=True):
        path = next((path for path in spellings(folder, spelled) if path.is_file()), None)
        if path is not None:
            found[name] = path
    return found


def _find_split(folder: Path, split: str, found: list[_Found]) -> dict[str, Path]:
    chosen = [each for each in found if each.split == split]
    if not chosen:
        others = sorted({each.split for each in found if each.split})
        known = f"it has the splits {', '.join(map(repr, others))}"
        raise FileNotFoundError(
            f"{folder} has no files emnist-{split}-*: "
            + (known if others else "give the folder of EMNIST's files, from its gzip.zip")
        )
    if len(chosen) > 1:
        raise ValueError(
            f"{folder} holds split={split!r} {len(chosen)} times: {_listed(chosen)}. Give the "
            "folder of one of them"
        )
    return _complete(chosen[0], None)


def _complete(found: _Found, url: str | None) -> dict[str, Path]:
    """Return the four files, or raise an error if one is missing."""
    names = NAMES if found.split is None else _split_names(found.split)
    missing = [
        spelled for name, spelled in zip(NAMES, names, strict=True) if name not in found.files
    ]
    if missing:
        raise _lacks(found.folder, missing, None if found.split else url)
    return found.files


def _lacks(folder: Path, missing: list[str], url: str | None) -> FileNotFoundError:
    where = (
        f": they are at {url}; load_mnist() without a folder, and without XPNET_DATA, downloads "
        "them"
    )
    lacking = f"{folder} lacks {', '.join(missing)} (or with .gz)"
    if not folder.is_dir():
        lacking = f"{folder}: there is no such folder; expected one with {', '.join(missing)}"
    return FileNotFoundError(lacking + (where if url else ""))


def _listed(found: list[_Found]) -> str:
    return ", ".join(map(str, found))


def _how_to_split(found: list[_Found]) -> str:
    split = next((each.split for each in found if each.split), None)
    return f", or choose a split, e.g. split={split!r}" if split else ""
