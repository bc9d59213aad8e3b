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
from bench import docs

from .pages import PAGES, ROOT, anchors, links, script, shell_commands, text_of

# The examples take a GPU if there is one; CuPy may be here without it.
pytestmark = pytest.mark.filterwarnings("ignore:device='auto' uses the CPU")

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
    internal = {"cli", "common", "model_files", "training"}
    modules = {name for name in modules if not name.startswith("_")} - internal
    first_cells = "".join(re.findall(r"^\|(.*?)\|", text_of("docs/modules.md"), re.MULTILINE))
    assert {*re.findall(r"`xpnet\.(\w+)`", first_cells)} == modules
    assert {*re.findall(r"``(\w+)``", xpnet.__doc__.partition("Modules:")[2])} >= modules


def test_the_names_in_the_table_of_modules_exist():
    rows = re.findall(r"^\|(.*xpnet.*)\|(.*)\|$", text_of("docs/modules.md"), re.MULTILINE)
    assert len(rows) > 15
    for modules, contents in rows:
        places = [import_module(name) for name in re.findall(r"`(xpnet[\w.]*)`", modules)]
        places += [xpnet.NeuralNetwork(), xpnet.DenseLayer(1)]  # whose attributes some rows name
        for name in re.findall(r"`(\w+)[`(]", contents):
            assert any(hasattr(place, name) for place in places), f"{modules}lacks {name}"


# ---- pages


@pytest.mark.parametrize("page", [page for page in PAGES if script(page)])
def test_the_python_of_a_page_is_a_script(page, tmp_path, monkeypatch):
    code = script(page)
    for module in {*re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)}:
        pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(compile(code, ROOT / page, "exec"), names)
    networks = [each for each in names.values() if isinstance(each, xpnet.NeuralNetwork)]
    assert all(np.isfinite(each.history["loss"]).all() for each in networks if each.history.epochs)
    if page == "README.md":
        assert names["net"].score(names["test"]) >= 0.95
    if page == "docs/own-parts.md":
        assert all(names[name].score(names["X"], names["y"]) > 0.99 for name in ("net", "plain"))


def test_the_readmes_commands_run(tmp_path, monkeypatch, capsys):
    sklearn_datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is missing")
    from xpnet.cli import main

    monkeypatch.chdir(tmp_path)
    iris = sklearn_datasets.load_iris()
    names = [name.partition(" (")[0].replace(" ", "_") for name in iris.feature_names]
    rows = [",".join(map(str, row)) for row in iris.data]
    species = [f",{iris.target_names[k]}" for k in iris.target]
    Path("flowers.csv").write_text(
        "\n".join([",".join([*names, "species"]), *map("".join, zip(rows, species, strict=True))])
    )
    Path("new.csv").write_text("\n".join([",".join(names), *rows[::50]]))
    commands = shell_commands("README.md")
    assert {command[0] for command in commands} >= {"train", "predict", "info"}
    for command in commands:
        assert not main(command), f"xpnet {' '.join(command)}"
    assert "setosa" in capsys.readouterr().out


@pytest.mark.parametrize("page", docs.TABLES)
def test_the_tables_of_the_pages_are_those_of_the_saved_results(page):
    text = text_of(page)
    assert docs.filled(page, text) == text, "run python -m bench.docs"
    stale = re.sub(r"^\| xpnet.*\n", "", text, flags=re.MULTILINE)
    assert docs.filled(page, stale) == text != stale


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match=r"lacks the lines <!-- peers-cpu\.json"):
        docs.filled("README.md", "<!-- end -->")


@pytest.mark.parametrize(
    "page", [*PAGES, "CONTRIBUTING.md", "SECURITY.md", "bench/results/README.md"]
)
def test_the_links_of_a_page_lead_somewhere(page):
    for link in links(page):
        if not re.match(r"https?://|mailto:", link):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.relative_to(ROOT)), link


def test_commands_are_on_pages_whose_commands_are_run():
    pages = {page for page in PAGES if shell_commands(page)}
    assert "README.md" in pages
    assert pages <= {"README.md", "docs/command-line.md"}


def test_the_index_lists_all_pages():
    listed = {f"docs/{link}" for link in links("docs/README.md") if "/" not in link}
    assert listed >= {*PAGES} - {"README.md", "docs/README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page):
    lines = text_of(page).splitlines()
    assert len(lines) <= (130 if page == "README.md" else 200)
    assert max(len(line) for line in lines if not line.startswith("|")) <= 120
    if page == "README.md":
        assert max(map(len, lines)) <= 120
