"""Finding the files of data sets: in a folder that the user names, in a cache, or on the web."""

import os
from importlib.util import find_spec
from pathlib import Path

from ..data.decompressing import DamagedFileError


def named_folder(folder: str | Path | None, name: str) -> Path | None:
    """Return the given folder, or else the folder ``name`` in ``XPNET_DATA``; None without both."""
    if folder is not None:
        return Path(folder)
    data = os.environ.get("XPNET_DATA")
    return Path(data) / name if data else None


def download(url: str, file: str, sha256: str, folder: Path) -> Path:
    """Download a file into a folder and check it; errors say how to download it by hand."""
    by_hand = f"put {file} from {url} into {folder} by hand"
    if find_spec("pooch") is None:
        raise ImportError(f"downloading {file} needs pooch: pip install pooch, or {by_hand}")
    import pooch

    try:
        found = pooch.retrieve(
            url + file, known_hash=f"sha256:{sha256}", fname=file, path=folder, progressbar=True
        )
    except (OSError, ValueError) as error:  # no network, no disk space, or a wrong checksum
        raise ConnectionError(f"could not download {url}{file} ({error}): {by_hand}") from error
    return Path(found)


def download_again(
    damage: DamagedFileError, url: str, file: str, sha256: str, folder: Path
) -> Path:
    """Download a file again if the checksum of its copy in the cache is wrong.

    Parameters
    ----------
    damage : DamagedFileError
        The error about the copy, for the message if the download fails.
    url, file, sha256, folder
        As for `download`.
    """
    try:
        return download(url, file, sha256, folder)
    except (ConnectionError, ImportError) as error:
        raise type(error)(f"{damage}. It could not be downloaded again: {error}") from error


def check_checksum(path: Path, found: str, expected: str) -> None:
    """Refuse a file whose checksum is not the expected one."""
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged or not the expected file (its SHA-256 is {found[:12]}..., expected "
            f"{expected[:12]}...)"
        )
