"""The folder for compiled code and downloaded data, which can be deleted at any time."""

import os
from importlib.util import find_spec
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache folder, or the one that ``XPNET_CACHE`` names.

    Raises
    ------
    RuntimeError
        The user's home folder is unknown.
    """
    if named := os.environ.get("XPNET_CACHE"):
        return Path(named)
    if find_spec("platformdirs") is None:
        return Path.home() / ".cache" / "xpnet"
    import platformdirs  # knows the standard folder of each operating system

    return platformdirs.user_cache_path("xpnet", appauthor=False)
