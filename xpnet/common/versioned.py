"""Pickles that contain the version of xpnet that wrote them."""

from typing import Any

from ..backends._warnings import warn
from .version import VERSION

KEY = "_pickled_by_xpnet"
"""The key of the version in a pickled state."""


class Versioned:
    """Base of objects whose pickles contain the version of xpnet.

    A pickle depends on attributes and module names, which may differ in another version. Files
    written by ``save`` depend on neither.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, and the version of xpnet."""
        state: Any = super().__getstate__()
        return {**state, KEY: VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes; warn if they were pickled by another version of xpnet.

        Warns
        -----
        UserWarning
            The versions differ.
        """
        state = dict(state)
        version = state.pop(KEY, "an unknown version")
        vars(self).update(state)
        if version != VERSION:
            name = type(self).__name__
            warn(
                f"this {name} was pickled by xpnet {version}, and this is xpnet {VERSION}, which "
                "may have other attributes and compute other results. To keep a network for later "
                "versions, load the pickle with the version that wrote it, and save the network "
                "with net.save(path)"
            )
