"""Check that the package's files import only from their own level and the levels below.

``python -m tools.house`` prints the table of levels, the upward imports, the import cycles and the
exceptions. Its exit status is 1 if anything is wrong.

`LEVELS` lists the entries of each folder, i.e. its files and folders, top first. A file may import
files in its own level and below. Two files are compared in the smallest folder that contains both.

All imports count: at the top of a file, under ``if TYPE_CHECKING`` or in a function.
``import_module`` counts if its argument is a literal. Modules whose names are known only at run
time, such as those of `xpnet.backends._registry`, are not found.

How imports are attributed to files:

- ``from . import module`` and ``import xpnet.folder.module`` count as imports of that module.
- An import of a folder counts as an import of its ``__init__.py``.
- An import of a name that an ``__init__.py`` re-exports counts as an import of the file that
  defines it. Otherwise a file that needs one class of a folder would seem to need the whole folder,
  and files that share a folder would form false cycles.
- Python first runs the ``__init__.py`` of every folder above a module. That does not count, for the
  same reason. It is harmless as long as an ``__init__.py`` imports only from its own folder, which
  is checked. ``xpnet/__init__.py`` is the exception that imports from everywhere.

An ``__init__.py`` is above the files of its folder, unless `LEVELS` says otherwise.
"""

import ast
import copy
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"xpnet": ROOT / "xpnet", "xpnet.backends": ROOT / "backends"}

# The entries of each folder, top first; entries on the same line share a level.
LEVELS = {
    "xpnet": [
        "__main__",
        "cli",
        "__init__",
        "search estimators",
        "callbacks saving testing",
        "neuralnet",
        "plots inspection model_files",
        "training",
        "model",
        "activations",
        "layers",
        "losses optimizers metrics initializers regularizers",
        "schedules",
        "datasets intervals",
        "data",
        "common",
        "config",
        "_starting backends",
    ],
    "xpnet.cli": [
        "program",
        "commands",
        "evaluate train",
        "files tasks predict",
        "tables",
        "report",
        "info interruption messages number_texts obstacles options progress same_data",
    ],
    "xpnet.estimators": [
        "_classifier _regressor",
        "_base",
        "_fitting",
        "_conversion _labels _lbfgs _pickling _stochastic",
        "_parameters _policy _scoring _state",
        "_inputs",
        "_network",
        "_checks _rollback",
    ],
    "xpnet.search": ["trials", "plan rates pruning", "result", "file space"],
    "xpnet.plots": [
        "confusion functions history images outputs regression scores sweep",
        "classes models",
        "drawing",
    ],
    "xpnet.callbacks": [
        "averages checkpoint json_lines logs stopping watching",
        "base monitor",
    ],
    "xpnet.model_files": [
        "checkpoints",
        "restoring states",
        "loading writing",
        "comparing parts reading",
        "older",
        "container describing names",
        "kinds schema strict_json",
        "forms",
    ],
    "xpnet.training": [
        "predictor",
        "classifying input_gradients",
        "evaluator",
        "prediction planning",
        "fitting",
        "trainer mini_batches",
        "out_of_memory",
        "held_out purpose recording",
        "averaged evaluation steps",
        "sums updates",
        "feeding",
        "full_batch",
        "heads objective trainable weighing",
        "known last_activation",
        "checks classes lookups memory settings",
        "metric_settings other_heads",
        "scorers",
        "target_unit run averaging",
        "callback history interruption",
        "errors",
    ],
    "xpnet.training.steps": [
        "choice",
        "lbfgs",
        "captured compiled formulas",
        "base",
        "translation",
    ],
    "xpnet.training.steps.lbfgs": ["steps", "objective solver"],
    "xpnet.training.steps.captured": [
        "steps",
        "training",
        "program graphs",
        "backward",
        "updating",
        "calls",
        "buffers",
        "lookups placement supported",
    ],
    "xpnet.training.steps.compiled": [
        "steps",
        "training",
        "instructions",
        "layout",
        "sharing supported failing",
    ],
    "xpnet.training.feeding": [
        "training_data",
        "batches",
        "placing",
        "streaming",
        "arrays intake passes summary",
        "wide",
    ],
    "xpnet.model": [
        "model",
        "propagation slicing",
        "layered snapshot",
        "adding parameters",
        "freezing gradients values",
        "places updating",
        "code_repr moving penalties randomness settings summary",
    ],
    "xpnet.layers": [
        "branches residual",
        "composite",
        "rewiring",
        "batch_normalization categorical_embeddings dense dropout embedding flatten noise "
        "normalization prelu row_normalization",
        "checks codes tables",
        "base",
        "prediction passes workspace",
    ],
    "xpnet.activations": ["function rectified rows sigmoidal smooth", "base"],
    "xpnet.metrics": [
        "confusion probability ranking regression",
        "accuracies",
        "base",
        "batch outputs",
    ],
    "xpnet.losses": [
        "heads",
        "head_outputs",
        "head_metrics names",
        "binary classes deviances divergence focal function gaussian margin quantile regression",
        "class_weighted",
        "base",
        "class_weights finite per_output",
    ],
    "xpnet.optimizers": [
        "adam adamax adaptive lbfgs nadam radam rmsprop sgd sign",
        "base",
        "clipping scheduled state",
        "settings",
    ],
    "xpnet.schedules": ["cycles function plateau wrapping", "decays", "base"],
    "xpnet.datasets": ["digits imdb mnist", "layouts text", "files reviews"],
    "xpnet.data": [
        "train_test",
        "choosing codes",
        "dataset",
        "filling",
        "classes encoding from_frames from_tables labels selecting splitting",
        "missing",
        "categories ids reading",
        "tables",
        "features",
        "flattened moments selected",
        "stored",
        "idx",
        "canonical chunks decompressing digits finite mapped",
    ],
    "xpnet.data.tables": [
        "csv typed",
        "texts",
        "strings gathering selection",
        "cells table",
        "dates",
    ],
    "xpnet.data.tables.csv": [
        "file",
        "columns",
        "rows",
        "engines",
        "blocks dialect",
        "opening",
    ],
    "xpnet.data.tables.csv.engines": ["_pandas _polars _pyarrow", "base"],
    "xpnet.data.tables.typed": [
        "streams",
        "frames",
        "choice ids",
        "categories numbers strings",
        "base frame_types objects",
    ],
    "xpnet.common": [
        "checks traceable versioned",
        "allocation direction folder_lock naming overrides readable replacing version",
        "checked_settings temporary",
        "keywords",
    ],
    "xpnet.backends": [
        "_registry",
        "_cupy _numpy _strict _torch",
        "_cupy_kernels _numpy_formulas _numpy_kernels _scipy_kernels",
        "cpu cuda",
        "formula",
        "ops _host_memory _sparse",
        "_backend",
        "_cache_folder _dispatch _errors _feature_types _warnings",
    ],
    "xpnet.backends.formula": [
        "running",
        "scalars",
        "evaluation python",
        "listing",
        "tracing",
        "derivatives namespace",
        "expressions",
        "errors",
    ],
    "xpnet.backends.cpu": [
        "engine formulas",
        "team",
        "loop lookups random rows sparse updating",
        "losses program",
        "product",
        "kernels",
        "intrinsics",
        "blas_sleep blas_threads compiling",
    ],
    "xpnet.backends.cuda": ["formulas machine upload", "cublas kernels"],
}

