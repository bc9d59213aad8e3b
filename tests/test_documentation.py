"""What the documentation shows is what happens."""

import doctest
import pkgutil
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import xpnet

# The examples take a GPU if there is one; CuPy may be here without it.
pytestmark = pytest.mark.filterwarnings("ignore:device='auto' takes the CPU")

README = Path(__file__).parent.parent / "README.md"
MODULES = [
    info.name
    for info in pkgutil.walk_packages(xpnet.__path__, "xpnet.")
    if not info.name.endswith("__main__")
    and (find_spec("cupy") is not None or not info.name.endswith("_cupy_kernels"))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings(name):
    result = doctest.testmod(import_module(name))
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert result.failed == 0


def test_the_public_api_has_examples():
    finder = doctest.DocTestFinder()
    with_examples = {
        test.name for name in MODULES for test in finder.find(import_module(name)) if test.examples
    }
    assert len(with_examples) >= 10


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn, which brings the digits, is not installed")
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
