"""The command line and tables: columns, categories, missing cells, formats of files, pipes."""

import csv
import gzip
import io
import json
import os
import shlex
import threading
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.cli import run, run_process
from xpnet import Dataset

QUICK = ["--epochs", "12", "--hidden", "16", "--quiet"]
SHADE = {"red": 50.0, "green": 10.0, "blue": 0.0}


def table(n=200, missing=0.0, seed=0):
    """Return rows of a table whose price depends on the size and the colour."""
    rng = np.random.default_rng(seed)
    rows = [["name", "colour", "size", "weight, kg", "price"]]
    for k in range(n):
        colour, size = rng.choice(list(SHADE)), round(float(rng.uniform(0, 10)), 3)
        price = round(20 * size + SHADE[colour] + float(rng.normal(0, 2)), 2)
        cells = [colour, size, round(float(rng.uniform(0, 3)), 3)]
        cells = ["" if rng.uniform() < missing else each for each in cells]
        rows.append([f"n{k}", *cells, price])
    return rows


def text(rows, delimiter=",", decimal="."):
    """Return rows as the content of a CSV file."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    for row in rows:
        cells = [
            str(each).replace(".", decimal) if isinstance(each, float) else each for each in row
        ]
        writer.writerow(cells)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Go to an empty folder with the tables prices.csv and gaps.csv."""
    monkeypatch.chdir(tmp_path)
    Path("prices.csv").write_text(text(table()))
    Path("gaps.csv").write_text(text(table(missing=0.1)))
    return tmp_path


def train(*arguments, source="prices.csv", target="price"):
    """Train quickly, without the column of names; return what was printed."""
    quick = QUICK[2:] if "--epochs" in arguments else QUICK
    status, output, errors = run(
        "train", source, "--target", target, "--id", "name", *quick, *arguments
    )
    assert status == 0, errors
    return output, errors


def score(output):
    """Return the last score on a line such as "test rmse: 2, test r2: 0.9"."""
    return float(output.rsplit(": ", 1)[1])


def predict(*arguments):
    """Return the rows that ``xpnet predict`` writes."""
    status, output, errors = run("predict", *arguments)
    assert status == 0, errors
    return list(csv.reader(io.StringIO(output)))


# ---- columns and categories


@pytest.mark.parametrize("how", ["one-hot", "embedding"])
def test_categories_are_learned_and_kept_in_the_model(how, folder):
    output, _ = train("--categories", how, "--epochs", "40", "--save", "m.st")
    assert score(output) > 0.9
    rows = predict("m.st", "prices.csv", "--id", "name")
    assert rows[0] == ["name", "price"]
    assert [row[0] for row in rows[1:]] == [row[0] for row in table()[1:]]
    net = xpnet.load("m.st")  # in Python, too
    columns = ["colour", "size", "weight, kg"]
    expected = net.predict(Dataset.from_csv("prices.csv", columns=columns))[:, 0]
    written = [float(row[1]) for row in rows[1:]]  # with the digits of float32
    np.testing.assert_allclose(written, expected, rtol=1e-7, atol=1e-6)
    kinds = {type(layer).__name__ for layer in net.layers}
    assert ("CategoricalEmbeddings" in kinds) == (how == "embedding")


def test_a_category_that_training_did_not_have_is_refused_with_its_row(folder):
    train("--save", "m.st")
    Path("new.csv").write_text('name,colour,size,"weight, kg"\na,red,1,2\nb,pink,1,2\n')
    status, output, errors = run("predict", "m.st", "new.csv")
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert "row 1 (from 0), column 'colour': 'pink' is not among" in errors


def test_an_unknown_category_is_named_with_its_row_in_the_whole_table(folder):
    train("--missing", "drop", "--save", "m.st", source="gaps.csv")
    rows = ["pink,1,2" if k == 40_000 else "red,1," if k < 3 else "red,1,2" for k in range(40_001)]
    Path("new.csv").write_text("\n".join(['colour,size,"weight, kg"', *rows]) + "\n")
    status, _, errors = run("predict", "m.st", "new.csv")
    assert status == 2
    assert "new.csv, row 40000 (from 0), column 'colour': 'pink'" in errors


