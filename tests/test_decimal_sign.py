"""``Dataset.from_csv(decimal="infer")`` finds the decimal sign, or refuses to guess."""

import re
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import Dataset

ENGINES = ["csv", "pyarrow", "polars", "pandas"]


@pytest.fixture
def read(tmp_path):
    def read(text, decimal="infer", name="t.csv", **given):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return Dataset.from_csv(path, decimal=decimal, **given)

    return read


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "X"),
    [
        ("a;b\n1,5;2\n2,25;3\n", [[1.5, 2], [2.25, 3]]),
        ("a;b\n1.5;2\n2.25;3\n", [[1.5, 2], [2.25, 3]]),
        ("a;b\n1;2\n3;4\n", [[1, 2], [3, 4]]),
        ("a\tb\n1,5\t-2,0e1\n2\t+3\n", [[1.5, -20], [2, 3]]),
        ("a|b\n,5|2\n 2,25 |3\n", [[0.5, 2], [2.25, 3]]),
        ("a,b\n1.5,2\n2.25,3\n", [[1.5, 2], [2.25, 3]]),
        ('a;b\n"1,5";"2"\n"2,25";"3"\n', [[1.5, 2], [2.25, 3]]),
        ("a;b\n1,234;2\n1234,5;3\n", [[1.234, 2], [1234.5, 3]]),
        ("a;b\n0,234;2\n0,500;3\n", [[0.234, 2], [0.5, 3]]),
        ("a;b\n1234,567;2\n3,4567;3\n", [[1234.567, 2], [3.4567, 3]]),
        ("a;b\n1.234;2\n5.5;3\n", [[1.234, 2], [5.5, 3]]),
        ("a|b\n1.234|2\n5.678|3\n", [[1.234, 2], [5.678, 3]]),
        ('a,b\n"2,32",3\n"1,5",4\n', [[2.32, 3], [1.5, 4]]),
        ('a,b\n"2,32","1,234"\n7,"0,5"\n', [[2.32, 1.234], [7, 0.5]]),
        ("a;b\n1,5;2020\n1,5;2021\n", [[1.5, 2020], [1.5, 2021]]),
    ],
)
def test_the_sign_that_occurs_is_taken(text, X, engine, read):
    if engine != "csv":
        pytest.importorskip(engine)
    assert read(text, engine=engine).X.tolist() == X


def test_the_default_is_a_point(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;2\n")
    with pytest.raises(ValueError, match="decimal=','"):
        Dataset.from_csv(path)


def test_labels_and_missing_cells_are_read_with_the_sign(read):
    data = read("a;b;y\n1;2;0,5\n;3;NA\n4;?;1\n", label="y", missing="keep")
    np.testing.assert_array_equal(data.y, [0.5, np.nan, 1])
    np.testing.assert_array_equal(data.X, [[1, 2], [np.nan, 3], [4, np.nan]])


@pytest.mark.parametrize(
    "text",
    [
        "a;b;c\n1,5;2.5;v1.0\n2,5;3;v1,1\n",  # c has texts
        "a;b;c\n1,5;2.5;x\n2,5;3;1.5\n",
    ],
)
def test_columns_that_are_not_used_and_texts_do_not_count(text, read):
    assert read(text, columns=["a"]).X.tolist() == [[1.5], [2.5]]
    assert read(text, exclude=["a", "c"]).X.tolist() == [[2.5], [3]]
    data = read("a;b\n1,5;v1.0\n2,5;v1,1\n")
    assert data.categories == {"b": ["v1,1", "v1.0"]}
    assert data.X[:, 0].tolist() == [1.5, 2.5]
    ids = read("id;a\n1.5;1,5\n2.5;2,5\n", id="id")
    assert (ids.ids.tolist(), ids.X.tolist()) == (["1.5", "2.5"], [[1.5], [2.5]])


@pytest.mark.parametrize("decimal", ["infer", ".", ","])
def test_a_file_without_a_header_is_read_by_its_first_line_too(decimal, read):
    X = [[1.5, 2], [3, 4]]
    text = "1.5;2\n3;4\n" if decimal == "." else "1,5;2\n3;4\n"
    assert read(text, decimal, header=False).X.tolist() == X
    if decimal == "infer":  # a comma could also be the delimiter
        assert read("1,5;2,5\n3,5;4,5\n", header=False).X.tolist() == [[1.5, 2.5], [3.5, 4.5]]
        assert read("a;1,2\nb;3,4\n", header=False).X[:, 1].tolist() == [1.2, 3.4]
        assert read("1,5\n3,7\n", header=False).X.tolist() == [[1, 5], [3, 7]]
        assert read("x;y,1\nz;w,2\n", header=False).X[:, 1].tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"begins with numbers, such as '1[.,]5'"):
        read(text, decimal)
    with pytest.raises(ValueError, match=r"begins with numbers, such as '1[.,]5'"):
        read(text.replace("2", "b", 1), decimal, label="price")


