"""The file of a random search: one line of JSON for each trial, written when the trial ends.

Each line ends with a checksum, which distinguishes a damaged line from a line of another search. A
damaged line costs only its own trial.
"""

import copyreg
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from ..common.replacing import check_writable, replacing

_START = b'{"trial": '
_DEEPEST = 20
_CHECKSUM = "crc32"

RESERVED = ("trial", "score", "seconds", "error", "metric_name", _CHECKSUM)
"""Names that settings cannot have, because rows and lines have columns with these names."""


class SearchFile:
    """The finished trials of a search, kept in a file.

    Parameters
    ----------
    path : Path
    drawn : sequence of dict
        The settings of each trial.
    metric : str
        The name of the metric that scores the trials.

    Attributes
    ----------
    rows : dict of int to dict
        The trials in the file, by number.
    damaged : list of int
        The line numbers, from 1, of lines that could not be read. These lines were moved to the
        file ``aside``, and their trials must be run again.
    aside : Path
        The path of the file with ``.damaged`` appended.

    Raises
    ------
    ValueError
        The file is not a search file or belongs to another search, or a setting cannot be written.
    FileNotFoundError
        The folder does not exist.
    OSError
        The file cannot be written, or is a device or a pipe.
    """

    def __init__(self, path: Path, drawn: Sequence[Mapping[str, Any]], metric: str) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays a link
        self._drawn, self._metric = drawn, metric
        self._settings = [
            {name: described(value, name) for name, value in each.items()} for each in drawn
        ]
        self.aside = self._path.with_name(self._path.name + ".damaged")
        self.rows: dict[int, dict[str, Any]] = {}
        self.damaged: list[int] = []
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"path={os.fspath(path)!r}: its folder does not exist")
        if os.path.isdir(self._path):  # False for a name that is too long, unlike Path.is_dir
            raise ValueError(f"path={os.fspath(path)!r} is a folder: expected a file")
        check_writable(path)  # before training, and before reading from a pipe forever
        if self._path.exists():
            self._read()
        else:
            with replacing(self._path):  # so that its name is on the disk before the first trial
                pass

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a trial, and wait until it is on the disk."""
        number = row["trial"]
        content = {"trial": number, **self._settings[number], "metric_name": self._metric}
        content |= {name: row[name] for name in ("score", "seconds", "error")}
        text = json.dumps(content)
        content[_CHECKSUM] = zlib.crc32(text.encode())
        with self._path.open("ab") as file:
            file.write(json.dumps(content).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        content = self._path.read_bytes()
        lines = content.split(b"\n")
        if content and not any(map(_is_beginning, lines)):
            raise ValueError(f"{self._path} is not the file of a random search: give another path")
        kept, broken = [], []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            if (row := _parsed(line)) is None:
                # A truncated last line is not damage: its trial never finished.
                if number < len(lines) or not _is_beginning(line):
                    self.damaged.append(number)
                    broken.append(line + b"\n")
                continue
            self._add(row, number)
            kept.append(line + b"\n")
        if b"".join(kept) != content:
            if broken:
                with self.aside.open("ab") as file:
                    file.writelines(broken)
            with replacing(self._path) as file:
                file.write(b"".join(kept))

    def _add(self, row: dict[str, Any], line: int) -> None:
        """Add a trial of the file to ``rows``, or refuse it if it belongs to another search."""
        trial = row["trial"]
        if trial >= len(self._drawn):
            difference = f"is trial {trial}, but this search has trials 0 to {len(self._drawn) - 1}"
        elif differences := self._differences(row):
            difference = f"has trial {trial} with {', '.join(differences)}"
        else:
            result = {name: row[name] for name in ("score", "seconds", "error")}
            self.rows.setdefault(trial, {"trial": trial, **self._drawn[trial], **result})
            return
        raise ValueError(
            f"{self._path} belongs to another search: line {line} {difference}. Give another "
            "path, or the same space, n_iter, seed and metric as before"
        )

    def _differences(self, row: dict[str, Any]) -> list[str]:
        """Describe each setting, and the metric, that differs between the file and this search."""
        mine: dict[str, Any] = {**self._settings[row["trial"]], "metric_name": self._metric}
        if row["error"] is not None:  # the trial may have failed before its metric was known
            mine["metric_name"] = row.get("metric_name")
        other = {k: v for k, v in row.items() if k not in ("trial", "score", "seconds", "error")}
        return [
            f"{name}={_shown(other, name)} instead of {_shown(mine, name)}"
            for name in sorted({*mine, *other})
            if _shown(other, name) != _shown(mine, name)
        ]


def _shown(content: dict[str, Any], name: str) -> str:
    return json.dumps(content[name], sort_keys=True) if name in content else "nothing"


def _is_beginning(line: bytes) -> bool:
    return bool(line) and (line.startswith(_START) or _START.startswith(line))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the trial of a line; None if the line is damaged."""
    try:
        row = json.loads(line.decode())
        checksum = row.pop(_CHECKSUM)
        whole = checksum == zlib.crc32(json.dumps(row).encode())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return row if whole and _is_trial(row) else None


def _is_trial(row: dict[str, Any]) -> bool:
    """Whether a line has the values that :meth:`SearchFile.append` writes."""
    trial, score, seconds, error = map(row.get, ("trial", "score", "seconds", "error"))
    return (
        "error" in row
        and isinstance(trial, int)
        and not isinstance(trial, bool)
        and trial >= 0
        and isinstance(score, float)
        and isinstance(seconds, float)
        and isinstance(error, str | None)
    )


def described(value: Any, name: str, depth: int = 0) -> Any:
    """Describe a setting in JSON's types, so that equal settings in two processes compare equal.

    Functions and classes are described by their names, other objects by what pickle would store.

    Raises
    ------
    ValueError
        The setting is a function without a unique name, or it cannot be pickled.
    """

    def inner(part: Any) -> Any:
        return described(part, name, depth + 1)

    if depth > _DEEPEST:
        raise _undescribed(value, name)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return inner(value.item())
    if type(value) in (list, tuple):
        return [inner(part) for part in value]
    if type(value) in (set, frozenset):
        return {"set": sorted((inner(part) for part in value), key=json.dumps)}
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if type(value) is dict:
        if all(type(key) is str for key in value):
            return {"dict": {key: inner(part) for key, part in value.items()}}
        pairs = [[inner(key), inner(part)] for key, part in value.items()]
        return {"pairs": sorted(pairs, key=json.dumps)}
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        if "<" in value.__qualname__:  # a lambda or a nested function: its name is not unique
            raise _undescribed(value, name)
        return {"name": f"{value.__module__}.{value.__qualname__}"}
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        parts: Any = value.__reduce_ex__(4) if reduce is None else reduce(value)
    except Exception as error:  # an object's own method may raise anything
        raise _undescribed(value, name) from error
    if isinstance(parts, str):  # a global name, e.g. of a NumPy function
        return {"name": f"{type(value).__qualname__} {parts}"}
    return {"object": [inner(list(p) if hasattr(p, "__next__") else p) for p in parts]}


def _undescribed(value: Any, name: str) -> ValueError:
    return ValueError(
        f"the setting {name}={value!r} cannot be written to the file of the search: give numbers, "
        "strings or functions defined at the top level of a module, or omit path"
    )
