"""The folder in which this package keeps what it can make or download again."""

import os
from importlib.util import find_spec
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache folder, or the one that ``XPNET_CACHE`` names.

    Raises
    ------
    RuntimeError
        The user has no home folder.
    """
    if named := os.environ.get("XPNET_CACHE"):
        return Path(named)
    if find_spec("platformdirs") is None:
        return Path.home() / ".cache" / "xpnet"
    import platformdirs  # knows the place on each operating system

    return platformdirs.user_cache_path("xpnet", appauthor=False)