# Imports that may run upwards or close a cycle, with the reason; at most two.
ALLOWED: dict[tuple[str, str], str] = {
    ("xpnet.backends._backend", "xpnet.backends._registry"): (
        "unpickling a backend looks it up by name"
    ),
    ("xpnet.training.history", "xpnet.plots.history"): (
        "net.history.plot() is a shortcut for users; the plots know nothing of training"
    ),
}


class Import(NamedTuple):
    """An import of one module of the package by another."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules(packages: Mapping[str, Path] = PACKAGES) -> dict[str, Path]:
    """Return the file of each module of these packages, by its dotted name.

    An ``__init__.py`` has the name of its folder. Links are not followed.
    """
    found = {}
    for package, folder in packages.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(files: Mapping[str, Path]) -> list[Import]:
    """Return every import of one of these modules by another."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}
    folders = {name for name, path in files.items() if path.name == "__init__.py"}
    passed_on = {
        folder: {
            shown: (source, name)
            for source, name, shown, _ in _names(trees[folder].body, folder, folders)
            if name
        }
        for folder in folders
    }

    def defining(source: str, name: str | None, seen: frozenset[str] = frozenset()) -> str:
        """Return the module that an import of a name is attributed to."""
        if name is None or f"{source}.{name}" in files:
            return source if name is None else f"{source}.{name}"
        if source in seen or name not in passed_on.get(source, {}):
            return source
        return defining(*passed_on[source][name], seen | {source})

    found = []
    for importer, tree in trees.items():
        for source, name, _, line in _names(ast.walk(tree), importer, folders):
            imported = defining(source, name)
            if imported in files and imported != importer:
                found.append(Import(importer, imported, line))
    return found


def _names(
    nodes: Iterable[ast.AST], module: str, folders: set[str]
) -> Iterator[tuple[str, str | None, str, int]]:
    """Yield module, name in it or None, name in the importing file, line of imports."""
    own = module if module in folders else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, alias.asname or alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            source = _absolute("." * node.level + (node.module or ""), own)
            for alias in node.names:
                yield source, alias.name, alias.asname or alias.name, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield _absolute(first.value, own), None, "", node.lineno


def _absolute(name: str, folder: str) -> str:
    """Return the absolute name of a module that a file in ``folder`` imports."""
    rest = name.lstrip(".")
    dots = len(name) - len(rest)
    if not dots:
        return rest
    above = folder.split(".")[: len(folder.split(".")) - dots + 1]
    return ".".join([*above, rest] if rest else above)


