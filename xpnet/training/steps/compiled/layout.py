"""The memory layout of a compiled step's arrays."""

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....backends import ops
from ....backends.cpu.program import Memory
from ....data.features import SparseRows, kind_of
from ....data.reading import has_more_digits
from ....layers import CategoricalEmbeddings, Embedding, Normalization
from ....model import Model
from ..translation import Unit, lookups_of
from .sharing import Plan


class Layout:
    """Assigns places in memory to the arrays, and copies parameters in and out.

    Parameters
    ----------
    model : Model
    units : list of Unit
    plan : Plan
    X : array or CSR matrix
    y : array
        int64 classes, or rows in the network's type.
    weights : array or None
    batch_size : int
    accumulates : bool, default False
        Whether an update comes after several batches.
    averages : bool, default False
        Whether an average of the parameters is kept.
    """

    def __init__(
        self,
        model: Model,
        units: list[Unit],
        plan: Plan,
        X: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        batch_size: int,
        accumulates: bool = False,
        averages: bool = False,
    ) -> None:
        self.accumulates, self.averages = accumulates, averages
        self.model, self.units, self.plan, self.batch = model, units, plan, batch_size
        self.y, self.weights = y, weights
        self.memory = Memory(model.backend.dtype)
        self.sparse: tuple[np.ndarray, ...] | None = None
        self.runs = _runs(units[0])
        self._flats: list[np.ndarray] = []
        self._views: list[tuple[np.ndarray, np.ndarray]] = []
        if kind_of(X) is SparseRows:
            starts = np.ascontiguousarray(X.indptr, np.int64)
            indices = np.ascontiguousarray(X.indices, np.int32)
            self.sparse = starts, indices, np.ascontiguousarray(X.data, self.memory.dtype)
            self.data = np.zeros(8, np.uint8)
        else:
            self.data = _without_booleans(X)
        self._lay_out()

    def use(self, X: Any, y: np.ndarray, weights: np.ndarray | None) -> None:
        """Use other dense features; overwrite sparse features, targets and weights with others."""
        if self.sparse is None:
            self.data = _without_booleans(X)
        else:
            for own, part in zip(self.sparse, (X.indptr, X.indices, X.data), strict=True):
                own[: len(part)] = part
        self.y[: len(y)] = y
        if self.weights is not None:
            self.weights[: len(y)] = weights

    def nbytes(self, *given: Any) -> int:
        """Return the size in bytes of all arrays that do not share memory with ``given``."""
        own = [self.memory.array, self.runs, self.y, *(self.sparse or ())]
        own += [each for each in (self.weights, self.moments) if each is not None]
        return sum(a.nbytes for a in own if not any(np.may_share_memory(a, b) for b in given))

    # ---- places

    def _lay_out(self) -> None:
        """Assign a place to every array."""
        take, pad, rows = self.memory.take, self.memory.padded, self.batch
        threads = range(self.plan.threads)
        self.split: list[int] = []
        self.moments: np.ndarray | None = None
        if type(self.model.layers[0]) is Normalization:
            self.split = [take(self.units[0].n_inputs) for _ in range(3)]
            self.moments = np.zeros((2, self.units[0].n_inputs))
        self.places = [
            [self.plan.columns(k, unit, thread) for k, unit in enumerate(self.units)]
            for thread in threads
        ]
        # Threads share these activations, in two copies for even and for odd steps.
        self.activations: list[list[Any]] = [[] for _ in threads]
        for k, unit in enumerate(self.units):
            both: Any = None
            for thread in threads:
                if k < self.plan.shared:
                    both = both or [take(rows, pad(unit.n_units)) for _ in range(2)]
                else:
                    both = [take(rows, pad(unit.n_units))] * 2
                self.activations[thread].append(both)
        # The errors between two shared layers, with a part for each thread.
        self.parts = [0] + [
            take(self.plan.threads, rows, pad(unit.n_inputs))
            if k < self.plan.shared and self.units[k - 1].reached
            else 0
            for k, unit in enumerate(self.units[1:], 1)
        ]
        self.arenas = [self._arena(thread) for thread in threads]

    def _arena(self, thread: int) -> dict[str, Any]:
        """Assign places to the arrays that only one thread uses."""
        take, pad, rows = self.memory.take, self.memory.padded, self.batch
        places = self.places[thread]
        widest = max(n for _, n in places)
        lists = ("weights", "biases", "gamma", "beta", "errors", "kept", "rows", "skipped")
        arena: dict[str, Any] = {name: [] for name in lists} | {"at": {}}
        # Each thread gathers its own copy of the features.
        gathers = self.sparse is None and self.units[0].layer is not None
        arena["x"] = take(rows, pad(self.units[0].n_inputs)) if gathers else 0
        arena["drawn"] = take(widest + 16)
        offset = 0
        for k, (unit, (_, n)) in enumerate(zip(self.units, places, strict=True)):
            own = dict.fromkeys(("weights", "biases", "gamma", "beta"))
            for layer, name in _slots(unit):
                size = pad(self.size_of(k, n) if name == "weights" else n)
                own[name] = offset
                arena["at"][layer, name] = offset, offset + size
                offset += size
            for name, place in own.items():
                arena[name].append(place)
        # Layers without biases add zeros that are not updated, and write sums that are not used.
        for name in ("biases", "beta"):
            arena[name] = [offset if place is None else place for place in arena[name]]
        offset += pad(widest)
        arena["size"] = offset
        # Parameters, gradients, and the optimizer's state.
        n_arrays = 2 + len(self.model.optimizer.state_names)
        arena["arrays"] = [take(offset) for _ in range(n_arrays)]
        arena["accumulated"] = take(offset) if self.accumulates else 0
        arena["average"] = take(offset) if self.averages else 0
        for k, (unit, (_, n)) in enumerate(zip(self.units, places, strict=True)):
            whole = k == len(self.units) - 1  # the loss writes the error of all columns
            width = pad(unit.n_units if whole else n)
            arena["errors"].append(take(rows, width) if unit.reached else 0)
            keeps = unit.keeps_derivative
            arena["kept"].append(take(rows, pad(n)) if keeps else 0)
            # Normalised rows and their divisors, and the error of a sum.
            both = (take(rows, pad(n)), take(rows)) if unit.row_norm is not None else None
            arena["rows"].append(both)
            arena["skipped"].append(
                take(rows, pad(n)) if self._copies_error(unit) else arena["errors"][k]
            )
        return arena

    def _copies_error(self, unit: Unit) -> bool:
        """Whether units below need the error of a sum, which this unit's pass overwrites."""
        needed = any(self.units[source].reached for source in unit.added)
        is_unchanged = unit.row_norm is None and unit.back is not None and unit.back.is_one
        return needed and not is_unchanged

    def size_of(self, k: int, n: int) -> int:
        """Return the size of ``n`` columns of a layer's weights; tables are never divided."""
        unit = self.units[k]
        if unit.layer is not None and not unit.is_dense:
            return unit.layer.parameters()
        return unit.n_inputs * self._stride(k, n)

    def _stride(self, k: int, n: int) -> int:
        """Return the stride of ``n`` columns of a layer's weights."""
        return n if k == 0 and self.sparse is not None else self.memory.padded(n)

    def place_of(self, thread: int, part: slice) -> slice:
        """Return the place in a thread's arrays of a part of the model's parameters."""
        places, at = self.model.parameters.places, self.arenas[thread]["at"]
        (first,) = (slot for slot, place in places.items() if place.start == part.start)
        (last,) = (slot for slot, place in places.items() if place.stop == part.stop)
        return slice(at[first][0], at[last][1])

    # ---- parameters in and out

    def load_parameters(self, flats: list[np.ndarray]) -> None:
        """Copy the parameters, the optimizer's state and the average, if any, from flat arrays."""
        for own, theirs in self._pairs(flats):
            own[...] = theirs
        if self.moments is not None:
            layer: Any = self.model.layers[0]
            self.moments[...] = layer.mean, layer.scale
            for place, numbers in zip(self.split, self._split_moments() or (), strict=False):
                self.memory.view(place, self.units[0].n_inputs)[...] = numbers

    def _split_moments(self) -> tuple[np.ndarray, ...] | None:
        layer: Any = self.model.layers[0]
        return ops.split_moments(layer.mean, layer.scale, self.memory.dtype)

    def gathering(self) -> tuple[str, list[int]]:
        """Return the kernel that gathers a batch's features, and the places of the moments."""
        if self.moments is None:
            return "gather", []
        if self.standardizes_wide:
            return "gather_standardized_wide", [row.ctypes.data for row in self.moments]
        return "gather_standardized", self.split

    @property
    def standardizes_wide(self) -> bool:
        """Whether features are standardised in float64 instead of the network's type."""
        if self.moments is None:
            return False
        wide = has_more_digits(self.data.dtype, self.memory.dtype.itemsize)
        return wide or not self._split_moments()

    def store_parameters(self, flats: list[np.ndarray]) -> None:
        """Copy the parameters, the optimizer's state and the average, if any, to flat arrays."""
        for own, theirs in self._pairs(flats):
            theirs[...] = own

    def _pairs(self, flats: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return pairs of views of the same numbers, in a thread's array and in a flat array."""
        # Cached for the next epochs, because making views takes as long as copying the numbers.
        if not (len(flats) == len(self._flats) and all(map(operator.is_, flats, self._flats))):
            self._flats, self._views = flats, list(self._make_pairs(flats))
        return self._views

    def _make_pairs(self, flats: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for thread, arena in enumerate(self.arenas):
            homes = [arena["arrays"][0], *arena["arrays"][2:]]
            homes += [arena["average"]] if self.averages else []
            for home, flat in zip(homes, flats, strict=True):
                for k, unit in enumerate(self.units):
                    first, n = self.places[thread][k]
                    for layer, name in _slots(unit):
                        theirs = flat[self.model.parameters.places[layer, name]]
                        if name == "weights" and not unit.is_dense:
                            yield self.memory.view(home + arena[name][k], theirs.size), theirs
                            continue
                        theirs = theirs.reshape(-1, unit.n_units)
                        rows, stride = len(theirs), self._stride(k, n)
                        own = self.memory.view(home + arena[name][k], rows, stride)[:, :n]
                        yield own, theirs[:, first : first + n]


def _slots(unit: Unit) -> list[tuple[Any, str]]:
    """Return the parameters of a unit, in the order in which the network has them."""
    layers = [layer for layer in (unit.layer, unit.row_norm) if layer is not None]
    return [(layer, name) for layer in layers for name in layer.parameter_names]


def _runs(unit: Unit) -> np.ndarray:
    """Return the parts of an embedding's output rows, in the form for ``lookups.py``.

    Columns that are not looked up are copied. For other layers, the array is empty.
    """
    runs: list[tuple[int, ...]] = []
    if isinstance(unit.layer, (Embedding, CategoricalEmbeddings)):
        read = place = 0
        for each in lookups_of(unit.layer):
            if (n := each.column - read) > 0:
                runs.append((read, place, n, 0, 0))
            runs.append((each.column, each.place, each.n_units, each.n_categories, each.first))
            read, place = each.column + 1, each.place + each.n_units
        if (n := unit.n_inputs - read) > 0:
            runs.append((read, place, n, 0, 0))
    return np.array(runs, np.int64).reshape(-1, 5)


def _without_booleans(X: np.ndarray) -> np.ndarray:
    return X.view(np.uint8) if X.dtype == bool else X
