"""Pickles that say which version of the package wrote them."""

from typing import Any

from ..backends._warnings import warn
from .version import VERSION

_KEY = "_pickled_by_xpnet"


class Versioned:
    """Base of objects whose pickles name the version of xpnet.

    A pickle holds the attributes of an object and the names of its classes' modules, which may
    differ in another version. Files written by ``save`` do not have this limit.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, and the version of xpnet."""
        state: Any = super().__getstate__()
        return {**state, _KEY: VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes; warn if another version of xpnet has pickled them.

        Warns
        -----
        UserWarning
            The versions differ.
        """
        state = dict(state)
        version = state.pop(_KEY, "an unknown version")
        vars(self).update(state)
        if version != VERSION:
            name = type(self).__name__
            warn(
                f"this {name} was pickled by xpnet {version}, and this is xpnet {VERSION}, which "
                "may have other attributes and compute other results. To keep a network for later "
                "versions, load the pickle with the version that wrote it, and write a file with "
                "net.save(path)"
            )
