"""What the documentation shows is what happens."""

import doctest
import inspect
import pkgutil
import pydoc
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import xpnet

# The examples take a GPU if there is one; CuPy may be here without it.
pytestmark = pytest.mark.filterwarnings("ignore:device='auto' uses the CPU")

README = Path(__file__).parent.parent / "README.md"
MODULES = [
    info.name
    for info in pkgutil.walk_packages(xpnet.__path__, "xpnet.")
    if not info.name.endswith("__main__")
    and (find_spec("cupy") is not None or not info.name.endswith("_cupy_kernels"))
]


# Modules that users import from; their `__all__` is what is public.
PUBLIC = [
    "xpnet",
    *(f"xpnet.{name}" for name in ("activations", "backends", "callbacks", "data", "datasets")),
    *(f"xpnet.{name}" for name in ("estimators", "initializers", "inspection", "layers")),
    *(f"xpnet.{name}" for name in ("losses", "metrics", "model", "optimizers", "plots")),
    *(f"xpnet.{name}" for name in ("regularizers", "saving", "schedules", "search", "testing")),
]


def names_of(module):
    """Return the public names of a module; those that it defines, if it has no ``__all__``."""
    if hasattr(module, "__all__"):
        return module.__all__
    return [
        name
        for name, each in vars(module).items()
        if not name.startswith("_") and getattr(each, "__module__", "") == module.__name__
    ]


def public_objects():
    """Return all public classes and functions, by the first name that they have."""
    found = {}
    for name in PUBLIC:
        module = import_module(name)
        for each in names_of(module):
            thing = getattr(module, each)
            is_ours = getattr(thing, "__module__", "").startswith("xpnet")
            if is_ours and (inspect.isclass(thing) or inspect.isfunction(thing)):
                found.setdefault(thing, f"{name}.{each}")
    return {name: thing for thing, name in found.items()}


OBJECTS = public_objects()


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings(name):
    result = doctest.testmod(import_module(name))
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_public_name_has_an_example_that_runs(name):
    thing = OBJECTS[name]
    examples = doctest.DocTestParser().get_examples(vars(thing).get("__doc__") or thing.__doc__)
    assert any(doctest.SKIP not in each.options for each in examples), (
        f"{name} has no example: end its docstring with a section 'Examples' that has a few lines "
        "with >>> and their output, and that runs anywhere in a second"
    )
    heading = re.search(r"Examples\n *-{8}\n", thing.__doc__)
    assert heading, f"{name}: its examples belong in a section 'Examples' at the end"
    imported = re.search(rf"\b{thing.__name__}\b|\bxpnet\b", thing.__doc__[heading.end() :])
    assert imported, f"{name}: its example does not use it"


def test_no_public_name_is_missed():
    assert len(OBJECTS) > 150
    missing = {name for name in names_of(xpnet) if inspect.isclass(getattr(xpnet, name))}
    assert {f"xpnet.{name}" for name in missing} <= OBJECTS.keys()


@pytest.mark.parametrize(
    "name", [name for name in PUBLIC if hasattr(import_module(name), "__all__")]
)
def test_a_public_module_lists_its_public_names_alone(name):
    module = import_module(name)
    assert len({*module.__all__}) == len(module.__all__)
    if name != "xpnet":  # which lists its modules too
        assert dir(module) == sorted(module.__all__), (
            f"end {name} with: def __dir__() -> list[str]: return sorted(__all__)"
        )


@pytest.mark.parametrize(
    ("cls", "tables"),
    [
        (xpnet.NeuralNetwork, "losses metrics optimizers regularizers initializers"),
        (xpnet.Model, "losses optimizers regularizers"),
        (xpnet.DenseLayer, "initializers regularizers"),
    ],
)
def test_help_lists_the_names_that_arguments_take(cls, tables):
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    assert "{names}" not in text
    for table in tables.split():
        names = getattr(import_module(f"xpnet.{table}"), table.upper())
        items = text.partition(f"- ``{table[:-1] if table != 'losses' else 'loss'}``: ")[2]
        found = re.split(r",\s+(?:\|\s+)?", items.partition(".\n")[0])
        assert found == sorted(names)
    assert max(map(len, cls.__doc__.splitlines())) <= 100


def test_the_lists_of_modules_are_complete():
    folder = Path(xpnet.__file__).parent
    modules = {each.stem for each in folder.iterdir() if each.suffix == ".py" or each.is_dir()}
    internal = {"cli", "cli_files", "common", "model_files", "training"}
    modules = {name for name in modules if not name.startswith("_")} - internal
    contents = README.read_text(encoding="utf-8").partition("## Contents")[2].partition("###")[0]
    assert {*re.findall(r"`xpnet\.(\w+)`", contents)} == modules
    assert {*re.findall(r"``(\w+)``", xpnet.__doc__.partition("Modules:")[2])} >= modules


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn, which brings the digits, is not installed")
    pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), names)
    assert names["net"].score(names["test"]) >= 0.95
    assert np.isfinite(names["net"].history["loss"]).all()


def test_the_readmes_commands_exist():
    from xpnet.cli import make_parser

    commands = [
        line.split()[1:]
        for block in blocks("bash")
        for line in block.splitlines()
        if line.startswith("xpnet ")
    ]
    assert commands
    for arguments in commands:
        make_parser().parse_args(arguments)
