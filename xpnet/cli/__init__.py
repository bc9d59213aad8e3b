"""The command line: ``xpnet train | evaluate | predict | info``."""

from .commands import main

__all__ = ["main"]
