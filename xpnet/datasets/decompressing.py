"""Reading files that may be compressed by gzip, with a limit on the decompressed size.

The limit is needed since a file of 2 MB may decompress to 2 GB. The file's name does not matter.
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
    """A file is damaged or is another file; the message names it."""


class Decompressed:
    """The content of a file, decompressed.

    Parameters
    ----------
    path : Path
        The file's path, for messages.
    stream : binary file
    most : int
        The most bytes that the content may have.
    """

    def __init__(self, path: Path, stream: Any, most: int) -> None:
        self._path, self._stream, self._most = path, stream, most
        self._total = self._reads_at_end = 0

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer at the end of the content.

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
                f"{self._path} has more than {self._most:,} bytes when decompressed: it is damaged "
                "or not the expected file. Get it again"
            )
        # tarfile reads at the end without limit if its archive is cut off.
        self._reads_at_end += not content
        if self._reads_at_end > _MOST_READS_AT_END:
            raise DamagedFileError(f"{self._path} is damaged (it ends too early): get it again")
        return content

    def read_all(self, size: int) -> bytearray:
        """Return up to ``size`` bytes, without allocating memory for bytes that do not exist."""
        content = bytearray()
        while len(content) < size and (chunk := self.read(min(size - len(content), _CHUNK))):
            content += chunk
        return content


@contextmanager
def decompressed(path: Path, most: int) -> Iterator[Decompressed]:
    """Open a file that may be compressed by gzip.

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
    """Refuse a cached file whose checksum is not the expected one."""
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged or not the expected file (its SHA-256 is {found[:12]}..., expected "
            f"{expected[:12]}...): delete it, and it will be downloaded again"
        )
