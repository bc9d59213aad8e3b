"""The package as a whole: what importing costs, who depends on whom, what is public."""

import ast
import inspect
import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import xpnet
from xpnet import _blas

PACKAGE = Path(xpnet.__file__).parent
OPTIONAL = [
    "cupy", "jax", "joblib", "llvmlite", "matplotlib", "numba", "optuna", "pandas", "polars",
    "pooch", "safetensors", "scipy", "sklearn", "tabulate", "tensorboardX", "threadpoolctl",
    "torch", "tqdm",
]  # fmt: skip
MATHEMATICS = [f"{name}.py" for name in ("activations", "metrics", "optimizers", "schedules")]
# Who may import whom: a file may import those of its own line and below.
ORDER = [
    ["__main__", "cli"],
    ["search", "estimators"],
    ["_search_file"],
    ["saving", "plots", "testing", "datasets", "neuralnet"],
    ["trainer"],
    ["callbacks", "inspection"],
    ["_which_steps"],
    ["_compiled_steps", "_captured_steps"],
    ["snapshot", "_steps", "_interruption"],
    ["_sums", "_placing", "compiled", "captured"],
    ["_translation"],
    ["_arrays", "_streaming", "memory"],
    ["_preparing", "_settings", "_parameters", "_weighing", "_wide", "history"],
    ["_comparing"],
    ["_describing"],
    ["_penalties", "_target_unit"],
    [
        "activations",
        "losses",
        "metrics",
        "optimizers",
        "schedules",
        "layers",
        "initializers",
        "regularizers",
    ],
    ["_moments"],
    ["data", "_text", "_csv", "_reading", "_splitting"],
    ["_digits"],
    ["_stored", "_mapped", "_chunks"],
    ["_checks", "_class_weights", "_decompressing", "_direction"],
    ["_overrides", "_readable", "_replacing", "workspace", "config", "_blas"],
    ["backends"],
]


def in_fresh_python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def blas_waits(first, **more):
    """Return the milliseconds that OpenBLAS's threads compute while nothing is to be done."""
    code = (
        f"import time, {first}\n"
        "import numpy as np, xpnet\n"
        "a = np.random.default_rng(0).random((400, 400))\n"
        "expected = np.einsum('ij,jk->ik', a, a)\n"
        "for _ in range(3): assert np.allclose(a @ a, expected)\n"
        "start = time.process_time()\n"
        "time.sleep(0.1)\n"
        "print(1e3 * (time.process_time() - start))\n"
    )
    given = {name: value for name, value in os.environ.items() if "OPENBLAS" not in name}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=given | more, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.parametrize("first", ["xpnet", "numpy"])
def test_openblas_threads_go_to_sleep_soon_whatever_is_imported_first(first):
    if blas_waits("numpy", OPENBLAS_THREAD_TIMEOUT="26") < 10:
        pytest.skip("NumPy's BLAS has no threads that wait so long: one core, or another BLAS")
    if first == "numpy" and _blas.thread_functions() is None:
        pytest.skip("NumPy's OpenBLAS does not export what changes its threads once it is loaded")
    assert blas_waits(first) < 6


def test_who_says_how_blas_threads_wait_is_left_alone():
    show = "import os; print(os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    command = [sys.executable, "-c", f"import numpy, xpnet; {show}"]
    given = os.environ | {"OPENBLAS_THREAD_TIMEOUT": "24"}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "24"


def test_importing_brings_no_optional_library():
    code = f"import sys, xpnet; print([name for name in {OPTIONAL} if name in sys.modules])"
    assert in_fresh_python(code).strip() == "[]"


def test_importing_takes_at_most_a_few_times_as_long_as_numpy():
    code = (
        "from time import process_time as now; a = now(); import numpy; b = now(); import xpnet; "
        "print((now() - b) / (b - a))"
    )
    # A ratio, since machines differ; the least of some, since other programs add to either part.
    assert min(float(in_fresh_python(code)) for _ in range(7)) < 5.0


