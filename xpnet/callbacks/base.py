"""The base of all callbacks, for those who write their own."""

from ..training.callback import Callback

__all__ = ["Callback"]
