"""The base of all callbacks, to subclass for new ones."""

from ..training.callback import Callback

__all__ = ["Callback"]
