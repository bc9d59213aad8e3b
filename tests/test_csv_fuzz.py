"""Thousands of files, many of them damaged: the libraries agree with ``csv``, and none crashes."""

import random
import warnings

import pytest

from xpnet import Dataset
from xpnet.data.tables.csv import file as csv_file
from xpnet.data.tables.csv.engines import ENGINES
from xpnet.data.tables.csv.engines.base import Engine

pytestmark = pytest.mark.slow

FILES = 2800
"""How many files there are in all; `PARTS` tests share them."""

PARTS = 4

NUMBERS = ["1", "2.5", "-3", "1e3", "0", "007"]
ODD_NUMBERS = [
    " 4", "5 ", "+6", "inf", "1e400", "9007199254740993", "123456789012345678901234567890", "1.",
    "-.5", "1_0", "0x1", "\u0661", "nan(1)", "1e", "1.5f", "infinity", "1d5", "--1",
]  # fmt: skip
MISSING = ["", "NA", "?", "nan", " ", "NaN", "-", "null", "None"]
WORDS = ["red", "blue", "a b", "x,y"]
ODD_WORDS = [
    "true", "false", "False", "é", "NA", "1st", "5 kg", "1,5", "$3", "2020-01-01", "'", '"', 'a"b',
    "line\nbreak", "tab\there", ";", "|", "  lead", "trail  ", "\u2028", "\x0b", "#",
    "\\", "\ufeff",
]  # fmt: skip
ANYTHING = [*NUMBERS, *ODD_NUMBERS, *MISSING, *WORDS, *ODD_WORDS]


def cell(kind, rng):
    if rng.random() < 0.05 or kind == "anything":
        return rng.choice(ANYTHING)
    if kind == "missing" and rng.random() < 0.4:
        return rng.choice(MISSING)
    return rng.choice(WORDS if kind == "words" else NUMBERS)


def quoted(text, delimiter, rng):
    needed = any(letter in text for letter in (delimiter, '"', "\n", "\r"))
    if rng.random() < (0.95 if needed else 0.03):
        return '"' + text.replace('"', '""') + '"'
    return text


def file_content(rng):
    """Return a file's bytes, its delimiter and its number of columns."""
    delimiter = rng.choice([",", ",", ";", "\t", "|"])
    kinds = rng.choices(
        ["numbers", "missing", "words", "anything"], [10, 3, 4, 1], k=rng.choice([1, 2, 3, 5])
    )
    lines = [delimiter.join(f"c{k}" for k in range(len(kinds)))]
    for _ in range(rng.randrange(12)):
        row = [quoted(cell(kind, rng), delimiter, rng) for kind in kinds]
        if rng.random() < 0.02:
            row = rng.choice([row[:-1], [*row, "1"], [" "], []])
        lines.append(delimiter.join(row))
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    content = bytearray((end.join(lines) + rng.choice([end, end, ""])).encode())
    for _ in range(rng.choice([0] * 8 + [1, 3])):
        place = rng.randrange(max(len(content), 1))
        content[place : place + rng.randrange(2)] = rng.randbytes(rng.randrange(2))
    return bytes(content), delimiter, len(kinds)


def read(path, engine, options):
    """Return all that a file gives, or the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = _contents(Dataset.from_csv(path, engine=engine, **options))
        except ValueError as error:  # the only documented kind; a MemoryError, say, fails the test
            found = type(error), str(error)
    return found, [str(each.message) for each in caught]


def _contents(data):
    label = None if data.y is None else (str(data.y.dtype), data.y.tobytes())
    ids = None if data.ids is None else data.ids.tolist()
    return data.shape, data.X.tobytes(), label, data.class_names, data.categories, ids


@pytest.mark.parametrize("part", range(PARTS))
def test_all_engines_give_the_same_tables_and_the_same_errors(part, tmp_path, monkeypatch):
    monkeypatch.setattr(Engine, "MIN_ROWS", 1)
    rng, path, read_well = random.Random(part), tmp_path / "t.csv", 0
    libraries = [name for name in ENGINES if pytest.importorskip(name)]
    for _ in range(FILES // PARTS):
        content, delimiter, n_columns = file_content(rng)
        path.write_bytes(content)
        size = rng.choice([16, 64, 1 << 22])
        monkeypatch.setattr(csv_file, "_BLOCK", size)
        monkeypatch.setattr(csv_file, "_LARGEST_BLOCK", size)
        options = {
            "missing": rng.choice(["error", "keep"]),
            "label": rng.choice([None, "c0", f"c{n_columns - 1}"]),
            "delimiter": rng.choice([None, delimiter]),
            "id": rng.choice([None, None, None, "c1"]),
            "decimal": "," if delimiter != "," and rng.random() < 0.2 else ".",
        }
        if options["delimiter"] is None and n_columns == 1:
            options["decimal"] = "."
        expected = read(path, "csv", options)
        read_well += isinstance(expected[0][0], tuple)
        for library in libraries:
            assert read(path, library, options) == expected, (library, size, options, content)
    assert FILES // PARTS // 8 < read_well < FILES // PARTS
