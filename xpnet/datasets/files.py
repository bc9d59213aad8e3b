"""Where the files of data sets are: a folder that the user names, a cache, the web."""

import os
from importlib.util import find_spec
from pathlib import Path

EXTRA = "pip install 'xpnet[data]'"
"""What brings the libraries that data sets need."""


def named_folder(folder: str | Path | None, name: str) -> Path | None:
    """Return the folder that the user named, by argument or by ``XPNET_DATA``."""
    if folder is not None:
        return Path(folder)
    data = os.environ.get("XPNET_DATA")
    return Path(data) / name if data else None


def cache_folder() -> Path:
    """Return the user's cache folder; pooch knows the place on each operating system."""
    if named := os.environ.get("XPNET_CACHE"):
        return Path(named)
    if find_spec("pooch") is None:
        return Path.home() / ".cache" / "xpnet"
    import pooch

    return Path(pooch.os_cache("xpnet"))


def download(url: str, file: str, sha256: str, folder: Path) -> Path:
    """Download a file into a folder and check it; errors say how to get it by hand."""
    by_hand = f"put {file} from {url} into {folder} by hand"
    if find_spec("pooch") is None:
        raise ImportError(f"downloading {file} needs pooch: {EXTRA}, or {by_hand}")
    import pooch

    try:
        found = pooch.retrieve(
            url + file, known_hash=f"sha256:{sha256}", fname=file, path=folder, progressbar=True
        )
    except (OSError, ValueError) as error:  # no network, no disk space, or a wrong checksum
        raise ConnectionError(f"could not download {url}{file} ({error}): {by_hand}") from error
    return Path(found)
