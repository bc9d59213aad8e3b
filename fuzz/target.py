"""What is fuzzed: a kind of file, and what reads it."""

from abc import ABC, abstractmethod
from pathlib import Path
from random import Random
from typing import Any, ClassVar


class Target(ABC):
    """A kind of file.

    Attributes
    ----------
    name : str
        For reports, and the first part of the names of kept files.
    file : str
        The name of the file that is read.
    refusals : tuple of type
        The exceptions that the reader documents.
    nameless : tuple of type
        Those whose messages need not name the file.
    begins_with_path : bool
        Whether the messages begin with the path. Otherwise they contain the file's name.
    writes : bool
        Whether the reader may write into the file's folder.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError,)
    nameless: ClassVar[tuple[type[Exception], ...]] = ()
    begins_with_path: ClassVar[bool] = False
    writes: ClassVar[bool] = False

    @abstractmethod
    def content(self, random: Random) -> bytes:
        """Return a damaged file."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Read it."""

    def check(self, result: Any) -> None:  # noqa: B027 - there may be nothing to check
        """Raise an AssertionError if a result is not what the reader promises."""
