"""Tables of numbers in CSV files, read with the standard library."""

import csv
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import unknown_name
from ..backends._warnings import warn
from ..common.checks import check_distinct
from .reading import is_date


def read_csv(
    path: Path, label: str | None, columns: Sequence[str] | None, delimiter: str | None
) -> tuple[list[str], np.ndarray, np.ndarray | None, list[str] | None]:
    """Read a file; see :meth:`xpnet.Dataset.from_csv`.

    Returns
    -------
    names, X, y, class_names
        ``y`` is None without a label, and ``class_names`` is None if the labels are numbers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(f"delimiter={delimiter!r}: expected one character, e.g. ';'")
    if delimiter is None and path.suffix.lower() == ".tsv":
        delimiter = "\t"
    _refuse_compressed(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = delimiter or _sniff(file.read(8192))
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            header = _read_header(path, reader)
            features = _features(path, header, label, columns)
            if columns is None and "" in features:
                raise ValueError(
                    f"{path}, column {header.index('') + 1} has no name: remove it if it numbers "
                    "the rows (pandas leaves it out with to_csv(index=False)), or give it a name"
                )
            X, labels = _read_rows(path, reader, header, features, label, columns is None)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}): save it in that encoding") from error
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV file ({error})") from error
    if label is None:
        return features, X, None, None
    y, class_names = _parse_labels(labels)
    if class_names is not None and (problem := text_among_numbers(class_names)):
        warn(f"{path}, column {label!r} {problem}. Its texts are read as classes")
    return features, X, y, class_names


def text_among_numbers(names: Sequence[str]) -> str | None:
    """Return what is wrong with a column if most of its distinct texts are numbers, else None."""
    plain = [name for name in names if _is_number(name)]
    written = [name for name in names if not _is_number(name) and _is_number(_bare(name))]
    if 2 * (len(plain) + len(written)) <= len(names):
        return None
    if written:
        return (
            f"has numbers written like {written[0]!r}: write them with a decimal point, and "
            "without commas, spaces and units"
        )
    other = next(name for name in names if name not in plain)
    return f"has {other!r} among its numbers: fill it in, or drop its lines"


def _bare(text: str) -> str:
    """Return a text without separators and signs, e.g. 1000 for '$1,000' and 15 for '15 %'."""
    return re.sub(r"[\s,'$€£%]", "", text)


_COMPRESSED = {
    b"\x1f\x8b": "with gzip",
    b"PK\x03\x04": "as ZIP, or a workbook",
    b"BZh": "with bzip2",
    b"\xfd7zXZ": "with xz",
    b"\x28\xb5\x2f\xfd": "with Zstandard",
}
"""The first bytes of compressed files."""


def _refuse_compressed(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(6)
    for magic, how in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(
                f"{path} is compressed {how}: unpack it first, or export it as CSV in UTF-8"
            )


def _sniff(sample: str) -> str:
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:  # e.g. a single column
        return ","


def _read_header(path: Path, reader: Any) -> list[str]:
    header = [name.strip() for name in next((row for row in reader if not _is_blank(row)), [])]
    if not header:
        raise ValueError(f"{path} is empty: expected a header row and a row for each sample")
    if all(_is_number(name) for name in header):
        raise ValueError(f"{path} begins with numbers: put a header row of column names first")
    check_distinct(f"{path} has columns", header)
    return header


def _features(
    path: Path, header: list[str], label: str | None, columns: Sequence[str] | None
) -> list[str]:
    """Return the names of the feature columns; refuse names that are not in the header."""
    features = [name for name in header if name != label] if columns is None else list(columns)
    for name in [*features, *([] if label is None else [label])]:
        if name not in header:
            raise unknown_name("column", name, header)
    if not features:
        raise ValueError(f"{path} has no column except the label {label!r}: expected features")
    return features


def _is_blank(row: list[str]) -> bool:
    """Whether a line is empty (no cells) or has only spaces."""
    return not row or (len(row) == 1 and row[0].isspace())


def _read_rows(
    path: Path,
    reader: Any,
    header: list[str],
    features: list[str],
    label: str | None,
    any_column: bool,
) -> tuple[np.ndarray, list[str]]:
    """Return the numbers of the features and the texts of the label.

    ``any_column`` is whether the features are all columns except the label.
    """
    places = [header.index(name) for name in features]
    label_place = None if label is None else header.index(label)
    numbers, labels = array("d"), []
    for row in reader:
        if _is_blank(row):
            continue
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {reader.line_num}: {len(row)} cells, but the header has "
                f"{len(header)}"
            )
        if label_place is not None:
            if row[label_place].strip().lower() in ("", "nan"):
                raise _bad_cell(path, reader.line_num, header[label_place], row[label_place])
            labels.append(row[label_place])
        cells = [row[place] for place in places]
        try:
            numbers.extend([_number(cell) for cell in cells])
        except ValueError:
            bad = next(k for k, cell in enumerate(cells) if not _is_number(cell))
            raise _bad_cell(path, reader.line_num, features[bad], cells[bad], any_column) from None
    if not numbers:
        raise ValueError(f"{path} has a header but no rows: expected a row for each sample")
    return np.array(numbers).reshape(-1, len(features)), labels


def _bad_cell(
    path: Path, line: int, column: str, cell: str, may_be_label: bool = False
) -> ValueError:
    where = f"{path}, line {line}, column {column!r}"
    if not cell.strip():
        return ValueError(f"{where}: the cell is empty: fill it in or drop the line")
    if cell.strip().lower() == "nan":
        return ValueError(f"{where}: the cell is missing ({cell!r}): fill it in or drop the line")
    advice = "encode categories as numbers"
    if is_date(cell):
        advice = "give dates as numbers of days"
    elif _is_number(cell.replace(",", "")):
        advice = "write numbers with a decimal point and without commas"
    if may_be_label:
        advice += f" or remove the column. If it is the column to predict, give label={column!r}"
    return ValueError(f"{where}: {cell!r} is not a number: {advice}")


def _parse_labels(texts: list[str]) -> tuple[np.ndarray, list[str] | None]:
    for number, dtype in ((int, np.int64), (float, np.float64)):
        try:
            return np.array([_number(text, number) for text in texts], dtype=dtype), None
        except (ValueError, OverflowError):
            continue
    names, codes = np.unique([text.strip() for text in texts], return_inverse=True)
    return codes.astype(np.int64), [str(name) for name in names]


def _number(text: str, kind: Any = float) -> Any:
    if "_" in text:  # Python reads 1_000 as 1000, but in a table it is not a number
        raise ValueError(text)
    return kind(text)


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True
