"""The command line: ``xpnet train | evaluate | predict | info``."""

from .program import main

__all__ = ["main"]
