"""The package as a whole: what importing costs, who depends on whom, what is public."""

import ast
import inspect
import os
import pkgutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import xpnet
from xpnet.backends.cpu import blas_sleep

PACKAGE = Path(xpnet.__file__).parent
OPTIONAL = [
    "cupy", "jax", "joblib", "llvmlite", "matplotlib", "narwhals", "numba", "optuna", "pandas",
    "polars", "pooch", "pyarrow", "safetensors", "scipy", "sklearn", "tabulate", "tensorboardX",
    "threadpoolctl", "torch", "tqdm",
]  # fmt: skip


def in_fresh_python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


TRAIN = (
    "import xpnet\n"
    "net = xpnet.NeuralNetwork(epochs=1, batch_size=2).add(xpnet.DenseLayer(1, (2,)))\n"
    "net.fit(([[0, 1], [1, 0]], [0, 1]))\n"
)


def with_blas_threads(code, **more):
    """Return what Python prints where nothing is said about the threads of BLAS, but this."""
    words = "OPENBLAS", "OMP_", "XPNET_"
    given = {name: value for name, value in os.environ.items() if not name.startswith(words)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=given | more, capture_output=True, text=True, check=True)
    return done.stdout


def blas_waits(first="import numpy", **more):
    """Return the milliseconds that OpenBLAS's threads compute while nothing is to be done."""
    code = (
        f"{first}\n"
        "import time\n"
        "import numpy as np\n"
        "a = np.random.default_rng(0).random((400, 400))\n"
        "expected = np.einsum('ij,jk->ik', a, a)\n"
        "for _ in range(3): assert np.allclose(a @ a, expected)\n"
        "start = time.process_time()\n"
        "time.sleep(0.1)\n"
        "print(1e3 * (time.process_time() - start))\n"
    )
    return float(with_blas_threads(code, **more))


def blas_waits_long(first="import numpy", **more):
    """Return whether the threads compute for long; on a busy machine not every time."""
    return any(blas_waits(first, **more) >= 10 for _ in range(3))


@pytest.fixture(scope="module")
def blas_can_be_changed():
    if blas_sleep.thread_functions() is None:
        pytest.skip("NumPy's BLAS exports nothing that changes its threads once it is loaded")
    if not blas_waits_long():
        pytest.skip("NumPy's BLAS has no threads that wait so long: one core, or a busy machine")


@pytest.mark.parametrize("first", ["import xpnet", "import numpy"])
def test_openblas_threads_go_to_sleep_soon_once_a_network_was_trained(first, blas_can_be_changed):
    assert blas_waits(f"{first}\n{TRAIN}") < 6


def test_a_thread_that_waits_as_those_of_notebooks_do_puts_nothing_off(blas_can_be_changed):
    waiting = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    assert blas_waits(f"{waiting}\n{TRAIN}") < 6


def test_a_thread_that_may_be_in_a_product_puts_it_off(blas_can_be_changed):
    code = (
        "import threading, time\n"
        "def work():\n"
        "    while not ended: time.sleep(1e-4)\n"
        "ended = []\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "from xpnet.backends.cpu import blas_sleep\n"
        f"{TRAIN}"
        "print(blas_sleep._is_done)\n"
        "ended.append(True)\n"
        "thread.join()\n"
        "net.fit(([[0, 1], [1, 0]], [0, 1]))\n"
        "print(blas_sleep._is_done)\n"
    )
    assert with_blas_threads(code).split() == ["False", "True"]


def test_lbfgs_lets_the_threads_sleep_too(blas_can_be_changed):
    pytest.importorskip("sklearn")
    train = (
        "from xpnet.estimators import MLPRegressor\n"
        "est = MLPRegressor(hidden_layer_sizes=(2,), solver='lbfgs', max_iter=200)\n"
        "est.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])\n"
        "print(blas_sleep._is_done)"
    )
    code = f"from xpnet.backends.cpu import blas_sleep\n{train}"
    assert with_blas_threads(code).strip() == "True"


@pytest.mark.parametrize("switch", ["environment", "config"])
def test_openblas_threads_are_left_alone_where_that_is_asked_for(switch, blas_can_be_changed):
    if switch == "environment":
        assert blas_waits_long(TRAIN, XPNET_BLAS_SLEEP="0")
    else:
        assert blas_waits_long(f"import xpnet\nxpnet.config.blas_sleep = False\n{TRAIN}")


