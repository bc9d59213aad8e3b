"""The base of fuzzing targets: a kind of file and its reader."""

from abc import ABC, abstractmethod
from pathlib import Path
from random import Random
from typing import Any, ClassVar


class Target(ABC):
    """A kind of file.

    Attributes
    ----------
    name : str
        The name in reports, with which the names of kept files begin.
    file : str
        The name of the file to read.
    refusals : tuple of type
        The exceptions that the reader documents.
    nameless : tuple of type
        The exceptions among these whose messages need not name the file.
    begins_with_path : bool
        Whether messages begin with the path; otherwise they contain the file's name.
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
        """Read the file."""

    def check(self, result: Any) -> None:  # noqa: B027 - there may be nothing to check
        """Raise an AssertionError if the result breaks the reader's promises."""
