"""Reading files that may be gzip, whatever their name says, and never more than what is expected.

A file of 2 MB may decompress to 2 GB, and a damaged one may not end where its header says.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_MOST_READS_AT_END = 100


class DamagedFileError(ValueError):
    """A file is not what it should be; the message names it."""


class Decompressed:
    """The content of a file, decompressed.

    Parameters
    ----------
    path : Path
        Only for messages.
    stream : binary file
    most : int
        The most bytes that the content may have.
    """

    def __init__(self, path: Path, stream: Any, most: int) -> None:
        self._path, self._stream, self._most = path, stream, most
        self._total = self._reads_at_end = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end.

        Raises
        ------
        DamagedFileError
            The file is damaged, or its content is larger than expected.
        """
        try:
            content: bytes = self._stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFileError(f"{self._path} is damaged ({error}): get it again") from error
        self._total += len(content)
        if self._total > self._most:
            raise DamagedFileError(
                f"{self._path} has more than {self._most:,} bytes, decompressed: it is not the "
                "data set, or it is damaged"
            )
        # Who reads again and again at the end, as tarfile does, looks for what is not there.
        self._reads_at_end += not content
        if self._reads_at_end > _MOST_READS_AT_END:
            raise DamagedFileError(f"{self._path} is damaged (it ends too early): get it again")
        return content

    def read_all(self, size: int) -> bytearray:
        """Return up to ``size`` bytes, taking memory only for those that are there."""
        content = bytearray()
        while len(content) < size and (chunk := self.read(min(size - len(content), _CHUNK))):
            content += chunk
        return content


@contextmanager
def decompressed(path: Path, most: int) -> Iterator[Decompressed]:
    """Open a file that may be gzip.

    Parameters
    ----------
    path : Path
    most : int
        The most bytes that its content may have.
    """
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_gzip:
            yield Decompressed(path, file, most)
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield Decompressed(path, stream, most)


def check_checksum(path: Path, found: str, expected: str) -> None:
    """Refuse a file in the cache whose checksum is not the one that is known."""
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged or another file (its SHA-256 is {found[:12]}..., expected "
            f"{expected[:12]}...): delete it, and it is downloaded again"
        )
