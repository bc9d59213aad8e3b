"""Opening text files, compressed or not and in any encoding, as UTF-8 bytes."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ...decompressing import DAMAGED, MAX_BYTES, DamagedFileError, Decompressed

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""The first bytes of compressed files."""

COMPRESSIONS = ("infer", *_MAGIC.values())

_BYTE_ORDER_MARKS = {  # UTF-32 first, since its mark begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_MAX_RATIO = 100
"""The factor by which a file may grow when decompressed, even beyond 1 GiB."""


class Utf8Stream:
    """The content of a text file as UTF-8 bytes, without a byte order mark, to be read once.

    Parameters
    ----------
    path : Path
        The file's path, for messages.
    file, stream : binary file
        The file itself, and its decompressed content.
    encoding : str

    Attributes
    ----------
    path, encoding
        As above; a byte order mark may override the encoding.
    """

    def __init__(
        self, path: Path, file: IO[bytes], stream: IO[bytes] | Decompressed, encoding: str
    ) -> None:
        self.path, self._file, self._stream = path, file, stream
        self._size = max(path.stat().st_size, 1)
        start = stream.read(4)
        for mark, marked in _BYTE_ORDER_MARKS.items():
            if start.startswith(mark):
                # The UTF-16 codec needs the mark; the UTF-16-LE codec would decode it as a letter.
                if marked == "utf-8" or codecs.lookup(encoding).name[-3:] in ("-le", "-be"):
                    start = start[len(mark) :]
                if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
                    encoding = marked
                break
        self._start, self.encoding = start, encoding
        is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
        self._decoder = None if is_utf8 else codecs.getincrementaldecoder(encoding)()

    @property
    def share(self) -> float:
        """The fraction of the file that has been read."""
        return min(self._file.tell() / self._size, 1.0)

    def read(self, size: int) -> bytes:
        """Return about ``size`` bytes; b"" at the end of the file.

        Raises
        ------
        ValueError
            The file is damaged, in another encoding, or larger than allowed when decompressed.
        """
        while True:
            raw, self._start = self._start + self._stream.read(size), b""
            if self._decoder is None:
                return raw
            try:
                text = self._decoder.decode(raw, final=not raw)
            except UnicodeError as error:
                raise ValueError(
                    f"{self.path} is not in the encoding {self.encoding!r} ({error})"
                ) from error
            if text or not raw:
                return text.encode("utf-8", "surrogatepass")


@contextmanager
def opened(
    path: Path, encoding: str, compression: str | None, max_bytes: int | None
) -> Iterator[Utf8Stream]:
    """Open a text file for reading.

    Parameters
    ----------
    path : Path
    encoding : str
        A byte order mark in the file overrides "utf-8".
    compression : str or None
        One of `COMPRESSIONS`. "infer" detects it from the file's first bytes.
    max_bytes : int, optional
        The maximum decompressed size of a compressed file. By default 1 GiB, or a hundred times the
        file's size if that is more.

    Raises
    ------
    FileNotFoundError
        There is no such file, or it is a folder, a pipe or a device.
    ValueError
        The encoding or the compression is unknown, or is not that of the file.
    """
    if not path.is_file():
        what = "there is no such file"
        if path.exists():  # some tables are read twice, which a pipe does not allow
            what = "this is not a regular file, but a folder, a pipe or a device: expected a file"
        raise FileNotFoundError(f"{path}: {what}")
    _check_encoding(encoding)
    with path.open("rb") as file, ExitStack() as parts:
        if compression == "infer":
            first = file.peek(6)
            compression = next((n for magic, n in _MAGIC.items() if first.startswith(magic)), None)
        if compression is None:
            yield Utf8Stream(path, file, file, encoding)
            return
        if max_bytes is None:
            max_bytes = max(MAX_BYTES, _MAX_RATIO * path.stat().st_size)
        try:
            stream = _decompressed(path, file, compression, parts)
        except DAMAGED as error:
            raise DamagedFileError(f"{path} is damaged ({error}): get it again") from error
        yield Utf8Stream(path, file, Decompressed(path, stream, max_bytes), encoding)


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)  # refuses codecs that do not encode text, such as base64
        codecs.getincrementaldecoder(encoding)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"encoding={encoding!r}: expected an encoding that Python knows, e.g. 'utf-8', "
            "'latin-1' or 'utf-16'"
        ) from error


def _decompressed(path: Path, file: Any, compression: str | None, parts: ExitStack) -> Any:
    """Return a stream of a file's decompressed bytes; ``parts`` closes it."""
    if compression == "gzip":
        return parts.enter_context(gzip.GzipFile(fileobj=file))
    if compression == "bz2":
        return parts.enter_context(bz2.BZ2File(file))
    if compression == "xz":
        return parts.enter_context(lzma.LZMAFile(file))
    if compression == "zip":
        return parts.enter_context(_only_member(path, parts.enter_context(zipfile.ZipFile(file))))
    if compression == "zstd":
        return parts.enter_context(_zstd(path, file))
    raise ValueError(
        f"compression={compression!r}: expected one of {', '.join(COMPRESSIONS)}, or None"
    )


def _only_member(path: Path, archive: zipfile.ZipFile) -> Any:
    members = [each for each in archive.infolist() if not each.is_dir()]
    members = [each for each in members if not each.filename.startswith("__MACOSX/")]
    if any(each.filename == "[Content_Types].xml" for each in members):
        raise ValueError(f"{path} is a workbook or a document: export it as a CSV file in UTF-8")
    if len(members) != 1:
        names = ", ".join(each.filename for each in members[:5])
        raise ValueError(f"{path} holds {len(members)} files ({names}): expected one")
    if members[0].flag_bits & 1:
        raise ValueError(f"{path} is encrypted: unpack it first")
    return archive.open(members[0])


def _zstd(path: Path, file: Any) -> Any:
    """Return a stream of decompressed bytes from Python 3.14 or later, or from pyarrow."""
    try:
        return import_module("compression.zstd").ZstdFile(file)
    except ImportError:
        pass
    try:
        return io.BufferedReader(import_module("pyarrow").CompressedInputStream(file, "zstd"))
    except ImportError as error:
        raise ImportError(
            f"{path} is compressed with Zstandard, which needs Python 3.14 or pyarrow: "
            "pip install pyarrow, or unpack it first"
        ) from error