@pytest.mark.parametrize("option", ["--test", "--validation"])
def test_an_unknown_category_of_a_second_file_is_named_with_the_file(option, folder):
    rows = table()
    rows[5][1] = "pink"
    Path("second.csv").write_text(text(rows))
    line = ["train", "prices.csv", "--target", "price", "--id", "name", *QUICK]
    _, _, errors = run(*line, option, "second.csv")
    assert errors.startswith("xpnet: second.csv, row 4 (from 0), column 'colour': 'pink'")
    rows[3][2] = ""  # left out: the rows after it have other numbers
    Path("second.csv").write_text(text(rows))
    _, _, errors = run(*line, option, "second.csv", "--missing", "drop")
    assert "xpnet: second.csv, column 'colour': 'pink'" in errors


def test_features_are_named_or_excluded(folder):
    train("--features", 'size,"weight, kg"', "--save", "named.st")
    train("--exclude", "colour", "--save", "excluded.st")
    assert xpnet.load("named.st").feature_names == ["size", "weight, kg"]
    assert Path("named.st").read_bytes() == Path("excluded.st").read_bytes()
    status, _, errors = run("train", "prices.csv", "--target", "price", "--features", "size,weihgt")
    assert (status, "unknown column 'weihgt'" in errors) == (2, True)


def test_one_column_has_only_one_purpose(folder):
    line = ["train", "prices.csv", *QUICK, "--target"]
    for options, message in (
        (["price", "--features", "price,size"], "--features and --target both name 'price'"),
        (["price", "--features", "size", "--exclude", "size"], "--features and --exclude both"),
        (["price", "--features", "size", "--id", "size"], "--features and --id both name 'size'"),
        (["price", "--id", "price"], "--target price and --id price are the same column"),
        (["price", "--features", "size,size"], "--features has 'size' more than once"),
    ):
        status, output, errors = run(*line, *options)
        assert (status, output, len(errors.splitlines())) == (2, "", 1)
        assert errors.startswith(("xpnet: prices.csv: " + message, "xpnet: " + message))


def test_several_columns_where_one_is_taken_are_refused(folder):
    line = ["train", "prices.csv", *QUICK, "--target"]
    for options, option in (
        (["price", "--id", "name,colour"], "--id"),
        (["price,size"], "--target"),
    ):
        status, _, errors = run(*line, *options)
        assert (status, len(errors.splitlines())) == (2, 1)
        assert errors.endswith(f". {option} takes only one column\n")
    train("--save", "m.st")
    status, _, errors = run("predict", "m.st", "prices.csv", "--id", "name,size")
    assert (status, "--id takes only one column" in errors) == (2, True)
    assert "takes only" not in run(*line, "prize")[2]


def test_a_name_with_a_comma_in_a_list_is_shown_in_quotes(folder):
    line = ["train", "prices.csv", "--target", "price", *QUICK, "--features"]
    status, _, errors = run(*line, "weight, kg")
    assert status == 2
    assert errors.endswith(""" put this name in double quotes: '"weight, kg"'\n""")
    assert run(*line, '"weight, kg"')[0] == 0


@pytest.mark.parametrize("path", ["prices.csv", "p.parquet"])
def test_a_feature_is_carried_through_as_id(path, folder):
    Path("prices.csv").write_text(
        text([row if k != 1 else ["a", "red", "0005", "1.50", 3] for k, row in enumerate(table())])
    )
    write(path)
    train("--save", "m.st")
    plain = predict("m.st", path)
    ids = predict("m.st", path, "--id", "colour")
    assert [row[1] for row in ids] == [row[0] for row in plain]
    assert [row[0] for row in ids] == ["colour", "red", *(row[1] for row in table()[2:])]
    if path == "prices.csv":  # as it is written in the file
        ids = predict("m.st", path, "--id", "size")
        assert [row[1] for row in ids] == [row[0] for row in plain]
        assert [row[0] for row in ids] == ["size", "0005", *(str(row[2]) for row in table()[2:])]


@pytest.mark.parametrize("delimiter", [",", "|", "tab"])
def test_a_wrong_delimiter_is_answered_with_that_of_the_first_line(delimiter, folder):
    Path("t.csv").write_text(text(table(), ";"))
    line = ["train", "t.csv", "--target", "price", *QUICK, "--delimiter"]
    status, _, errors = run(*line, delimiter)
    assert (status, len(errors.splitlines())) == (2, 1)
    cells = "has 2 cells" if delimiter == "," else "is one cell"
    assert errors.endswith(f"the first line {cells}; it suggests --delimiter ';'\n")
    train("--save", "m.st")
    assert "it suggests --delimiter ';'" in run("predict", "m.st", "t.csv", *line[-1:], ",")[2]
    Path("t.tsv").write_text(text(table()))  # the suffix means tabs
    assert "it suggests --delimiter ," in run("train", "t.tsv", "--target", "price")[2]
    Path("t.csv").write_text(text(table(), "\t"))
    shown = "it suggests --delimiter '\\t'\n"
    assert run(*line, ";")[2].endswith(shown)
    assert run(*line, "\\t", "--id", "name")[0] == 0