def test_xpnet_needs_numpy_and_array_api_compat_alone():
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {OPTIONAL}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import xpnet\n"
        "net = xpnet.NeuralNetwork(epochs=1, batch_size=2).add(xpnet.DenseLayer(1, (2,)))\n"
        "print(net.fit(([[0, 1], [1, 0]], [0, 1])).predict([[1, 1]]).shape)"
    )
    assert in_fresh_python(code).strip() == "(1, 1)"


def imports_of(path):
    """Yield the modules that a file imports, those of the package as 'xpnet.name'."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = "." * node.level
            if node.level == 0 or node.module:
                yield above + (node.module or "")
            else:
                yield from (above + alias.name for alias in node.names)


def files(*names):
    for name in names:
        path = PACKAGE / name
        yield from path.glob("*.py") if path.is_dir() else [path]


@pytest.mark.parametrize(
    "path",
    [*files("layers", "losses"), *files(*MATHEMATICS)],
    ids=lambda path: path.stem,
)
def test_mathematics_knows_no_array_library(path):
    libraries = {"numpy", "cupy", "torch", "jax", "array_api_strict"}
    assert not {name.split(".")[0] for name in imports_of(path)} & libraries - _typing_only(path)
    for word in ("cupy", "torch", "is_numpy", "is_cupy"):
        assert word not in _code(path)


def _typing_only(path):
    """Return the libraries that a file imports for annotations only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in ast.walk(node):
                if isinstance(child, ast.ImportFrom) and child.level == 0:
                    found.add((child.module or "").split(".")[0])
    return found


def _code(path):
    """Return a file's code without its docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def test_backends_know_nothing_of_networks():
    for path in files("backends"):
        assert not [name for name in imports_of(path) if name.startswith("..")], path.name
        assert not [name for name in imports_of(path) if name.split(".")[0] == "xpnet"], path.name


def test_files_depend_downwards_only():
    level = {name: k for k, names in enumerate(ORDER) for name in names}
    for path in [*PACKAGE.glob("*.py"), *files("layers", "compiled", "captured", "estimators")]:
        own = path.stem if path.parent == PACKAGE else path.parent.name
        if own == "__init__":
            continue
        for name in _top_level_imports(path):
            assert level[name] >= level[own], f"{path.name} imports {name}, which is above it"


def _top_level_imports(path):
    """Yield the package's modules that are imported when the file is, not later or for types."""
    up = 1 if path.parent == PACKAGE else 2
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == up:
            if node.module:
                yield node.module.split(".")[0]
            elif path.stem != "cli":  # the command line uses the public names
                yield from (alias.name for alias in node.names)


def modules():
    yield xpnet
    for info in pkgutil.walk_packages(xpnet.__path__, "xpnet."):
        if not info.name.split(".")[-1].startswith("_"):
            yield import_module(info.name)


def test_everything_public_is_documented_with_its_source():
    missing = []
    for module in modules():
        assert module.__doc__, module.__name__
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == module.__name__
            if name.startswith("_") or not own or not (inspect.isclass(thing) or callable(thing)):
                continue
            if not thing.__doc__:
                missing.append(f"{module.__name__}.{name}")
    assert not missing


def test_all_names_in_all_exist_and_are_sorted_into_the_package():
    assert all(hasattr(xpnet, name) for name in xpnet.__all__)
    assert "NeuralNetwork" in xpnet.__all__


def test_classes_are_short():
    """No class is longer than 200 lines with its documentation, but the network itself."""
    for path in [*PACKAGE.glob("*.py"), *files("layers", "compiled", "captured", "backends")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name not in ("NeuralNetwork", "Dataset"):
                assert node.end_lineno - node.lineno <= 200, f"{path.name}: {node.name}"


def test_the_backends_folder_is_not_importable_by_itself():
    root = Path(__file__).parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import backends"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "import this package as xpnet.backends" in done.stderr


@pytest.mark.slow
def test_one_order_of_tests_whatever_the_hash_seed():
    """Processes that share the tests (pytest-xdist's) must collect the same list."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    first, second = (
        subprocess.run(
            [*command, str(Path(__file__).parent)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.partition("\n\n")[0]  # without how long it took
        for seed in ("1", "2")
    )
    assert "::test_one_order_of_tests_whatever_the_hash_seed" in first
    assert first == second
