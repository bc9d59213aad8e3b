"""CSV files."""

import gzip
from pathlib import Path
from random import Random

import xpnet

from .damage import damaged
from .target import Target

_CELLS = (
    "1",
    "2.5",
    "-3e8",
    "",
    "nan",
    "inf",
    '"a"',
    '"a,b"',
    '"a\nb"',
    "'",
    '"',
    "é",
    "1e400",
    "x" * 300,
)


class Tables(Target):
    """``xpnet.Dataset.from_csv``."""

    name = "csv"
    file = "table.csv"
    refusals = (ValueError, TypeError)
    nameless = (xpnet.UnknownNameError,)

    def content(self, random: Random) -> bytes:
        """Return a table with a few odd cells; most tables are damaged, some are compressed."""
        columns, rows = random.randrange(1, 6), random.choice((0, 1, 5, 300))
        lines = [",".join(f"c{k}" for k in range(columns))]
        for _ in range(rows):
            cells = [f"{random.randrange(100)}" for _ in range(columns)]
            if random.random() < 0.05:
                cells[random.randrange(columns)] = random.choice(_CELLS)
            lines.append(",".join(cells))
        content = random.choice(("\n", "\r\n", "\n\n")).join(lines).encode()
        if random.random() < 0.2:
            content = gzip.compress(content, 1)
        return damaged(content, random) if random.random() < 0.8 else content

    def read(self, path: Path) -> xpnet.Dataset:
        """Read the table."""
        return xpnet.Dataset.from_csv(path, label="c0", max_bytes=16_000_000)

    def check(self, result: xpnet.Dataset) -> None:
        """Check that each row has a label."""
        assert result.y is not None
        assert len(result) == len(result.y)