def test_a_right_delimiter_is_not_doubted(folder):
    Path("t.csv").write_text("a;b\n1,5;2\n" * 20)
    for options in ([], ["--delimiter", ";"]):
        assert "suggests" not in run("train", "t.csv", "--target", "c", *options)[2]


def test_a_column_that_identifies_the_rows_is_not_learned_by_mistake(folder):
    arguments = ["train", "prices.csv", "--target", "price", *QUICK]
    status, _, errors = run(*arguments)
    assert status == 2
    assert (
        "column 'name': 200 different strings in 200 rows, e.g. 'n0': give --exclude name or, if "
        "'name' identifies the rows, --id name" in errors
    )
    assert run(*arguments, "--features", "name,size")[0] == 0


def messy(path="messy.csv", n=60):
    """Write a table with missing cells, dates, numbers with units, and names."""
    rows = [["name", "when", "age", "net, kg", "size", "colour", "price"]]
    for k in range(n):
        age, size = "" if k % 9 == 0 else k % 50, "" if k % 11 == 0 else k / 4
        colour = "red" if k % 2 else "blue"
        rows.append([f"n{k}", f"2020-01-{k % 28 + 1:02d}", age, f"{k} kg", size, colour, k * 1.5])
    Path(path).write_text(text(rows))


@pytest.mark.parametrize("source", ["messy.csv", "-", "messy.parquet"])
def test_all_columns_with_a_problem_are_named_at_once(source, folder):
    messy()
    if source == "messy.parquet":
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        pandas.read_csv("messy.csv").to_parquet(source)
    line = ["train", source, "--target", "price", *QUICK]
    if source == "-":
        status, errors = piped(Path("messy.csv").read_bytes(), *line)
    else:
        status, _, errors = run(*line)
    assert (status, len(errors.splitlines())) == (2, 1)
    for part in (
        "of 60 rows, cells are missing in 'age' (7), 'size' (6); ",
        "column 'when' has dates or times, e.g. '2020-01-01', ",
        "column 'net, kg': '0 kg' is not a number",
        "column 'name': 60 different strings in 60 rows, e.g. 'n0'",
        "give --missing median, which fills them in, or --missing drop, and ",
        "(if 'name' identifies the rows, --id name instead of its name in --exclude)",
    ):
        assert part in errors
    option = errors.partition("--exclude ")[2].partition(" (if ")[0]
    (columns,) = shlex.split(option)
    line[1] = "messy.csv" if source == "-" else source
    assert run(*line, "--missing", "median", "--exclude", columns)[0] == 0


def test_a_column_that_is_only_called_timestamp_is_not_said_to_have_times(folder):
    Path("t.csv").write_text("timestamp,size,price\n" + "1 kg,2 m,3.5\n" * 20)
    _, _, errors = run("train", "t.csv", "--target", "price", *QUICK)
    assert "column 'timestamp': '1 kg' is not a number, column 'size': '2 m' is not" in errors


def test_a_lone_column_of_dates_is_named_with_its_cell_and_the_options(folder):
    messy()
    line = ["train", "messy.csv", "--target", "price", *QUICK, "--missing", "drop"]
    others = 'name,"net, kg"'
    status, _, errors = run(*line, "--exclude", others)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "messy.csv, column 'when': '2020-01-01' is not" in errors.replace(", line 2", "")
    assert "To leave the column out, give --exclude 'name,\"net, kg\",when' or, if 'when'" in errors
    status, _, errors = run(*line, "--features", "when,age,size")
    assert errors.endswith("To leave the column out, give --features without when\n")


def test_a_target_with_a_problem_is_refused_alone(folder):
    messy()
    status, _, errors = run("train", "messy.csv", "--target", "when", *QUICK)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert errors.startswith("xpnet: messy.csv, line 2, column 'when': '2020-01-01' is not a")
    assert "--exclude" not in errors


def test_missing_targets_are_counted_with_the_features(folder):
    rows = table(missing=0.1)
    rows[3][4] = rows[7][4] = ""
    Path("t.csv").write_text(text(rows))
    _, _, errors = run("train", "t.csv", "--target", "price", "--id", "name", *QUICK)
    assert "'price' (2): give --missing median" in errors


# ---- missing cells