class House:
    """The files of a package, their imports and their levels.

    Parameters
    ----------
    files : mapping of str to Path
        The file of each module, as `modules` returns them.
    levels : mapping of str to sequence of str
        See `LEVELS`.
    allowed : mapping of (str, str) to str, optional
        See `ALLOWED`.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        levels: Mapping[str, Sequence[str]],
        allowed: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.files, self.levels, self.allowed = files, levels, dict(allowed or {})
        self.imports = imports(files)
        self._level = {
            (folder, entry): level
            for folder, lines in levels.items()
            for level, line in enumerate(lines)
            for entry in line.split()
        }

    def without_level(self) -> list[str]:
        """Return the modules that are missing from the table of levels."""
        return [
            name
            for name in self.files
            if any(self._level_of(*entry) is None for entry in _entries(name))
        ]

    def without_file(self) -> list[str]:
        """Return the entries in the table of levels that do not exist."""
        existing = {entry for name in self.files for entry in _entries(name)}
        existing |= {(name, "__init__") for name in self.files}
        return [".".join(entry) for entry in self._level if entry not in existing]

    def upward_imports(self) -> list[Import]:
        """Return the imports that run upwards and are not allowed."""
        return [
            each
            for each in self.imports
            if each[:2] not in self.allowed and self._runs_up(each.importer, each.imported)
        ]

    def cycles(self) -> list[list[str]]:
        """Return the import cycles, i.e. groups of modules, without the allowed imports."""
        graph: dict[str, set[str]] = {name: set() for name in self.files}
        for each in self.imports:
            if each[:2] not in self.allowed:
                graph[each.importer].add(each.imported)
        return [sorted(group) for group in _strongly_connected(graph) if len(group) > 1]

    def foreign_re_exports(self) -> list[Import]:
        """Return imports from outside its folder by an ``__init__.py`` that only re-exports."""
        root = min(self.files, key=len)
        passing = {name for name, path in self.files.items() if _passes_on_only(path)} - {root}
        return [
            each
            for each in self.imports
            if each.importer in passing and not each.imported.startswith(each.importer + ".")
        ]

    def not_needed(self) -> list[tuple[str, str]]:
        """Return the allowed imports that need not be allowed."""
        needless = []
        for pair in self.allowed:
            strict = copy.copy(self)
            strict.allowed = {name: why for name, why in self.allowed.items() if name != pair}
            if (
                strict.upward_imports() == self.upward_imports()
                and strict.cycles() == self.cycles()
            ):
                needless.append(pair)
        return needless

    def _level_of(self, folder: str, entry: str) -> int | None:
        return self._level.get((folder, entry), -1 if entry == "__init__" else None)

    def _runs_up(self, importer: str, imported: str) -> bool:
        for (folder, own), (_, other) in zip(_entries(importer), _entries(imported), strict=False):
            if own != other:
                above, below = self._level_of(folder, own), self._level_of(folder, other)
                return above is not None and below is not None and above > below
        return False


def _entries(module: str) -> list[tuple[str, str]]:
    """Return folder and entry at each level; for a.b: ('a', 'b'), ('a.b', '__init__')."""
    parts = [*module.split("."), "__init__"]
    return [(".".join(parts[:k]), parts[k]) for k in range(1, len(parts))]


def _passes_on_only(path: Path) -> bool:
    """Return whether a file is an ``__init__.py`` that defines no functions or classes."""
    if path.name != "__init__.py":
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    own = (node for node in body if isinstance(node, defined) and node.name != "__dir__")
    return not any(own)


def _strongly_connected(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components: R. Tarjan, SIAM J. Comput. 1 (1972) 146-160."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            k = stack.index(node)
            found.append(set(stack[k:]))
            del stack[k:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def _lines(title: str, found: Iterable[object]) -> list[str]:
    texts = [f"  {each}" for each in found]
    return [f"{title}: {len(texts)}", *texts]


def report(house: House) -> str:
    """Return what `python -m tools.house` prints."""
    lines = []
    for folder, levels in house.levels.items():
        lines += [folder, *(f"  {number:2} {line}" for number, line in enumerate(levels)), ""]
    lines += _lines("imports that run upwards", house.upward_imports())
    lines += _lines("cycles", (" - ".join(group) for group in house.cycles()))
    lines += _lines("files without a level", house.without_level())
    lines += _lines("levels without a file", house.without_file())
    lines += _lines(
        "__init__.py that passes on names from outside its folder", house.foreign_re_exports()
    )
    lines += _lines("allowed", (f"{a} imports {b}: {why}" for (a, b), why in house.allowed.items()))
    lines += _lines("allowed without need", (" imports ".join(e) for e in house.not_needed()))
    return "\n".join(lines)


def main() -> int:
    """Print the report; return 1 if anything in it is wrong."""
    house = House(modules(), LEVELS, ALLOWED)
    print(report(house))
    return int(
        any(
            (
                house.upward_imports(),
                house.cycles(),
                house.without_level(),
                house.without_file(),
                house.foreign_re_exports(),
                house.not_needed(),
                len(house.allowed) > 2,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