def test_importing_leaves_the_environment_and_the_threads_alone():
    code = (
        "import os, numpy\n"
        "def now():\n"
        "    threads = os.listdir('/proc/self/task') if os.path.isdir('/proc/self/task') else []\n"
        "    return dict(os.environ), sorted(threads)\n"
        "before = now()\n"
        "import xpnet\n"
        "print(now() == before)\n"
    )
    assert with_blas_threads(code).strip() == "True"


def test_training_leaves_the_environment_and_the_number_of_threads_alone():
    """Neither os.environ nor what a child process inherits has the variable that was set."""
    code = (
        "import os, subprocess, numpy\n"
        "def now():\n"
        "    show = subprocess.run(['env'], capture_output=True, text=True).stdout\n"
        "    path = '/proc/self/task'\n"
        "    threads = len(os.listdir(path)) if os.path.isdir(path) else 0\n"
        "    return dict(os.environ), 'OPENBLAS_THREAD_TIMEOUT' in show, threads\n"
        "before = now()\n"
        f"{TRAIN}"
        "print(now() == before)\n"
    )
    assert with_blas_threads(code).strip() == "True"


def test_who_says_how_blas_threads_wait_is_left_alone():
    show = "import os; print(os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    assert with_blas_threads(f"{TRAIN}{show}", OPENBLAS_THREAD_TIMEOUT="24").strip() == "24"


LATER = ["datasets", "estimators", "plots", "search", "testing"]


@pytest.mark.parametrize("name", LATER)
def test_modules_are_there_without_another_import(name):
    if name == "estimators":
        pytest.importorskip("sklearn")
    code = f"import sys, xpnet\nprint('xpnet.{name}' in sys.modules, xpnet.{name}.__name__)"
    assert in_fresh_python(code).split() == ["False", f"xpnet.{name}"]


def test_an_unknown_attribute_is_refused_as_usual():
    with pytest.raises(AttributeError, match=r"^module 'xpnet' has no attribute 'dataset'$"):
        xpnet.dataset  # noqa: B018


def test_the_package_lists_public_names_only():
    listed = {name for name in dir(xpnet) if not name.startswith("__")}
    assert listed - {"estimators"} == {*xpnet.__all__, *LATER} - {"estimators"}
    assert ("estimators" in listed) == (find_spec("sklearn") is not None)


def test_the_package_says_on_one_page_what_is_where():
    assert len(xpnet.__doc__.strip().splitlines()) <= 36
    assert all(f"``{name}``" in xpnet.__doc__ for name in LATER)


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
        "print(net.fit(([[0, 1], [1, 0]], [0, 1])).predict([[1, 1]]).shape)\n"
        "print(net.predict([[1, 1]] * 20_000).shape)"  # enough rows for several threads
    )
    assert in_fresh_python(code).split("\n")[:2] == ["(1, 1)", "(20000, 1)"]


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
    list(files("activations", "layers", "losses", "metrics", "optimizers", "schedules")),
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


LONG_CLASSES = {
    "NeuralNetwork": "its docstring describes every argument, and each method has its own",
    "Dataset": "its docstring describes every argument and attribute",
    "Builder": "a method for each kind of instruction of a compiled step",
    "Layout": "a place for each array of a compiled step",
    "Layer": "its docstring says what networks and training do with a layer, with an example",
    "MLPClassifier": "its docstring describes every parameter of the estimator",
}


def test_classes_are_short():
    """No class is longer than 200 lines with its documentation, but those above."""
    long = set()
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE / "backends").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno > 200:
                long.add(node.name)
    assert long == LONG_CLASSES.keys()


def test_the_backends_folder_is_not_importable_by_itself():
    root = Path(__file__).parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import backends"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "import this package as xpnet.backends" in done.stderr


def test_the_oldest_dependencies_that_are_tested_are_the_oldest_allowed():
    """Those of noxfile.py, which must not be imported: nox need not be installed."""
    root = Path(__file__).parent.parent
    tree = ast.parse((root / "noxfile.py").read_text(encoding="utf-8"))
    (tested,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OLDEST_DEPENDENCIES"
    )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [f"{name}>={version}" for name, version in tested.items()] == project["dependencies"]


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