def test_missing_cells_are_refused_unless_told_otherwise(folder):
    status, output, errors = run(
        "train", "gaps.csv", "--target", "price", "--id", "name", *QUICK, "--save", "m.st"
    )
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    counts = [sum(row[k] == "" for row in table(missing=0.1)) for k in (1, 2, 3)]
    assert errors == (
        f"xpnet: gaps.csv: of 200 rows, cells are missing in 'colour' ({counts[0]}), 'size' "
        f"({counts[1]}), 'weight, kg' ({counts[2]}): give --missing median, which fills them in, "
        "or --missing drop\n"
    )
    assert not Path("m.st").exists()


@pytest.mark.parametrize("how", ["one-hot", "embedding"])
def test_medians_of_the_training_rows_are_kept_in_the_model(how, folder):
    train("--missing", "median", "--categories", how, "--save", "m.st", source="gaps.csv")
    net = xpnet.load("m.st")
    data = Dataset.from_csv("gaps.csv", label="price", id="name", missing="keep")
    training, _ = xpnet.train_test_split(data, test_size=0.25, random_state=0)
    assert net.fill_values == training.fill_missing().fill_values
    assert net.fill_values != data.fill_missing().fill_values
    Path("new.csv").write_text('colour,size,"weight, kg"\n,,\nred,1,2\n')
    filled = [net.fill_values[name] for name in ("colour", "size", "weight, kg")]
    Path("filled.csv").write_text(text([["colour", "size", "weight, kg"], filled, ["red", 1, 2]]))
    rows = predict("m.st", "new.csv")
    assert rows == predict("m.st", "filled.csv")
    assert len(rows) == 3


def test_dropped_rows_are_counted_and_get_no_prediction(folder):
    _, errors = train("--missing", "drop", "--save", "m.st", source="gaps.csv")
    complete = ["" not in row for row in table(missing=0.1)[1:]]
    left_out = complete.count(False)
    assert errors == (
        f"xpnet: warning: gaps.csv: {left_out} of 200 rows are left out because they have missing "
        "cells\n"
    )
    status, output, errors = run("predict", "m.st", "gaps.csv", "--id", "name")
    rows = list(csv.reader(io.StringIO(output)))[1:]
    assert status == 0
    assert f"{left_out} of 200 rows have missing cells and no prediction" in errors
    assert [row[1] != "" for row in rows] == complete
    Path("whole.csv").write_text(text([row for row in table(missing=0.1) if "" not in row]))
    whole = predict("m.st", "whole.csv")[1:]
    assert [row[1] for row in rows if row[1]] == [row[0] for row in whole]
    status, evaluated, errors = run("evaluate", "m.st", "gaps.csv")
    assert (status, evaluated) == (0, run("evaluate", "m.st", "whole.csv")[1])
    assert f"{left_out} of 200 rows are left out" in errors


def test_rows_without_a_target_are_left_out_with_a_warning(folder):
    rows = table()
    rows[3][4] = rows[7][4] = ""
    Path("t.csv").write_text(text(rows))
    _, errors = train("--missing", "median", source="t.csv")
    assert errors == "xpnet: warning: t.csv: 2 of 200 rows are left out because they lack 'price'\n"
    for row in rows[1:]:
        row[4] = ""
    Path("t.csv").write_text(text(rows))
    status, _, errors = run("train", "t.csv", "--target", "price", "--missing", "median")
    assert (status, len(errors.splitlines())) == (2, 1)


@pytest.mark.parametrize("target", ["price", "colour"])
def test_evaluation_leaves_out_rows_without_a_target_as_training_does(target, folder):
    train("--missing", "median", "--save", "m.st", source="gaps.csv", target=target)
    rows = [row for row in table(missing=0.1) if row[1] != ""]
    Path("whole.csv").write_text(text(rows[:3] + rows[4:]))
    rows[3][rows[0].index(target)] = ""
    Path("t.csv").write_text(text(rows))
    status, output, errors = run("evaluate", "m.st", "t.csv")
    assert (status, output) == (0, run("evaluate", "m.st", "whole.csv")[1])
    assert f"t.csv: 1 of {len(rows) - 1} rows are left out because they lack {target!r}" in errors


def test_evaluation_and_prediction_advise_no_options_that_they_lack(folder):
    train("--save", "m.st")
    for command in ("predict", "evaluate"):
        status, _, errors = run(command, "m.st", "gaps.csv")
        assert status == 2
        assert "xpnet train --missing median" in errors


