"""The files of random searches."""

import json
import tempfile
import zlib
from functools import cache
from pathlib import Path
from random import Random

from xpnet.search.file import SearchFile

from .damage import damaged, damaged_json
from .target import Target

_DRAWN = [{"rate": 0.1 * k, "units": k, "name": f"n{k}"} for k in range(1, 7)]


class Searches(Target):
    """The file of ``xpnet.search.random_search``, without training."""

    name = "search"
    file = "search.jsonl"
    writes = True

    def content(self, random: Random) -> bytes:
        """Return damaged lines, or changed lines with a valid checksum."""
        if random.random() < 0.5:
            return damaged(_file(), random)
        lines = _file().splitlines()
        for number in random.sample(range(len(lines)), random.choice((1, 2))):
            lines[number] = _changed(lines[number], random)
        return b"\n".join(lines) + b"\n"

    def read(self, path: Path) -> SearchFile:
        """Open the file for the search that wrote it."""
        return SearchFile(path, _DRAWN, "rmse")

    def check(self, result: SearchFile) -> None:
        """Check that the trials are complete, and that the missing ones can be appended."""
        for number, row in result.rows.items():
            assert row["trial"] == number
            assert isinstance(row["score"], float)
        for number in set(range(len(_DRAWN))) - set(result.rows):
            result.append({"trial": number, "score": 1.0, "seconds": 1.0, "error": None})
        again = SearchFile(result._path, _DRAWN, "rmse")
        assert sorted(again.rows) == list(range(len(_DRAWN))), "trials were lost"
        assert not again.damaged, "damage was not moved away"


@cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.jsonl"
        file = SearchFile(path, _DRAWN, "rmse")
        for number in (0, 1, 2, 4):
            error = "ValueError: no" if number == 2 else None
            score = float("nan") if number == 2 else 0.5 * number
            file.append({"trial": number, "score": score, "seconds": 0.1, "error": error})
        return path.read_bytes()


def _changed(line: bytes, random: Random) -> bytes:
    row = json.loads(line)
    row.pop("crc32", None)
    text = damaged_json(row, random)
    try:
        row = json.loads(text)
        row["crc32"] = zlib.crc32(json.dumps(row).encode())
        return json.dumps(row).encode()
    except (ValueError, TypeError, RecursionError):
        return text.encode(errors="replace").replace(b"\n", b"")