def test_both_signs_are_refused_with_both_cells(read):
    words = (
        r"t\.csv: .* '2,5' \(line 4, column 'a'\) has a comma and '1\.5' \(line 3, column 'b'\) "
        r"has a point: give decimal=',' or decimal='\.'"
    )
    with pytest.raises(ValueError, match=words):
        read('a;b\n1;"2"\n2;1.5\n2,5;3\n')
    with pytest.raises(ValueError, match=r"'2,5' \(line 3, .* '1\.5' \(line 2, column 'a'\)"):
        read("a;b\n1.5;2\n2,5;3\n")
    with pytest.raises(ValueError, match=r"'1,234' \(line 2, .* '1\.234' \(line 2, column 'b'\)"):
        read("a;b\n1,234;1.234\n")


def test_the_line_is_that_of_the_file(read):
    with pytest.raises(ValueError, match=r"'1,5' \(line 5, column 'b'\).*'2\.5' \(line 7"):
        read('\n\na;b\nx;2\n"y";1,5\n\nz;2.5\n')


@pytest.mark.parametrize("cells", [["1,234"], ["1,234", "-12,345"], ["999,000", "5"]])
def test_commas_that_may_separate_thousands_are_refused(cells, read):
    text = "a;b\n" + "".join(f"{cell};1\n" for cell in cells)
    words = re.escape(f"the comma in {cells[0]!r} (line 2, column 'a') may be a decimal comma or")
    with pytest.raises(ValueError, match=words):
        read(text)
    expected = [float(cell.replace(",", ".")) for cell in cells]
    assert read(text, ",").X[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("text", "separated"),
    [("a;b\n2,5;1.234\n", "1.234"), ("a;b\n2.5;1,234\n", "1,234"), ('a,b\n2.5,"1,234"\n', "1,234")],
)
def test_a_sure_sign_decides_and_separators_of_thousands_are_refused(text, separated, read):
    with pytest.raises(ValueError, match=f"column 'b': '{re.escape(separated)}' is not a number: "):
        read(text)
    assert read(text, columns=["a"]).X.tolist() == [[2.5]]


@pytest.mark.parametrize("cells", [["1.034"], ["1.034", "-12.345"], ["999.000", "5", "NA"]])
@pytest.mark.parametrize("label", [None, "b"])  # if a label has text, the file is read twice
def test_points_that_may_separate_thousands_between_semicolons_are_warned_of_once(
    cells, label, read
):
    text = "a;b\n" + "".join(f"{cell};x\n" for cell in cells)
    words = r"t\.csv: the point in '.*' \(line 2, column 'a'\) is read as a .*decimal=','"
    with pytest.warns(UserWarning, match=words) as found:
        data = read(text, label=label, missing="keep")
    assert len(found) == 1
    expected = [float(cell.replace("NA", "nan")) for cell in cells]
    np.testing.assert_array_equal(data.X[:, 0], expected)
    assert read(text, ".", label=label, missing="keep").X[0, 0] == expected[0]  # without a warning
    with pytest.raises(ValueError, match="without separators"):
        read(text, ",", missing="keep")
    with pytest.warns(UserWarning, match=words) if "5" in cells else nullcontext():
        between_tabs = read(text.replace(";", "\t"), missing="keep")
    assert between_tabs.X[0, 0] == float(cells[0])


