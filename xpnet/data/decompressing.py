"""Reading compressed files with a limit on the decompressed size.

The limit is needed because a file of 2 MB may decompress to 2 GB.
"""

import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

MAX_BYTES = 1 << 30
"""The default limit on the decompressed size of a file."""

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
"""What Python's modules raise for damaged files, apart from an OSError without an errno."""

_CHUNK = 1 << 20


class DamagedFileError(ValueError):
    """A file is damaged, is not the expected one, or is larger than allowed."""


class Decompressed(io.BufferedIOBase):
    """The decompressed content of a file, as a binary file object without seeking.

    Parameters
    ----------
    path : Path
        The file's path, for messages.
    stream : binary file
        It stays open when this object is closed.
    max_bytes : int, optional
        The maximum size of the content. By default there is no limit.
    """

    def __init__(self, path: Path, stream: IO[bytes], max_bytes: int | None = None) -> None:
        self._path, self._stream, self._max_bytes = path, stream, max_bytes
        self._total = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, or fewer at the end of the content; all by default.

        Raises
        ------
        DamagedFileError
            The file is damaged, or its content has more than ``max_bytes`` bytes.
        """
        if size is not None and 0 <= size <= _CHUNK:
            return self._read_piece(size)
        return bytes(self.read_all(size))

    def read1(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; b"" only at the end of the content."""
        return self._read_piece(min(size, _CHUNK) if size >= 0 else io.DEFAULT_BUFFER_SIZE)

    def read_all(self, size: int | None = None) -> bytearray:
        """Return up to ``size`` bytes, without allocating memory for bytes that do not exist."""
        content = bytearray()
        most = sys.maxsize if size is None or size < 0 else size
        while piece := self._read_piece(min(most - len(content), _CHUNK)):
            content += piece
        return content

    def _read_piece(self, size: int) -> bytes:
        try:
            content = self._stream.read(size)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # from the disk
                raise
            raise DamagedFileError(f"{self._path} is damaged ({error}): get it again") from error
        self._total += len(content)
        if self._max_bytes is not None and self._total > self._max_bytes:
            raise DamagedFileError(
                f"{self._path} has more than {self._max_bytes:,} bytes when decompressed: give "
                "max_bytes= to read it anyway"
            )
        return content


@contextmanager
def decompressed(path: Path, max_bytes: int | None = MAX_BYTES) -> Iterator[Decompressed]:
    """Open a file that may be compressed with gzip, regardless of its name.

    Parameters
    ----------
    path : Path
    max_bytes : int or None, default 1,073,741,824
        The maximum decompressed size of a compressed file; None for no limit. An uncompressed file
        has no limit.
    """
    with path.open("rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield Decompressed(path, file)
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield Decompressed(path, cast(IO[bytes], stream), max_bytes)
