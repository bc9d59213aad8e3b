"""Every command of the pages and of the help, in a pipe and on a terminal of 80 columns."""

import csv
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xpnet
from tests.cli import ROOT, on_terminal, run, run_process
from tests.pages import _BLOCK, shell_commands, text_of
from xpnet.cli.commands import cli

pytest.importorskip("sklearn", reason="scikit-learn, which has the digits, is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

# The examples take a GPU if there is one; CuPy may be here without it.
pytestmark = pytest.mark.filterwarnings("ignore:device='auto' uses the CPU")

PAGES = ["README.md", "docs/command-line.md"]
COMMANDS = [(page, command) for page in PAGES for command in shell_commands(page)]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "XPNET_TRACEBACK": "1"}


def write_tables():
    """Write the tables that the pages name, to the current folder."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    rows = [
        [f"flower {k}", *map(float, x), iris.target_names[y]]
        for k, (x, y) in enumerate(zip(iris.data, iris.target, strict=True))
    ]
    header = ["name", "sepal length", "sepal width", "petal length", "petal width", "species"]
    with Path("flowers.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header[1:], *[row[1:] for row in rows]])
    with Path("new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header[:-1], *[row[:-1] for row in rows[::10]]])
    Path("flowers.csv.gz").write_bytes(gzip.compress(Path("flowers.csv").read_bytes()))
    houses = [
        f"{k} Main St,{60 + k % 50},{'brick' if k % 3 else ''},x{k % 7},{2000 * (60 + k % 50)}.5"
        for k in range(80)
    ]
    Path("houses.csv").write_text("\n".join(["address,size,walls,agent,price", *houses]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the tables, and with the network that the first commands save."""
    folder = tmp_path_factory.mktemp("commands")
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_tables()
        status, _, errors = run(
            "train",
            "flowers.csv",
            "--target",
            "species",
            "--save",
            "flowers.safetensors",
            "--quiet",
        )
        assert status == 0, errors
    finally:
        os.chdir(before)
    return folder


def arguments_of(command, data_folder):
    """Return a page's command with a real folder, and fewer epochs where there would be many."""
    given = [str(data_folder) if each == "FOLDER" else each for each in command]
    if given[:1] == ["train"] and "--epochs" not in given:
        given += ["--epochs", "20" if given[1].endswith("csv") else "2"]
    return given


def check(command, output):
    """Look at what a command has printed."""
    if command[0] == "train" and command[1] != "houses.csv":
        least = 0.5 if "2" in command[-1:] else 0.8
        assert float(re.search(r"^test accuracy: (0\.\d+|1\.0+)", output, re.MULTILINE)[1]) > least
    elif command[0] == "train":
        assert re.search(r"^test rmse: [\d.]+, test r2: 0\.[89]\d+", output, re.MULTILINE)
    elif command[0] == "evaluate":
        assert float(re.search(r"^accuracy: (\S+)", output, re.MULTILINE)[1]) > 0.9
    elif command[0] == "predict" and "--output" not in command:
        rows = list(csv.DictReader(output.splitlines()))
        assert len(rows) == 15
        assert {row["species"] for row in rows} == {"setosa", "versicolor", "virginica"}
    elif command[0] == "info":
        assert json.loads(output) if "--json" in command else f"xpnet {xpnet.__version__}" in output


def files_are_written(command):
    """Look at the files that a command was to write."""
    options = dict(itertools.pairwise(command))
    for option in ("--save", "--plot", "--report", "--log", "--output"):
        if option in options:
            assert Path(options[option]).stat().st_size > 0
    if "--output" in options:
        with Path(options["--output"]).open() as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == [f"flower {k}" for k in range(0, 150, 10)]
        assert all("probability_setosa" in row for row in rows)


@pytest.mark.parametrize("where", ["pipe", "terminal"])
@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page}: {' '.join(each)}" for page, each in COMMANDS]
)
def test_a_command_of_a_page_does_what_the_page_says(
    page, command, where, folder, tmp_path, monkeypatch, request
):
    data_folder = request.getfixturevalue("data_folder") if "FOLDER" in command else None
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    arguments = arguments_of(command, data_folder)
    if where == "terminal":
        status, shown = on_terminal(*arguments, columns=80)
        assert status == 0, shown
        lines = re.split(r"[\r\n]+", shown)
        if "--json" not in command:
            long = [each for each in lines if len(each) > 80]
            assert [each for each in long if not each.startswith("xpnet: warning: ")] == []
        output = shown.replace("\r\n", "\n").replace("\r", "\n")
    else:
        status, output, errors = run(*arguments)
        assert status == 0, errors
        assert "\r" not in output + errors
        assert "Traceback" not in errors
    check(command, output)
    files_are_written(command)


def test_commands_that_are_joined(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (line,) = (each for each in text_of("docs/command-line.md").splitlines() if "| xpnet" in each)
    done = subprocess.run(
        line.replace("xpnet", f"{sys.executable} -m xpnet"),
        shell=True, capture_output=True, text=True, check=True, env=os.environ | ENVIRONMENT,
    )  # fmt: skip
    counts = [each.split() for each in done.stdout.splitlines()]
    assert sum(int(each[0]) for each in counts) == 151
    assert done.stderr == ""


def test_the_line_that_completes_commands(folder):
    blocks = [block[2] for block in _BLOCK.finditer(text_of("docs/command-line.md"))]
    (line,) = (each.strip() for each in blocks if "_XPNET_COMPLETE" in each)
    assert line == 'eval "$(_XPNET_COMPLETE=bash_source xpnet)"'
    done = run_process(_XPNET_COMPLETE="bash_source")
    assert b"complete " in done.stdout
    line = {"COMP_WORDS": "xpnet train --ea", "COMP_CWORD": "2"}
    done = run_process(_XPNET_COMPLETE="bash_complete", **line)
    assert b"--early-stopping" in done.stdout


@pytest.mark.parametrize("command", ["", *cli.commands])
def test_help_fits_80_columns_and_names_every_option(command):
    words = [command] if command else []
    status, output, errors = run(*words, "--help")
    assert (status, errors) == (0, "")
    assert max(map(len, output.splitlines())) <= 80
    for parameter in cli.commands[command].params if command else ():
        for name in parameter.opts:
            assert name in output or parameter.param_type_name == "argument"
        if parameter.param_type_name == "option":
            assert parameter.help, f"{command} {parameter.opts}: an option without help"
    status, shown = on_terminal(*words, "-h", columns=80)
    assert status == 0
    assert max(map(len, shown.splitlines())) <= 80


def test_every_command_is_tried():
    assert set(cli.commands) == {command[0] for _, command in COMMANDS}
