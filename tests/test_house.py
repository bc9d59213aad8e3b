"""Imports run downwards, and no files import one another in a cycle."""

import pytest

from tools.house import ALLOWED, LEVELS, ROOT, House, main, modules, report


@pytest.fixture(scope="module")
def house():
    return House(modules(), LEVELS, ALLOWED)


def test_no_import_runs_upwards(house):
    assert [str(each) for each in house.upward_imports()] == []


def test_no_files_import_one_another_in_a_cycle(house):
    assert house.cycles() == []


def test_every_file_has_a_level_and_every_level_its_files(house):
    assert house.without_level() == []
    assert house.without_file() == []


def test_files_that_pass_on_names_take_them_from_their_own_folder(house):
    assert [str(each) for each in house.foreign_re_exports()] == []


def test_few_imports_are_allowed_to_run_upwards_and_each_is_needed(house):
    assert len(ALLOWED) <= 2
    assert all(ALLOWED.values())
    assert house.not_needed() == []


def test_both_packages_are_read(house):
    assert {
        "xpnet",
        "xpnet.neuralnet",
        "xpnet.backends",
        "xpnet.backends.cpu",
    } <= house.files.keys()
    found = {each[:2] for each in house.imports}
    assert ("xpnet.common.checks", "xpnet.backends._errors") in found
    assert (
        "xpnet.activations.base",
        "xpnet.layers.base",
    ) in found  # through xpnet/layers/__init__.py


FILES = {
    "__init__": "from .roof import build",
    "roof": "from .room import Chair\nfrom .room import table",
    "room.__init__": '"""A face."""\nfrom .chair import Chair',
    "room.chair": "class Chair: ...",
    "room.table": "import os\nimport toy.cellar",
    "cellar": "stones = 3",
}
TABLE = {"toy": ["__init__", "roof", "room", "cellar"], "toy.room": ["table", "chair"]}


@pytest.fixture
def toy(tmp_path):
    """Return a function that builds a small package with these files replaced."""

    def build(changed, levels=TABLE, allowed=None):
        for name, text in (FILES | changed).items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return House(modules({"toy": tmp_path}), levels, allowed)

    return build


def wrong(house):
    """Return what is wrong with a package: its upward imports as pairs, and its cycles."""
    return [each[:2] for each in house.upward_imports()], house.cycles()


def test_a_package_in_order_has_nothing_wrong(toy):
    house = toy({})
    assert wrong(house) == ([], [])
    assert house.without_level() == house.without_file() == house.foreign_re_exports() == []
    assert {each[:2] for each in house.imports} == {
        ("toy", "toy.roof"),
        ("toy.roof", "toy.room.chair"),
        ("toy.roof", "toy.room.table"),
        ("toy.room", "toy.room.chair"),
        ("toy.room.table", "toy.cellar"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "from .roof import build",
        "from . import roof",
        "from toy import roof",
        "from toy.roof import build",
        "import toy.roof as above",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .roof import build",
        "def late():\n    from .roof import build",
        "class Late:\n    def build(self):\n        import toy.roof",
        "from importlib import import_module\nroof = import_module('toy.roof')",
        "import importlib\nroof = importlib.import_module('.roof', __package__)",
        "from . import build",  # which the package has from its roof
    ],
)
def test_every_way_to_import_from_above_is_found(text, toy):
    upward, cycles = wrong(toy({"cellar": text}))
    assert upward == [("toy.cellar", "toy.roof")]
    assert cycles == [["toy.cellar", "toy.roof", "toy.room.table"]]


def test_a_circle_of_one_floor_is_found_whose_parts_are_for_types_and_within_a_function(toy):
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .table import Table"
    late = "def late():\n    from .chair import Chair"
    levels = TABLE | {"toy.room": ["table chair"]}
    upward, cycles = wrong(toy({"room.chair": types, "room.table": late}, levels))
    assert upward == []
    assert cycles == [["toy.room.chair", "toy.room.table"]]


def test_an_arrow_up_is_found_within_a_folder(toy):
    house = toy({"room.chair": "from . import table", "room.table": ""})
    assert wrong(house) == ([("toy.room.chair", "toy.room.table")], [])


def test_a_file_needs_what_it_takes_from_a_face_but_not_the_rest_of_its_folder(toy):
    face = "from .chair import Chair\nfrom .table import Table"
    table = "from . import chair"
    assert wrong(toy({"room.__init__": face, "room.table": table})) == ([], [])
    whole = toy({"room.__init__": face, "room.chair": "from toy import room"})
    assert wrong(whole)[0] == [("toy.room.chair", "toy.room")]


def test_a_face_that_takes_names_from_elsewhere_is_found(toy):
    house = toy({"room.__init__": "from ..cellar import stones"})
    assert [each[:2] for each in house.foreign_re_exports()] == [("toy.room", "toy.cellar")]


def test_a_file_without_a_floor_and_a_floor_without_a_file_are_found(toy):
    levels = TABLE | {"toy": ["__init__", "roof", "room", "cellar attic"]}
    house = toy({"shed": ""}, levels)
    assert (house.without_level(), house.without_file()) == (["toy.shed"], ["toy.attic"])


def test_an_allowed_import_is_allowed_and_one_without_need_is_found(toy):
    needed, needless = ("toy.cellar", "toy.roof"), ("toy.roof", "toy.cellar")
    house = toy({"cellar": "from . import roof"}, allowed={needed: "why", needless: "none"})
    assert wrong(house) == ([], [])
    assert house.not_needed() == [needless]


def test_the_report_names_what_is_wrong(toy):
    text = report(toy({"cellar": "from . import roof"}))
    assert "imports that run upwards: 1\n  toy.cellar:1 imports toy.roof" in text
    assert "cycles: 1\n  toy.cellar - toy.roof - toy.room.table" in text
    assert "allowed: 0" in text


def test_the_command_prints_the_report(capsys):
    assert main() == 0
    assert "cycles: 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("levels", "status"), [(TABLE, 0), (TABLE | {"toy.room": ["table", "chair", "lamp"]}, 1)]
)
def test_the_command_fails_on_a_level_without_a_file(toy, levels, status, monkeypatch):
    house = toy({}, levels)
    monkeypatch.setattr("tools.house.House", lambda *given: house)
    assert main() == status


def test_the_face_is_thin():
    lines = (ROOT / "xpnet" / "neuralnet.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
