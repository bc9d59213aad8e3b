"""Data sets from CSV files: what is read, what is refused, and that all engines agree."""

import bz2
import csv
import gzip
import io
import lzma
import os
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, ReLUActivation, UnknownNameError
from xpnet.data.tables.csv import file as csv_file
from xpnet.data.tables.csv import rows
from xpnet.data.tables.csv.blocks import Lines
from xpnet.data.tables.csv.dialect import guess_delimiter
from xpnet.data.tables.csv.engines import ENGINES, engine_class
from xpnet.data.tables.csv.engines.base import Engine
from xpnet.data.tables.strings import StringCodes

BY_LIBRARY = tuple(ENGINES)


@pytest.fixture(params=["csv", *BY_LIBRARY])
def engine(request, monkeypatch):
    if request.param != "csv":
        pytest.importorskip(request.param)
        monkeypatch.setattr(Engine, "MIN_ROWS", 1)  # small files go to the library, too
    return request.param


@pytest.fixture
def table(tmp_path, engine):
    """A function that writes a file and reads it by each engine in turn."""

    def read(content, *arguments, **options):
        path = tmp_path / options.pop("name", "t.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Dataset.from_csv(path, *arguments, engine=engine, **options)

    return read


def by_libraries(monkeypatch):
    """Count the blocks that libraries have read, and those that they have refused."""
    counts = {"read": 0, "refused": 0}
    for name in BY_LIBRARY:
        kind = engine_class(name)

        def read(self, block, inner=kind.read):
            content = inner(self, block)
            counts["refused" if content is None else "read"] += 1
            return content

        monkeypatch.setattr(kind, "read", read)
    return counts


# What is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_features_labels_and_names(table, delimiter):
    text = "height,kind,age\n1.5,1,30\n\n2,0,4e1\n2.25,1,50\n".replace(",", delimiter)
    data = table(text, label="kind")
    np.testing.assert_array_equal(data.X, [[1.5, 30], [2, 40], [2.25, 50]])
    assert data.X.dtype == np.float64
    assert (data.y.tolist(), data.y.dtype) == ([1, 0, 1], np.int64)
    assert (data.feature_names, data.label_name) == (["height", "age"], "kind")
    assert (data.class_names, data.categories, data.ids) == (None, {}, None)


def test_integers_become_float64_and_there_may_be_no_label(table):
    data = table("a\n1\n2\n")
    assert (data.X.tolist(), data.X.dtype, data.y) == ([[1], [2]], np.float64, None)


def test_labels_are_numbers_or_classes(table):
    floats = table("a,price\n1,2\n2,2.5\n", "price")
    assert (floats.y.tolist(), floats.y.dtype) == ([2, 2.5], np.float64)
    whole = table("a,price\n1,2.0\n2,3.0\n", "price")
    assert (whole.y.tolist(), whole.y.dtype) == ([2, 3], np.int64)
    kinds = table("a, price ,kind\n1,2,dog\n2,2.5,cat\n3,1,dog\n", "kind")
    assert kinds.feature_names == ["a", "price"]
    assert (kinds.y.tolist(), kinds.y.dtype) == ([1, 0, 1], np.int64)
    assert kinds.class_names == ["cat", "dog"]


def test_text_becomes_categories_in_alphabetical_order(table):
    data = table("a,colour,y\n1,red,0\n2, blue,1\n3,red ,0\n", "y")
    assert data.X.tolist() == [[1, 1], [2, 0], [3, 1]]
    assert data.categories == {"colour": ["blue", "red"]}


def test_true_and_false_are_numbers_as_features_and_classes_as_labels(table):
    data = table("f,y\ntrue,True\nFALSE,False\nTrue,True\n", "y")
    assert data.X.tolist() == [[1], [0], [1]]
    assert (data.y.tolist(), data.class_names) == ([1, 0, 1], ["False", "True"])


def test_columns_are_chosen_left_out_and_carried_through(table):
    text = "who,a,b,note,y\nann,1,2,1970-01-01,0\n007,3,4,12 kg,1\n"
    data = table(text, "y", exclude=["note"], id="who")
    assert (data.feature_names, data.X.tolist()) == (["a", "b"], [[1, 2], [3, 4]])
    assert data.ids.tolist() == ["ann", "007"]
    assert data.rows([1]).ids.tolist() == ["007"]
    chosen = table(text, "y", ["b", "a"])
    assert (chosen.feature_names, chosen.X.tolist()) == (["b", "a"], [[2, 1], [4, 3]])


def test_numbers_as_people_write_them(table):
    cells = ["1", "+1", "-1", "1.", ".5", "1e5", "1E-5", " 7 ", "007", "inf", "-inf"]
    data = table("a,b\n" + "".join(f"{cell},0\n" for cell in cells))
    assert data.X[:, 0].tolist() == [float(cell) for cell in cells]


def test_every_digit_counts(table):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**63, 3000).view(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    data = table("a,b\n" + "".join(f"{float(number)!r},0\n" for number in numbers))
    np.testing.assert_array_equal(data.X[:, 0], numbers)


def test_integers_beyond_float64_are_exact_as_labels_and_refused_as_features(table):
    text = f"a,y\n1,{2**53 + 1}\n2,{2**62 + 1}\n"
    assert table(text, "y").y.tolist() == [2**53 + 1, 2**62 + 1]
    with pytest.raises(ValueError, match="line 2, column 'y': '9007199254740993' has more digits"):
        table(text)
    with pytest.raises(ValueError, match="has more digits"):
        table(f"a,y\n1,{2**64 + 1}\n", "y")
    with pytest.raises(ValueError, match="line 2, column 'b': '1e400' is larger than float64 all"):
        table("a,b\n1,1e400\n")
    assert table(f"a,b\n{2**60},1e300\n").X.tolist() == [[2.0**60, 1e300]]


# Missing cells -------------------------------------------------------------------------------

MISSING = ["", " ", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "?", "-", ".", "-nan"]


@pytest.mark.parametrize("cell", MISSING)
def test_a_missing_number_is_refused_by_line_or_nan(table, cell):
    text = f"a,b,y\n1,2,3\n4,{cell},6\n7,8,9.5\n"
    with pytest.raises(ValueError, match=r"t\.csv, line 3, column 'b': "):
        table(text, "y")
    np.testing.assert_array_equal(table(text, "y", missing="keep").X, [[1, 2], [4, np.nan], [7, 8]])
    with pytest.raises(ValueError, match=r"t\.csv, line 3, column 'b': "):
        table(text, "b")
    label = table(text, "b", missing="keep")
    np.testing.assert_array_equal(label.y, [2, np.nan, 8])
    assert label.class_names is None


def test_a_missing_category_is_refused_by_line_or_has_the_last_code(table):
    text = 'a,c\n1,red\n2,""\n3,blue\n'
    with pytest.raises(ValueError, match="line 3, column 'c': the cell is empty"):
        table(text)
    data = table(text, missing="keep")
    assert data.X[:, 1].tolist() == [1, 2, 0]
    assert data.categories == {"c": ["blue", "red", None]}
    with pytest.raises(ValueError, match="line 3, column 'c': the cell is empty"):
        table(text, "c")
    label = table(text, "c", missing="keep")
    np.testing.assert_array_equal(label.y, [1, np.nan, 0])
    assert label.class_names == ["blue", "red"]


def test_a_column_without_any_value_is_missing_everywhere(table):
    text = "a,b\n1,\n2,?\n"
    with pytest.raises(ValueError, match="line 2, column 'b': the cell is empty"):
        table(text)
    data = table(text, missing="keep")
    np.testing.assert_array_equal(data.X, [[1, np.nan], [2, np.nan]])


def test_a_column_whose_first_rows_are_missing_is_still_numbers(table):
    text = "a,b\n" + "1,\n" * 200 + "1,2.5\n"
    data = table(text, missing="keep")
    assert (data.X[-1, 1], data.categories) == (2.5, {})
    assert np.isnan(data.X[:-1, 1]).all()


# What is refused -----------------------------------------------------------------------------

REFUSED = {
    "empty": ("", "is empty"),
    "blank lines": ("\n\n", "is empty"),
    "no header": ("1,2\n3,4\n", "begins with numbers, such as '1', .*: put a header row of"),
    "no rows": ("a,y\n", "header but no rows"),
    "a name twice": ("a,a,y\n1,2,3\n", "a more than once"),
    "only a label": ("y\n1\n", "no column left for a feature"),
    "no name": (",a,y\n0,1,2\n", r"column 1 has no name: .*to_csv\(index=False\)"),
    "too many cells": ("a,y\n1,2\n1,2,3\n", "line 3: 3 cells, but the header has 2"),
    "too few cells": ("a,b,y\n1,2,3\n1,2\n", "line 3: 2 cells"),
    "one cell": ("a,y\n1,2\n1\n", "line 3: 1 cells"),
    "text": ("a,y\n1,2\n\nred,2\n", "line 4, column 'a': 'red' is not a number"),
    "text late": ("a,y\n" + "1,2\n" * 300 + "red,2\n", "line 302, column 'a': 'red' is not a n"),
    "text first": ("a,y\nred,2\n1,2\n1,2\n", "line 2, column 'a': 'red' is not a number"),
    "one number": ("a,y\nred,2\nblue,2\n1,2\n", "line 4, column 'a': '1' is a number among text"),
    "dates": ("a,y\n2026-01-31,2\n", "give dates and times as numbers"),
    "times": ("a,y\n12:30,2\n8:05,1\n", "give dates and times as numbers"),
    "decimal comma": ('a,y\n"1,5",2\n', "'1,5' is not a number: write numbers with a decimal"),
    "thousands": ('a,y\n"1,500",2\n', "'1,500' is not a number: write numbers with"),
    "currency": ("a,y\n$5,2\n€6,2\n", "'.5' is not a number: write numbers with"),
    "unit": ("a,y\n5 kg,2\n6 kg,1\n", "'5 kg' is not a number: write numbers with"),
    "per cent": ("a,y\n5%,2\n60%,1\n", "'5%' is not a number: write numbers with"),
    "underscore": ("a,y\n1_000,2\n2,2\n", "'1_000' is not a number"),
    "hexadecimal": ("a,y\n1,2\n0x10,2\n", "'0x10' is not a number"),
    "empty cell": ("a,y\n,2\n", "line 2, column 'a': the cell is empty"),
    "blank label": ("a,y\n1, \n", "line 2, column 'y': the cell is empty"),
    "NA among labels": ("a,y\n1,1\n2,NA\n3,2\n", "line 3, column 'y': 'NA' stands for a missing"),
    "text among labels": ("a,y\n1,1\n2,none?\n3,2\n", "line 3, column 'y': 'none.' is not a numb"),
    "labels with commas": ('a,y\n1,"1,000"\n2,"2,000"\n', "line 2, column 'y': '1,000' is not"),
    "labels with units": ("a,y\n1,5 %\n2,6 %\n3,low\n", "column 'y': 'low' is not|'5 %' is not"),
    "dates as labels": ("a,y\n1,2026-01-01\n2,2026-01-02\n", "give dates and times as numbers"),
    "endless quote": ('a,y\n1,2\n1,"2\n3,4\n', "line 3: a quote is not closed"),
    "text after a quote": ('a,y\n"1"x,2\n', "line 2: not valid CSV"),
    "zero bytes": ("a,y\n1,\0\n", "has zero bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(table, case):
    text, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        table(text, "y", delimiter=",")


@pytest.mark.parametrize(
    "cells", [["low", "high"], ["1", "2a", "2b"], ["1", "one"], ["1st", "2nd"]]
)
def test_labels_that_are_not_mostly_numbers_are_classes(table, cells):
    data = table("a,y\n" + "".join(f"1,{cell}\n" for cell in cells), "y")
    assert data.class_names == sorted(cells)


def test_labels_that_turn_out_to_be_text_late_are_classes_or_refused(table):
    numbers = "a,y\n" + "1,7\n" * 300
    data = table(numbers + "".join(f"1,k{k}\n" for k in range(400)), "y")
    assert (len(data.class_names), data.class_names[0]) == (401, "7")
    with pytest.raises(ValueError, match="line 302, column 'y': 'k' is not a number"):
        table(numbers + "1,k\n", "y")


def test_files_columns_and_arguments_that_are_wrong_are_named(tmp_path, table):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: there is no such file"):
        Dataset.from_csv(tmp_path / "none.csv")
    text = "a,price\n1,2\n"
    for arguments in (["prise"], [None, ["prise"]]):
        with pytest.raises(UnknownNameError, match="did you mean 'price'"):
            table(text, *arguments)
    with pytest.raises(UnknownNameError, match=r"unknown columns 'b', 'c'\. Known: a, price$"):
        table(text, None, ["b", "a", "c"])
    for name in ("exclude", "id"):
        with pytest.raises(UnknownNameError, match="did you mean 'price'"):
            table(text, **{name: "prise" if name == "id" else ["prise"]})
    wrong = {
        "delimiter": (", ", "", '"', 3), "decimal": (";", None), "missing": ("drop", None),
        "compression": ("rar",), "encoding": ("utf-88", "base64", ""),
        "max_bytes": (0, "1"), "memory_limit": (0, -1),
    }  # fmt: skip
    for name, values in wrong.items():
        for value in values:
            with pytest.raises((ValueError, TypeError), match=name):
                table(text, **{name: value})
    with pytest.raises(UnknownNameError, match="unknown engine 'arrow': did you mean 'pyarrow'"):
        Dataset.from_csv(tmp_path / "t.csv", engine="arrow")
    with pytest.raises(ValueError, match="expected two columns"):
        table(text, "price", id="price")
    with pytest.raises(ValueError, match="columns= and label= both name"):
        table(text, "price", ["price"])
    with pytest.raises(ValueError, match="columns= has 'size' more than once"):
        table(text, "price", ["size", "size"])
    with pytest.raises(TypeError, match="expected a list of names"):
        table(text, exclude="price")
    with pytest.raises(ValueError, match="delimiter=',' is also the decimal sign"):
        table(text, delimiter=",", decimal=",")


def test_ids_are_features_if_columns_name_them(table):
    text = "n,a,c\n007,1.50,x\n8,,y\n" + "9,2,x\n" * 50
    for name, ids, categories in (
        ("n", ["007", "8", "9"], {"c": ["x", "y"]}),
        ("a", ["1.50", "", "2"], {"c": ["x", "y"]}),
        ("c", ["x", "y", "x"], {"c": ["x", "y"]}),
    ):
        columns = ["c", "n", "a"]
        data = table(text, columns=columns, id=name, missing="keep")
        assert (data.ids[:3].tolist(), data.categories) == (ids, categories)
        np.testing.assert_array_equal(data.X, table(text, columns=columns, missing="keep").X)
        assert name not in table(text, id=name, missing="keep").feature_names
    with pytest.raises(ValueError, match=r"line 3, column 'a': the cell is empty"):
        table(text, columns=["a"], id="a")


def test_several_columns_for_one_are_answered_with_that(table):
    for argument in ("label", "id"):
        with pytest.raises(UnknownNameError, match=f"{argument}= takes only one column"):
            table("a,b,c\n1,2,3\n", **{argument: "a,b"})
    with pytest.raises(UnknownNameError, match=r"Known: a, b, c$"):
        table("a,b,c\n1,2,3\n", columns=["a,b"])


def test_the_label_is_suggested_for_a_bad_cell_only_if_none_is_given(table):
    with pytest.raises(ValueError, match=r"give label='b'$"):
        table("a,b\n1,2\n1,x\n")
    with pytest.raises(
        ValueError, match=r"leave the column out\. To change cells .*from_frame\(frame\)$"
    ):
        table("a,b\n1,2\n1,x\n", "a")


def test_a_library_that_does_not_work_is_passed_over(monkeypatch):
    pytest.importorskip("polars")

    def broken(name):
        if name.endswith("_pyarrow"):
            raise OSError("libarrow.so is damaged")
        return import_module(name)

    monkeypatch.setattr("xpnet.data.tables.csv.engines.import_module", broken)
    assert engine_class("auto").__name__ == "Polars"
    with pytest.raises(OSError, match="damaged"):
        engine_class("pyarrow")


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("xpnet.data.tables.csv.engines.find_spec", lambda name: None)
    assert engine_class("auto") is None
    with pytest.raises(ImportError, match="needs polars, which is not installed"):
        Dataset.from_csv(tmp_path / "t.csv", engine="polars")


# Dialects ------------------------------------------------------------------------------------

PLAIN = "a,größe,y\n1,2.5,ja\n3,4,nein\n"

DIALECTS = {
    "byte order mark": (PLAIN.encode("utf-8-sig"), {}),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "CR": (PLAIN.replace("\n", "\r").encode(), {}),
    "no end of the last line": (PLAIN.rstrip().encode(), {}),
    "blank lines": (PLAIN.replace("\n", "\n\n  \n").encode(), {}),
    "quotes": (b'"a","gr\xc3\xb6\xc3\x9fe","y"\n"1","2.5","ja"\n"3","4","nein"\n', {}),
    "tabs": (PLAIN.replace(",", "\t").encode(), {}),
    "tabs by name": (PLAIN.replace(",", "\t").encode(), {"name": "T.TSV"}),
    "pipes": (PLAIN.replace(",", "|").encode(), {}),
    "semicolons": (PLAIN.replace(",", ";").encode(), {}),
    "decimal commas": (PLAIN.replace(",", ";").replace(".", ",").encode(), {"decimal": ","}),
    "another delimiter": (PLAIN.replace(",", "~").encode(), {"delimiter": "~"}),
    "Latin-1": (PLAIN.encode("latin-1"), {"encoding": "latin-1"}),
    "UTF-16": (PLAIN.encode("utf-16"), {}),
    "UTF-16 by name": (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "UTF-16 little": (b"\xff\xfe" + PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "UTF-16 big": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), {}),
    "UTF-32": (PLAIN.encode("utf-32"), {}),
    "gzip": (gzip.compress(PLAIN.encode()), {"name": "t.csv.gz"}),
    "gzip under another name": (gzip.compress(PLAIN.encode()), {}),
    "gzip by name": (gzip.compress(PLAIN.encode()), {"compression": "gzip"}),
    "bz2": (bz2.compress(PLAIN.encode()), {"name": "t.csv.bz2"}),
    "xz": (lzma.compress(PLAIN.encode()), {"name": "t.csv.xz"}),
    "no header": (PLAIN.partition("\n")[2].encode(), {"header": False}),
    "no header, with a mark": (PLAIN.partition("\n")[2].encode("utf-8-sig"), {"header": False}),
    "no header, CRLF": (b"\r\n1,2.5,ja\r\n3,4,nein", {"header": False}),
    "a header, as asked": (PLAIN.encode(), {"header": True}),
    "compressed UTF-16": (gzip.compress(PLAIN.encode("utf-16")), {}),
}


@pytest.mark.parametrize("case", DIALECTS)
def test_each_dialect_gives_the_same_table(table, case):
    content, options = DIALECTS[case]
    has_names = options.get("header", True)
    data = table(content, "y" if has_names else "2", **options)
    assert data.X.tolist() == [[1, 2.5], [3, 4]]
    assert (data.y.tolist(), data.class_names) == ([0, 1], ["ja", "nein"])
    assert data.feature_names == (["a", "größe"] if has_names else ["0", "1"])


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def test_a_zip_file_with_one_file_is_read(table):
    assert table(zipped(t=PLAIN), "y").X.shape == (2, 2)
    with pytest.raises(ValueError, match=r"holds 2 files \(t, u\): expected one"):
        table(zipped(t=PLAIN, u=PLAIN), "y")
    with pytest.raises(ValueError, match="is a workbook"):
        table(zipped(**{"[Content_Types].xml": "", "xl/workbook.xml": ""}), "y")


def test_zstandard_is_read_or_the_package_is_named(table, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    content = pa.compress(PLAIN.encode(), "zstd", asbytes=True)
    assert table(content, "y", name="t.csv.zst").X.shape == (2, 2)
    missing = {"compression.zstd": None, "pyarrow": None}
    for name, module in missing.items():
        monkeypatch.setitem(__import__("sys").modules, name, module)
    monkeypatch.setattr("xpnet.data.tables.csv.engines.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="compressed with Zstandard"):
        Dataset.from_csv(_written(content, table), "y", engine="csv")


def _written(content, table):
    path = Path(table.__closure__[1].cell_contents) / "again.csv.zst"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, lambda b: zipped(t=b)]
)
def test_damaged_compressed_files_are_refused(table, compress):
    rng = np.random.default_rng(0)
    text = "a,y\n" + "".join(f"{value},1\n" for value in rng.random(3000))
    content = bytearray(compress(text.encode()))
    with pytest.raises(ValueError, match="is damaged"):
        table(bytes(content[: len(content) // 2]), "y")
    content[len(content) // 2] ^= 255
    with pytest.raises(ValueError, match=r"is damaged|line"):
        table(bytes(content), "y")


def test_files_that_unpack_to_more_than_expected_are_refused_unless_allowed(table, monkeypatch):
    monkeypatch.setattr("xpnet.data.tables.csv.opening.MAX_BYTES", 1000)
    content = gzip.compress(b"a,y\n" + b"0,0\n" * 100_000)
    with pytest.raises(ValueError, match="bytes when decompressed: give max_bytes="):
        table(content, "y")
    assert len(table(content, "y", max_bytes=400_004)) == 100_000


def test_text_in_another_encoding_is_refused_where_it_is_read(table):
    with pytest.raises(ValueError, match=r"t\.csv: the header is not UTF-8 .*cp1252"):
        table("größe,y\n1,2\n".encode("latin-1"))
    text = "a,b,y\n1,x,2\n2,ö,3\n".encode("latin-1")
    with pytest.raises(ValueError, match="line 3, column 'b': not UTF-8"):
        table(text, "y")
    assert table(text, "y", exclude=["b"]).X.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match=r"is not in the encoding 'ascii'|not UTF-8"):
        table(text, "y", encoding="ascii")
    with pytest.raises(ValueError, match="has zero bytes"):
        table("a,y\n1,2\n".encode("utf-16-le"), "y")
    with pytest.raises(ValueError, match="is not in the encoding 'utf-16'"):
        table("a,y\n1,2\n".encode("utf-16")[:-1], "y")


DELIMITERS = {
    ";": ["a;b\n1,5;2,5\n", "name;price\nbread, white;1,5\nrolls, six;2,0\n", "a;b;c\n1|2;3|4;5\n"],
    ",": ["a,b\n1;2,3\n", "a\n1\n2\n", "when,what\n10:30,a|b\n11:30,c|d\n", "a,b\n1,2\n1,2,3\n",
          'list,b\n"1;2;3",4\n"1;2;3",5\n', '"a\tb",c\n"1\t2",3\n'],
    "\t": ["a\tb\n1,5\t2,5\n", '"x,y"\t"z,w"\n1\t2\n'],
    "|": ["a|b\n1,5|2\n", "a|b,c\n1|2,3\n4|5,6\n7|8\n"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("delimiter", "text"), [(d, t) for d, ts in DELIMITERS.items() for t in ts]
)
def test_the_delimiter_is_the_one_that_splits_all_lines_alike(delimiter, text):
    assert guess_delimiter(text) == delimiter


def test_a_guessed_delimiter_is_named_in_the_message(table):
    with pytest.raises(ValueError, match=r"with the delimiter ',' \(a guess: delimiter= names ano"):
        table("a,b\n1,2\n1,2,3\n")
    with pytest.raises(ValueError, match=r"but the header has 2$"):
        table("a,b\n1,2\n1,2,3\n", delimiter=",")


def test_any_number_of_blank_lines_and_lines_in_quotes_may_come_first(table):
    assert table("\n" * 300 + "a,b\n1,2\n").X.tolist() == [[1, 2]]
    assert table('"a' + "\n" * 300 + '",b\n1,2\n').X.tolist() == [[1, 2]]


def test_a_block_may_have_blank_lines_only(table, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCK", 16)
    monkeypatch.setattr(csv_file, "_LARGEST_BLOCK", 16)
    text = "a,b\n" + "1,2\n" * 4 + "\n" * 16 + " \n" * 8 + "3,4\n" + "\r\n" * 20 + " \r \r"
    assert table(text).X.tolist() == [[1, 2]] * 4 + [[3, 4]]


def test_the_first_row_may_not_have_too_many_cells(table):
    for row in ("1,2,3", "1,2,", "x,2,3,4"):
        with pytest.raises(ValueError, match=r"line 2: \d cells, but the header has 2"):
            table(f"a,b\n{row}\n1,2\n")


def test_a_decimal_comma_is_not_taken_for_the_delimiter(table):
    assert table("x\n1,5\n2,5\n", decimal=",").X.tolist() == [[1.5], [2.5]]


def test_names_that_occur_twice_matter_only_if_they_are_used(table):
    text = "a,b,b,,\n1,2,3,,\n"
    assert table(text, columns=["a"]).X.tolist() == [[1]]
    assert table(text, exclude=["b", ""]).X.tolist() == [[1]]
    with pytest.raises(ValueError, match="has columns '', b more than once: rename the duplicates"):
        table(text)


def test_columns_named_by_numbers_from_zero_are_a_header(table):
    assert table("0,1,2\n5,6,7\n").feature_names == ["0", "1", "2"]
    assert table("0,1,2,y\n5,6,7,8\n").feature_names == ["0", "1", "2", "y"]
    with pytest.raises(ValueError, match="begins with numbers"):
        table("0,1,3\n5,6,7\n")


HEADLESS = {
    "numbers and a text": "5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n",
    "twice the same number": "5.1,5.1,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n",
    "one number": "red,setosa,7\nblue,setosa,5\nred,virginica,6\n",
    "missing below": "5.1,red\n?,blue\n4.9,red\n",
    "decimal commas": "5,1;red\n4,9;blue\n",
}


@pytest.mark.parametrize("case", HEADLESS)
def test_a_first_row_without_names_is_not_taken_for_the_header(table, case):
    options = {"decimal": ","} if case == "decimal commas" else {}
    with pytest.raises(ValueError, match=r"begins with numbers, such as .*header=False"):
        table(HEADLESS[case], **options)
    options |= {"header": False, "missing": "keep"}
    assert len(table(HEADLESS[case], **options)) == HEADLESS[case].count("\n")
    for argument in (0, "yes"):
        with pytest.raises(TypeError, match="header="):
            table(HEADLESS[case], header=argument)


def test_names_that_are_numbers_are_taken_where_the_user_says_so(table):
    text = "town,2019,2020\na,1,2\nb,3,4\n"
    with pytest.raises(ValueError, match=r"such as '2019', where the names .*header=True takes"):
        table(text)
    assert table(text, header=True).feature_names == ["town", "2019", "2020"]
    assert table(text, "2020", ["2019"]).X.tolist() == [[1], [3]]
    assert table(text, "2020", exclude=["2019"]).y.tolist() == [2, 4]
    with pytest.raises(ValueError, match="such as '2020'"):
        table(text, "2019")
    data = table("1,b,y\nred,1,2\nblue,3,4\n", "y")  # no number is below the name
    assert data.feature_names == ["1", "b"]


# Quotes --------------------------------------------------------------------------------------

QUOTED = {
    "newline": ('a,b,y\n"x\ny",1,2\n"x\r\ny",2,3\n', [[0, 1], [1, 2]]),
    "delimiter": ('a,b,y\n"x,y",1,2\n",",2,3\n', [[1, 1], [0, 2]]),
    "doubled": ('a,b,y\n"x""y",1,2\n"""",2,3\n', [[1, 1], [0, 2]]),
    "within": ('a,b,y\n5" pipe,1,2\n6" pipe,2,3\n', [[0, 1], [1, 2]]),
    "after a space": ('a,b,y\n "x,1,2\n"z",2,3\n', [[0, 1], [1, 2]]),
}


@pytest.mark.parametrize("case", QUOTED)
def test_quotes_are_read_as_by_csv(table, case):
    text, X = QUOTED[case]
    data = table(text, "y")
    expected = [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]
    assert data.X.tolist() == X
    assert [data.categories["a"][int(code)] for code in data.X[:, 0]] == [
        cell.strip() for cell in expected
    ]


@pytest.mark.parametrize("size", [7, 16, 33, 100, 1000])
def test_blocks_of_any_size_give_the_same_table(table, size, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCK", size)
    monkeypatch.setattr(csv_file, "_LARGEST_BLOCK", size)
    rows = [f'{k},"text {k % 3}\n""{"," * (k % 2)}""",{k / 7}\r\n' for k in range(50)]
    data = table("a,b,y\r\n" + "".join(rows), "y")
    assert data.X[:, 0].tolist() == list(range(50))
    assert data.y.tolist() == [k / 7 for k in range(50)]
    assert len(data.categories["b"]) == 6
    with pytest.raises(ValueError, match="line 103, column 'y': 'x' is not a number"):
        table("a,b,y\r\n" + "".join(rows) + '1,"text\n",x\r\n', "y")


@pytest.mark.parametrize("size", [8, 16, 1000])
def test_quotes_that_only_seem_to_be_around_cells_are_read_as_by_csv(table, size, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCK", size)
    monkeypatch.setattr(csv_file, "_LARGEST_BLOCK", size)
    data = table('a,b,c\n1,p",q\n2,r,"s\n3,t,u"\n4,v,w\n', delimiter=",")
    assert data.X[:, 0].tolist() == [1, 2, 4]
    assert data.categories == {"b": ['p"', "r", "v"], "c": ["q", "s\n3,t,u", "w"]}


def test_empty_first_cells_after_a_carriage_return_count(table):
    with pytest.raises(ValueError, match="line 3: 3 cells, but the header has 2"):
        table("a b\n\r  5\n1 2\n", "b", delimiter=" ", missing="keep")
    data = table("a,b\r\r,5\r1,2\r", "b", missing="keep")
    np.testing.assert_array_equal(data.X, [[np.nan], [1]])
    assert data.y.tolist() == [5, 2]


@pytest.mark.parametrize("delimiter", ["§", "\u3000", "\U0001f600"])
def test_a_delimiter_may_be_any_character(table, delimiter):
    data = table("a,b\n1,x\n2,y\n".replace(",", delimiter), delimiter=delimiter)
    assert data.X.tolist() == [[1, 0], [2, 1]]


def test_a_file_that_changes_while_it_is_read_is_named(table, monkeypatch):
    found = csv_file._line_of

    def changed(path, *arguments):
        path.write_text("a,b\n1,2\n")
        return found(path, *arguments)

    monkeypatch.setattr(csv_file, "_line_of", changed)
    with pytest.raises(ValueError, match=r"t\.csv, column 'b': '12:30' .* The file has changed"):
        table("a,b\n1,12:30\n")


def test_a_block_that_a_library_refuses_is_read_by_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCK", 1000)
    counts = by_libraries(monkeypatch)
    cells = [str(k) for k in range(2000)]
    cells[1000] = "  1000 \u00a0"
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    for name in BY_LIBRARY:
        pytest.importorskip(name)
        counts.update(read=0, refused=0)
        data = Dataset.from_csv(path, engine=name)
        assert data.X[:, 0].tolist() == list(range(2000))
        assert counts["refused"] == 1
        assert counts["read"] > 5


def test_cells_are_as_long_as_they_need_to_be(table, monkeypatch):
    limit, text = csv.field_size_limit(), "x" * (csv.field_size_limit() + 1)
    for cell in (text, f'"{text}"'):
        data = table(f"a,b\n1,{cell}\n2,y\n")
        assert data.categories == {"b": [text, "y"]}
        assert table(f"a,b\n1,{cell}\n2,y\n", exclude=["b"]).X.tolist() == [[1], [2]]
    assert table(f"{text},b\n1,2\n", "b").feature_names == [text]
    monkeypatch.setattr(rows, "MAX_CELL", limit)
    with pytest.raises(ValueError, match=r"line 2: a cell has over 131,072 char.* a quote is not"):
        table(f'a,b\n1,"{text}\n2,y\n')
    with pytest.raises(
        ValueError, match=r"t\.csv: the header is not valid CSV .* is a quote not closed"
    ):
        table(f'"{text},b\n1,2\n')
    assert csv.field_size_limit() == limit


def test_a_long_line_is_read_in_pieces_that_grow():
    sizes = []

    class Long:
        def read(self, size):
            if sum(sizes) > 1 << 22:
                return b""
            sizes.append(size)
            return b"x" * size

    assert len(next(Lines(Long(), 1 << 10))) > 1 << 22
    assert len(sizes) < 20


def test_one_long_name_does_not_make_all_names_long(table):
    names = [*map(str, range(300)), "x" * 10_000]
    data = table("n,a\n" + "".join(f"{name},1\n" for name in names), id="n")
    assert data.ids.tolist() == names
    assert data.ids.nbytes < 100_000
    assert table("n,a\nfig,1\nplum,2\n", id="n").ids.dtype == "<U4"


def test_integers_of_hundreds_of_digits_do_not_become_infinite(table):
    for digits in (400, 5000):
        for label in (None, "a"):
            with pytest.raises(ValueError, match=r"line 3, column 'a': '111+' has more digits"):
                table(f"a,b\n1,2\n{'1' * digits},3\n", label)
    assert table("a,b\n1,2\ninf,3\n-Infinity,3\n").X[1:, 0].tolist() == [np.inf, -np.inf]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on Windows")
def test_a_temporary_file_outlives_forked_processes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    code = (
        "import os, sys, tempfile, xpnet\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        f"data = xpnet.Dataset.from_csv({str(path)!r}, memory_limit=1, engine='csv')\n"
        "if os.fork() == 0:\n    sys.exit()\n"
        "os.wait()\n"
        "print(os.path.exists(data.X.filename))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "True\n", result.stderr
    assert not list(tmp_path.glob("xpnet-*"))


def test_columns_without_values_at_the_beginning_are_not_kept_as_text(table, monkeypatch):
    kept = []
    monkeypatch.setattr(StringCodes, "codes", lambda self, texts: kept.append(texts))
    text = "a,b,y\n" + "1,,\n" * 120 + "1,0.5,3\n2,,4\n"
    data = table(text, "y", missing="keep")
    np.testing.assert_array_equal(data.X[-2:], [[1, 0.5], [2, np.nan]])
    assert (np.isnan(data.y[:120]).all(), data.y[120:].tolist()) == (True, [3, 4])
    assert not kept


@pytest.mark.parametrize("cell", ["red", "true"])
def test_columns_without_values_at_the_beginning_may_still_be_text(table, cell):
    data = table("a,b,c\n" + "1,,\n" * 120 + f"2,{cell},3\n", missing="keep")
    assert data.categories == ({"b": ["red", None]} if cell == "red" else {})
    np.testing.assert_array_equal(data.X[[0, -1], 1], [1, 0] if cell == "red" else [np.nan, 1])
    assert data.X[-1, 2] == 3


def test_files_of_very_many_columns_are_read_by_csv(tmp_path, monkeypatch):
    counts = by_libraries(monkeypatch)
    monkeypatch.setattr(csv_file, "_MAX_COLUMNS", 3)
    path = tmp_path / "t.csv"
    for columns, read in (("1,2,3\n", 1), ("1,2,3,4\n", 0)):
        path.write_text("a,b,c,d\n"[: len(columns) - 1] + "\n" + columns * 50)
        for name in BY_LIBRARY:
            pytest.importorskip(name)
            counts.update(read=0, refused=0)
            assert Dataset.from_csv(path, engine=name).X.shape == (50, len(columns) // 2)
            assert counts == {"read": read, "refused": 0}


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a regular file, but a folder"):
        Dataset.from_csv(tmp_path)


@pytest.mark.parametrize("cell", ["\u22121.5", "\u2013 2", "1e\u22125", "\u2212$3", "\u22120.5e3"])
def test_numbers_with_a_typeset_minus_are_not_categories(table, cell):
    with pytest.raises(
        ValueError, match=r"line 2, column 'a': .* is not a number: .* the sign '-'"
    ):
        table(f"a,b\n{cell},1\n{cell},2\n")


# Larger than memory --------------------------------------------------------------------------


def test_tables_above_the_limit_go_to_a_temporary_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(csv_file, "_BLOCK", 1000)
    rng = np.random.default_rng(0)
    X, c = rng.random((500, 3)), rng.integers(0, 3, 500)
    text = "a,b,c,kind\n" + "".join(
        f"{a!r},{b!r},{d!r},{'xyz'[k]}\n" for (a, b, d), k in zip(X.tolist(), c, strict=True)
    )
    data = table(text, "c", memory_limit=4000)
    resident = table(text, "c")
    assert isinstance(data.X, np.memmap)
    assert not isinstance(resident.X, np.memmap)
    np.testing.assert_array_equal(np.asarray(data.X), resident.X)
    np.testing.assert_array_equal(data.y, resident.y)
    assert data.categories == resident.categories == {"kind": ["x", "y", "z"]}
    files = list(tmp_path.glob("xpnet-*"))
    assert len(files) == 1
    view = data.X[400:]
    del data
    assert files[0].exists()
    np.testing.assert_array_equal(np.asarray(view), resident.X[400:])
    del view
    assert not files[0].exists()
    with pytest.raises(ValueError, match="line 502"):
        table(text + "1,2,3\n", "c", memory_limit=4000)
    assert not list(tmp_path.glob("xpnet-*"))


def test_a_table_in_a_temporary_file_is_trained_on_scored_and_predicted(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.random((3000, 4)).round(6)
    y = (X @ [1.0, 2.0, -1.0, 0.5]).round(6)
    lines = [",".join(map(repr, row)) for row in np.column_stack([X, y]).tolist()]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b,c,d,y", *lines]))
    results = []
    for limits in ({}, {"memory_limit": 10_000}):
        data = Dataset.from_csv(path, "y", **limits)
        assert isinstance(data.X, np.memmap) == bool(limits)
        net = NeuralNetwork(
            epochs=2, batch_size=100, optimizer="adam", metric="r2", seed=0, shuffle=False,
            memory_limit=600_000 if limits else None,
        )  # fmt: skip
        net.add(DenseLayer(8, input_shape=(4,))).add(ReLUActivation()).add(DenseLayer(1))
        net.fit(data, validation=data)
        assert (net.last_plan.chunk is not None) == bool(limits)
        results.append([net.score(data), *net.history["val_r2"], *net.predict(data)[:, 0]])
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_decimal_commas_with_separators_are_told_the_sign_that_is_asked_for(table):
    for content in ("a;b\n1.000,5;1\n2,5;2\n", "a;b\n1,5;1\n2.000,5;2\n"):
        with pytest.raises(ValueError, match="write numbers with a decimal comma, and"):
            table(content, "b", decimal=",")


def test_what_is_no_text_file_is_named(table, tmp_path):
    with pytest.raises(ValueError, match=r"is a Parquet file: read it with Dataset\.from_parquet"):
        table(b"PAR1\x15\0\x15\x80PAR1")
    with pytest.raises(FileNotFoundError, match=r"is not a regular file, but a folder"):
        Dataset.from_csv(tmp_path)
