"""Splitting a CSV file into blocks of complete rows."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .opening import Utf8Stream

_MAX_LINE = 1 << 30
"""Maximum bytes of a line."""

_MAX_WITHIN_QUOTES = 1 << 24
"""Maximum bytes of a quoted cell for which a block is extended."""

_TRIES = 100
"""How many line ends, from the last one backwards, are tested for being within quotes."""


class Block(NamedTuple):
    """Some lines of a file.

    Attributes
    ----------
    content : bytes
    line : int
        The number of its first line, from 1.
    n_lines : int
    regular : bool
        Whether it has complete rows, and every quote in it begins or ends a quoted cell or is
        doubled within one. All libraries read such rows in the same way. A block that is not
        regular may end within a quoted cell.
    """

    content: bytes
    line: int
    n_lines: int
    regular: bool


class Lines:
    """Splits a file into pieces of complete lines; the last line may have no line end.

    Parameters
    ----------
    text : Utf8Stream
    size : int
        About how many bytes a piece has; more if a line is longer. The attribute may be changed
        between pieces.

    Raises
    ------
    ValueError
        On iteration: the file has zero bytes or an endless line.
    """

    def __init__(self, text: Utf8Stream, size: int) -> None:
        self._text, self._rest, self.size = text, b"", size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # Doubles the part of an unfinished line, so that long lines take linear time.
        while more := self._text.read(max(self.size, len(self._rest))):
            if b"\0" in more:
                if more.startswith(b"PAR1"):
                    raise ValueError(
                        f"{self._text.path} is a Parquet file: read it with Dataset.from_parquet"
                    )
                raise ValueError(
                    f"{self._text.path} has zero bytes: it is not text, or not in the encoding "
                    f"{self._text.encoding!r} (encoding= names another, e.g. encoding='utf-16')"
                )
            piece = self._rest + more
            # A \r at the end may be half of \r\n.
            end = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, len(piece) - 1)) + 1
            self._rest = piece[end:]
            if end:
                return piece[:end]
            if len(piece) > _MAX_LINE:
                raise ValueError(f"{self._text.path} has a line of over {_MAX_LINE:,} bytes")
        if not self._rest:
            raise StopIteration
        piece, self._rest = self._rest, b""
        return piece


def blocks(pieces: Iterable[bytes], line: int, delimiter: str) -> Iterator[Block]:
    """Yield the lines of a file in blocks; after a block that is not regular, no block is.

    Parameters
    ----------
    pieces : iterable of bytes
        Each consists of complete lines.
    line : int
        The number of the first line.
    delimiter : str
        An ASCII character.
    """
    pending, regular = b"", True
    for piece in pieces:
        pending += piece
        end = _end_of_rows(pending) if regular else len(pending)
        if end == 0 and len(pending) <= _MAX_WITHIN_QUOTES:
            continue
        regular = regular and end > 0 and _is_regular(pending[:end], delimiter.encode())
        content = pending[:end] if regular else pending
        n_lines = n_line_ends(content)
        yield Block(content, line, n_lines, regular)
        line, pending = line + n_lines, pending[len(content) :]
    if pending:
        yield Block(
            pending,
            line,
            n_line_ends(pending),
            regular and _is_regular(pending, delimiter.encode()),
        )


def end_of_lines(content: bytes, n: int) -> int:
    """Return the position after the first ``n`` lines."""
    end = 0
    for found in itertools.islice(re.finditer(rb"\r\n|\n|\r", content), n):
        end = found.end()
    return end if n else 0


def n_line_ends(content: bytes) -> int:
    """Return the number of line ends; a carriage return and a line feed together are one."""
    if b"\r" not in content:
        return content.count(b"\n")
    return content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")


def _end_of_rows(content: bytes) -> int:
    """Return the position after the last line end outside quotes, or 0."""
    if b'"' not in content:  # much faster than counting
        return len(content)
    quotes, end = content.count(b'"'), len(content)
    for _ in range(_TRIES):
        if quotes % 2 == 0:
            return end
        before = max(content.rfind(b"\n", 0, end - 1), content.rfind(b"\r", 0, end - 1)) + 1
        quotes -= content.count(b'"', before, end)
        end = before
        if end == 0:
            break
    return 0


def _is_regular(content: bytes, delimiter: bytes) -> bool:
    """Whether every odd quote begins a cell, and every even quote ends one.

    Two quotes next to each other are allowed, too: they stand for a quote within a cell.
    """
    if b'"' not in content:
        return True
    letters = np.frombuffer(b"\n" + content + b"\n", np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    around = np.zeros(256, bool)
    around[list(b'"\n\r' + delimiter)] = True
    begins, ends = around[letters[quotes[::2] - 1]], around[letters[quotes[1::2] + 1]]
    return len(quotes) % 2 == 0 and bool(begins.all() and ends.all())