@pytest.mark.filterwarnings("always")
def test_a_category_of_training_that_may_stand_for_a_missing_value_is_warned_of_once(folder):
    rows = table()
    for row in rows[1:40]:
        row[1] = "?"
    Path("t.csv").write_text(text(rows))
    _, errors = train("--save", "m.st", source="t.csv")
    assert "'?' in 39 cell(s)" in errors
    assert run("predict", "m.st", "t.csv")[2] == run("evaluate", "m.st", "t.csv")[2] == ""


def test_a_metric_that_is_not_defined_is_nan(folder):
    train("--save", "m.st", target="colour")
    Path("one.csv").write_text(text([table()[0], *(r for r in table() if r[1] == "red")]))
    status, output, errors = run("evaluate", "m.st", "one.csv")
    assert (status, errors) == (0, "")
    assert "roc_auc: nan" in output


def test_an_id_is_not_overwritten_by_predictions_of_its_name(folder):
    train("--save", "m.st")
    status, output, errors = run("predict", "m.st", "prices.csv", "--id", "price")
    assert (status, output) == (2, "")
    assert "--id price" in errors


def test_predictions_that_standard_output_cannot_hold_are_refused_with_advice(folder):
    Path("t.csv").write_text(text(table()).replace("red", "rød"), encoding="utf-8")
    train("--save", "m.st", source="t.csv", target="colour")
    done = run_process("predict", "m.st", "t.csv", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert b"standard output is in ascii" in done.stderr
    assert b"--output FILE" in done.stderr


def test_classes_of_a_target_that_is_called_probability_are_written(folder):
    Path("t.csv").write_text(text(table()).replace("colour", "probability"))
    train("--save", "m.st", source="t.csv", target="probability")
    rows = predict("m.st", "prices.csv")
    assert rows[0] == ["prediction", "probability"]
    assert {row[0] for row in rows[1:]} <= {"red", "green", "blue"}


@pytest.mark.parametrize("missing", ["median", "drop"])
@pytest.mark.parametrize("column", ["size", "price"])
def test_infinite_cells_are_refused_with_their_row_before_rows_are_left_out(
    missing, column, folder
):
    rows = table()
    rows[2][2] = ""
    rows[9][rows[0].index(column)] = "inf"
    Path("t.csv").write_text(text(rows))
    line = ["train", "t.csv", "--target", "price", "--id", "name", *QUICK]
    status, _, errors = run(*line, "--missing", missing)
    assert status == 2
    assert errors.startswith(f"xpnet: t.csv, row 8 (from 0), column {column!r}: inf is not")


def test_classes_without_a_target_are_left_out(folder):
    rows = table()
    rows[3][1] = ""
    Path("t.csv").write_text(text(rows))
    _, errors = train("--missing", "median", "--save", "m.st", source="t.csv", target="colour")
    assert "1 of 200 rows are left out because they lack 'colour'" in errors
    assert xpnet.load("m.st").class_names == ["blue", "green", "red"]


# ---- files


def write(path):
    """Write the table of prices in the format of a file's ending."""
    if path == "prices.csv":
        return
    if path.endswith(".parquet"):
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        pandas.read_csv("prices.csv").to_parquet(path)
    elif path.endswith(".gz"):
        Path(path).write_bytes(gzip.compress(Path("prices.csv").read_bytes()))
    elif path.endswith(".tsv"):
        Path(path).write_text(text(table(), "\t"))
    else:
        delimiter, decimal = (";", ",") if path == "comma.csv" else ("|", ".")
        Path(path).write_text(text(table(), delimiter, decimal))


FORMATS = ["p.tsv", "p.csv.gz", "p.parquet", "comma.csv", "bar.txt"]


@pytest.mark.parametrize("path", FORMATS)
def test_all_formats_give_the_same_network(path, folder):
    write(path)
    train("--save", "m.st")
    train("--save", "other.st", source=path)
    one, other = xpnet.load("m.st"), xpnet.load("other.st")
    data = Dataset.from_csv("prices.csv", columns=["colour", "size", "weight, kg"])
    np.testing.assert_array_equal(one.predict(data), other.predict(data))
    assert predict("m.st", path) == predict("m.st", "prices.csv")
    assert run("evaluate", "m.st", path) == run("evaluate", "m.st", "prices.csv")


@pytest.mark.parametrize("path", ["prices.csv", "p.csv.gz", "p.parquet"])
def test_standard_input_is_read_like_the_file(path, folder):
    write(path)
    train("--save", "m.st")
    for arguments in (
        ["predict", "m.st"],
        ["evaluate", "m.st"],
        ["train", "--target", "price", "--id", "name", *QUICK],
    ):
        command, *others = arguments
        done = [
            run_process(
                command, *others, *source, content=Path(path).read_bytes(), check=True
            ).stdout
            for source in (["-"], [path])
        ]
        assert done[0] == done[1] != b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read_once(folder):
    train("--save", "m.st")
    os.mkfifo("pipe")
    Path("many.csv").write_text(text(table(5_000)))  # more than a pipe holds at once
    writer = threading.Thread(
        target=Path("pipe").write_bytes, args=(Path("many.csv").read_bytes(),)
    )
    writer.start()
    rows = predict("m.st", "pipe")
    writer.join()
    assert rows == predict("m.st", "many.csv")


def piped(content, *arguments):
    """Run the command line with this standard input; return its exit status and errors."""
    done = run_process(*arguments, content=content)
    return done.returncode, done.stderr.decode()


def test_messages_name_standard_input(folder):
    train("--save", "m.st")
    status, errors = piped(b"a,b\n1,2\n", "predict", "m.st", "-")
    assert (status, "unknown columns 'colour', 'size', 'weight, kg'" in errors) == (2, True)
    line = ["train", "-", "--target", "b", *QUICK]
    _, errors = piped(b"a,b\n?,1.5\n" + b"x,2.5\n" * 20, *line)
    assert "xpnet: warning: standard input, line 2, column 'a'" in errors
    _, errors = piped(b"a,b\n1,2\n3\n", *line)
    assert "xpnet: standard input, line 3: " in errors
    _, errors = piped(b"a,b\n,0\n" + b"1,2\n2,1.5\n" * 20, *line, "--missing", "drop")
    assert "xpnet: warning: standard input: 1 of 41 rows are left out" in errors
    _, errors = piped(b"a,b\ninf,0\n" + b"1,2\n2,1.5\n" * 20, *line, "--missing", "drop")
    assert errors.startswith("xpnet: standard input, row 0")
    _, errors = piped(b"a,b\n1,2\n", *line, "--test", "-")
    assert errors.startswith("xpnet: standard input (-) can be read only once")
    wrong = text([table()[0], ["a", "red", 1, 2, "x"]]).encode()
    status, errors = piped(wrong, "evaluate", "m.st", "-")
    assert status == 2
    assert errors.startswith("xpnet: standard input, column 'price': 'x' is not a number, as in")
    assert piped(text(table()).encode(), "evaluate", "m.st", "-", "--report", "r.json") == (0, "")
    files = json.loads(Path("r.json").read_text())["files"]
    assert files == {"network": "m.st", "data": "standard input"}


def test_a_comma_that_may_separate_thousands_needs_an_option(folder):
    rows = ["a;b", *[f"{k},500;{k % 2 + 1},000" for k in range(1, 60)]]
    Path("t.csv").write_text("\n".join(rows))
    arguments = ["train", "t.csv", "--target", "b", *QUICK]
    status, _, errors = run(*arguments)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "give --decimal , or --decimal ." in errors
    assert run(*arguments, "--decimal", ",")[0] == 0


@pytest.mark.filterwarnings("always")
def test_points_that_may_separate_thousands_are_warned_of_in_one_line(folder):
    rows = ["a;b", *[f"{k % 9 + 1}.0{k};{k % 7},5" for k in range(10, 70)]]
    Path("t.csv").write_text("\n".join(rows))
    arguments = ["train", "t.csv", "--target", "b", *QUICK, "--task", "regression"]
    status, _, errors = run(*arguments)  # the target shows that the decimal sign is a comma
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "'2.010' is not a number: write numbers with a decimal comma" in errors
    Path("t.csv").write_text("\n".join(rows).replace(",5", ""))
    status, _, errors = run(*arguments)
    (line,) = [each for each in errors.splitlines() if "the point in" in each]
    assert status == 0
    assert line.startswith("xpnet: warning: t.csv: the point in '2.010' (line 2, column 'a') is")
    assert "give --decimal . if" in line
    assert line.endswith("give --decimal ,")
    assert "the point in" not in run(*arguments, "--decimal", ".")[2]


@pytest.mark.parametrize("options", [[], ["--decimal", ","], ["--delimiter", ","]])
def test_decimal_commas_in_quotes_between_commas_are_read(options, folder):
    Path("t.csv").write_text(text(table(), ",", ","))
    train("--save", "m.st")
    train("--save", "other.st", *options, source="t.csv")
    assert Path("m.st").read_bytes() == Path("other.st").read_bytes()
    both = run("predict", "m.st", "t.csv", "--delimiter", ",", "--decimal", ",")
    message = "xpnet: --delimiter , is also the decimal sign: leave one of them out\n"
    assert both == (2, "", message)


def test_a_table_without_a_header(folder):
    Path("t.csv").write_text("\n".join(f"{k % 7},{k % 2}" for k in range(60)))
    status, _, errors = run("train", "t.csv", "--target", "1", *QUICK)
    assert (status, "--no-header" in errors) == (2, True)
    assert run("train", "t.csv", "--target", "1", "--no-header", *QUICK)[0] == 0


def test_options_of_text_files_do_not_go_with_parquet(folder):
    write("p.parquet")
    status, _, errors = run("train", "p.parquet", "--target", "price", "--decimal", ",")
    assert (status, "--decimal is for text files" in errors) == (2, True)
    status, _, errors = run("train", "p.parquet", "--target", "price", "--encoding", "latin-1")
    assert (status, "--encoding is for text files" in errors) == (2, True)


# ---- test and validation files


def test_a_test_file_leaves_all_rows_to_training(folder):
    Path("test.csv").write_text(text(table(50, seed=1)))
    arguments = ["train", "prices.csv", "--target", "price", "--id", "name", "--epochs", "12"]
    status, output, _ = run(*arguments, "--test", "test.csv", "--save", "m.st")
    assert status == 0
    assert "200 samples to train on, 50 to test on" in output
    evaluated = run("evaluate", "m.st", "test.csv")[1]
    assert f"rmse: {float(output.split('rmse: ')[1].split(',')[0]):.6g}\n" in evaluated


def test_a_test_file_and_a_share_of_test_rows_exclude_each_other(folder):
    line = ["train", "prices.csv", "--target", "price", "--id", "name", *QUICK]
    status, _, errors = run(*line, "--test", "prices.csv", "--test-size", "0.5")
    assert (status, errors) == (2, "xpnet: --test-size and --test: expected one of them\n")


def test_a_validation_file_is_evaluated_after_each_epoch(folder):
    Path("v.csv").write_text(text(table(60, seed=1)))
    train("--validation", "v.csv", "--save", "m.st")
    net = xpnet.load("m.st")
    data = Dataset.from_csv("v.csv", label="price", columns=["colour", "size", "weight, kg"])
    assert net.history["val_r2"][-1] == pytest.approx(net.score(data, metric="r2"), rel=1e-6)


def test_without_test_rows_the_training_rows_are_scored(folder):
    output, _ = train("--test-size", "0", "--save", "m.st")
    assert output.startswith("training rmse: ")
    assert "val_loss" not in xpnet.load("m.st").history


@pytest.mark.parametrize("option", ["--test", "--validation"])
def test_a_second_file_must_have_the_columns_of_the_first(option, folder):
    Path("other.csv").write_text("name,size,price\na,1,2\n")
    status, _, errors = run(
        "train", "prices.csv", "--target", "price", "--id", "name", option, "other.csv", *QUICK
    )
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "unknown columns 'colour', 'weight, kg'" in errors


def test_numbers_as_classes_are_matched_by_their_names(folder):
    rows = ["a,b", *[f"{k % 3}.{k % 5},{(2, 5, 9)[k % 3]}" for k in range(90)]]
    Path("t.csv").write_text("\n".join(rows))
    only = ["a,b", *[f"2.{k % 5},9" for k in range(9)]]  # whose one class is not the first
    Path("test.csv").write_text("\n".join(only))
    status, output, errors = run(
        "train", "t.csv", "--target", "b", "--test", "test.csv", "--epochs", "60", "--quiet",
        "--save", "m.st",
    )  # fmt: skip
    assert (status, score(output)) == (0, 1.0), errors
    assert "accuracy: 1\n" in run("evaluate", "m.st", "test.csv")[1]
    assert {row[0] for row in predict("m.st", "test.csv")[1:]} == {"9"}


# ---- predictions


def test_probabilities_of_all_classes(folder):
    train("--save", "m.st", target="colour")
    rows = predict("m.st", "prices.csv", "--proba")
    assert rows[0] == ["colour", "probability_blue", "probability_green", "probability_red"]
    names = ["blue", "green", "red"]
    for row in rows[1:]:
        chances = [float(each) for each in row[1:]]
        assert sum(chances) == pytest.approx(1.0, abs=2e-4)
        assert names[int(np.argmax(chances))] == row[0]
    train("--save", "r.st")
    status, _, errors = run("predict", "r.st", "prices.csv", "--proba")
    assert (status, "--proba: 'price' is a number" in errors) == (2, True)


def test_predictions_are_written_to_a_file(folder):
    train("--save", "m.st")
    assert run("predict", "m.st", "prices.csv", "--output", "out.csv") == (0, "", "")
    assert list(csv.reader(Path("out.csv").read_text().splitlines())) == predict(
        "m.st", "prices.csv"
    )
    for path in ("prices.csv", "m.st"):
        before = Path(path).read_bytes()
        assert run("predict", "m.st", "prices.csv", "--output", path)[0] == 2
        assert Path(path).read_bytes() == before


def test_heads_have_a_column_for_each_target(folder):
    net = xpnet.NeuralNetwork(
        5, 20, "adam", loss={"kind": ("softmax_cross_entropy", 2), "size": ("mse", 1)}, seed=0
    )
    X = np.arange(40.0)[:, None]
    kinds = np.where(X[:, 0] > 20, "big", "small")
    net.add(xpnet.Normalization.adapt(X)).add(xpnet.DenseLayer(3))
    net.fit(Dataset(X, {"kind": kinds, "size": X[:, 0]}, ["x"])).save("heads.st")
    Path("x.csv").write_text("x\n1\n39\n")
    rows = predict("heads.st", "x.csv", "--proba")
    assert rows[0] == ["kind", "kind_probability_big", "kind_probability_small", "size"]
    assert predict("heads.st", "x.csv")[0] == ["kind", "kind_probability", "size"]
    outputs = net.predict([[1.0], [39.0]])
    np.testing.assert_array_equal(np.float32([row[3] for row in rows[1:]]), outputs[:, 2])
    assert [row[0] for row in rows[1:]] == net.predict_classes([[1.0], [39.0]])["kind"].tolist()


def test_two_columns_of_the_same_name_are_refused(folder):
    targets = {"t": np.arange(9.0), "t_mean": -np.arange(9.0)}
    net = xpnet.NeuralNetwork(1, loss={"t": ("gaussian_nll", 2), "t_mean": ("mse", 1)})
    net.add(xpnet.DenseLayer(3, (1,))).fit(Dataset(np.ones((9, 1)), targets, ["x"])).save("h.st")
    Path("x.csv").write_text("x\n1\n")
    status, output, errors = run("predict", "h.st", "x.csv")
    assert (status, output) == (2, "")
    assert "the output would have two columns 't_mean'" in errors
    Path("t.csv").write_text(text(table()).replace("colour", "probability_red"))
    train("--save", "m.st", source="t.csv", target="probability_red")
    assert predict("m.st", "t.csv")[0] == ["probability_red", "probability"]
    status, output, errors = run("predict", "m.st", "t.csv", "--proba")
    assert (status, output) == (2, "")
    assert "the output would have two columns 'probability_red'" in errors


def test_a_table_larger_than_the_limit_gives_the_same(folder, monkeypatch):
    monkeypatch.setattr("xpnet.cli.predict._ROWS", 32)
    train("--save", "m.st", "--categories", "embedding")
    Path("many.csv").write_text(text(table(40_000)))
    limit = ["--memory-limit", "900K"]  # of the table of 960 KB, and of training
    short = ["--epochs", "3", "--batch-size", "32"]
    train("--save", "stored.st", "--categories", "embedding", *limit, *short, source="many.csv")
    train("--save", "whole.st", "--categories", "embedding", *short, source="many.csv")
    limited = ["--memory-limit", "1K"]
    assert predict("m.st", "prices.csv", *limited) == predict("m.st", "prices.csv")
    assert (
        run("evaluate", "m.st", "prices.csv", *limited)[1]
        == run("evaluate", "m.st", "prices.csv")[1]
    )
    expected = [float(row[0]) for row in predict("whole.st", "prices.csv")[1:]]
    found = [float(row[0]) for row in predict("stored.st", "prices.csv", *limited)[1:]]
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_a_table_without_the_target_is_refused_by_evaluate(folder):
    train("--save", "m.st")
    rows = [[cell for k, cell in enumerate(row) if k != 4] for row in table()]
    Path("features.csv").write_text(text(rows))
    status, output, errors = run("evaluate", "m.st", "features.csv")
    assert (status, output) == (2, "")
    assert errors.startswith("xpnet: features.csv has no column 'price', the target")
    status, output, errors = run("evaluate", "m.st", "prices.csv", "--target", "size")
    assert (status, output) == (2, "")
    assert errors.startswith("xpnet: --target size: this column is a feature")