def test_points_are_decimal_points_if_a_longer_number_has_none(read):
    assert read("a|b\n1.446|2\n1183|3\n7|4\n").X[:, 0].tolist() == [1.446, 1183, 7]


def test_a_decimal_comma_in_quotes_between_commas_is_read(read):
    text = 'a,b\n"2,32",3\n"1,5",4\n'
    for options in ({"decimal": ","}, {"delimiter": ","}, {}):
        assert read(text, **options).X.tolist() == [[2.32, 3], [1.5, 4]]
    with pytest.raises(ValueError, match=r"column 'a': '2,32' is not a number.*decimal=','"):
        read(text, ".")
    with pytest.raises(ValueError, match=r"the comma in '1,234' .* may be a decimal comma or"):
        read('a,b\n"1,234",3\n')
    with pytest.raises(ValueError, match="leave one of them out, and decimal='infer' finds commas"):
        read(text, ",", delimiter=",")
    assert read("a;b\n1,5;2,5\n", ",").X.tolist() == [[1.5, 2.5]]


def test_a_point_after_the_first_rows_is_refused_not_misread(read):
    rows = "1,5;2\n" * 150
    for engine in ENGINES:
        with pytest.raises(ValueError, match=r"line 152, column 'a'.*'1\.5'"):
            read("a;b\n" + rows + "1.5;2\n", engine=engine)
        with pytest.raises(ValueError, match=r"line 152, column 'a'.*'1,5'"):
            read("a;b\n" + rows.replace(",", ".") + "1,5;2\n", engine=engine)


@pytest.mark.parametrize("text", ["", "a;b\n", "\n\n", "a;b\n1,5;2;3\n", 'a;b\n"1,5;2\n'])
def test_files_that_cannot_be_read_are_refused_as_with_a_given_sign(text, read):
    messages = set()
    for decimal in ("infer", ",", "."):
        with pytest.raises(ValueError, match=r"t\.csv") as caught:
            read(text, decimal)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_other_signs_are_refused(read):
    with pytest.raises(ValueError, match=r"expected '\.', ',' or 'infer'"):
        read("a;b\n1;2\n", "auto")
    assert read("a;b\n1,5;2\n", delimiter=";").X.tolist() == [[1.5, 2]]
    assert read("a\n1,5\n", delimiter=";").X.tolist() == [[1.5]]
    assert read("a,b\n1,5\n2,7\n").X.tolist() == [[1, 5], [2, 7]]


@given(
    rows=st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.integers(-9999, 9999)), min_size=1, max_size=8
    ),
    decimal=st.sampled_from(".,"),
    delimiter=st.sampled_from(";\t|"),
)
@settings(max_examples=60, deadline=None)
def test_what_is_read_is_what_was_written_or_nothing(rows, decimal, delimiter, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    cells = [repr(x).replace(".", decimal) for x, _ in rows]
    lines = [f"{cell}{delimiter}{k}\n" for cell, (_, k) in zip(cells, rows, strict=True)]
    path.write_text(f"a{delimiter}b\n" + "".join(lines))
    if all(re.fullmatch(r"-?[1-9]\d{0,2}[.,]\d{3}", cell) for cell in cells):
        if decimal == ",":
            with pytest.raises(ValueError, match="may be a decimal comma or separate"):
                Dataset.from_csv(path, decimal="infer")
            return
        with pytest.warns(match="may separate") if delimiter == ";" else nullcontext():
            found = Dataset.from_csv(path, decimal="infer", engine="csv")
    else:
        found = Dataset.from_csv(path, decimal="infer", engine="csv")
    assert found.X.tolist() == [[x, k] for x, k in rows]
