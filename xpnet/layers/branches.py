"""Parallel branches of layers, each for some of the columns."""

from collections.abc import Sequence
from typing import Any

from ..backends import Array, array_namespace
from ..backends._errors import shown
from ..common.checks import check_integer
from ..common.overrides import register_builtin
from ..common.readable import Readable
from .base import Layer
from .checks import check_batch
from .composite import Composite, check_new_layers, connect_in_sequence, without_shapes

Columns = slice | tuple[int, ...]


class Branches(Composite):
    """Parallel branches of layers, each for some of the columns; their outputs are joined.

    A branch is a group of columns of the input, and the layers that process them. A branch without
    layers passes its columns on unchanged. Columns may be in several branches, or in none. So a
    network may have different layers for different groups of features, or let some features bypass
    the layers of the others (Cheng et al. 2016, "Wide & deep learning for recommender systems").

    The derivative with respect to a column is the sum over its branches.

    Parameters
    ----------
    *branches : tuple (columns, layers)
        ``columns`` is a slice, or a list of positions counted from 0; the branch takes them in this
        order. ``layers`` is a list of new layers, which may be empty, or one layer.
    input_shape : tuple of int, optional
        ``(n_features,)``; only needed for the first layer of a network.

    Attributes
    ----------
    branches : tuple of (slice or tuple of int, tuple of Layer)
    layers : tuple of Layer
        The layers of all branches.

    Raises
    ------
    TypeError
        A branch is not a pair of columns and layers.
    ValueError
        No branch is given, or a layer is given twice or is already in a network. Or, once the input
        shape is known, a column is not among the features, a branch has no columns, or its outputs
        are not rows.

    Examples
    --------
    >>> from xpnet import Branches, DenseLayer, Embedding, NeuralNetwork, ReLUActivation
    >>> numbers = (slice(0, 3), [DenseLayer(8), ReLUActivation()])
    >>> words = ([3, 4], [Embedding(100, 2), DenseLayer(4)])
    >>> net = NeuralNetwork(seed=0).add(Branches(numbers, words, input_shape=(5,)))
    >>> net.add(DenseLayer(1)).layers[0].output_shape()
    (12,)
    """

    output_kind = "real"

    def __init__(self, *branches: Any, input_shape: tuple[int, ...] | None = None) -> None:
        pairs = [_pair(each) for each in branches]
        if not pairs:
            raise ValueError(
                "Branches got no branches: give pairs (columns, layers), one for each branch"
            )
        flat = [layer for _, layers in pairs for layer in layers]
        self.layers = check_new_layers("Branches", flat, least=0)
        self.branches: tuple[tuple[Columns, tuple[Layer, ...]], ...] = tuple(pairs)
        if input_shape is not None:
            self.set_input_shape(input_shape)

    def connect(self) -> None:
        """Set the input shapes of the layers in each branch."""
        shape = self.input_shape()
        if len(shape) != 1:
            raise ValueError(f"Branches got input_shape={shape}: expected (n_features,)")
        for k, (columns, layers) in enumerate(self.branches):
            chosen = _positions(columns, shape[0], k)
            made = connect_in_sequence(self, layers, (len(chosen),))
            if len(made) != 1:
                raise ValueError(
                    f"branch {k} of Branches has outputs of shape {made}: expected rows, so end "
                    "it with Flatten()"
                )

    def positions(self, branch: int) -> Sequence[int]:
        """Return the positions of a branch's columns in the input."""
        return _positions(self.branches[branch][0], self.input_shape()[0], branch)

    def _widths(self) -> list[int]:
        """Return the number of outputs of each branch."""
        return [
            int(layers[-1].output_shape()[0]) if layers else len(self.positions(k))
            for k, (_, layers) in enumerate(self.branches)
        ]

    def _runs(self, k: int) -> list[tuple[int, int]]:
        """Return the columns of a branch as ranges of adjacent columns."""
        runs: list[tuple[int, int]] = []
        for column in self.positions(k):
            if runs and runs[-1][1] == column:
                runs[-1] = runs[-1][0], column + 1
            else:
                runs.append((column, column + 1))
        return runs

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the outputs of all branches, joined in one row for each sample."""
        check_batch(self, input)
        xp, outputs = array_namespace(input), []
        for k, (_, layers) in enumerate(self.branches):
            parts = [input[:, start:stop] for start, stop in self._runs(k)]
            columns = parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
            outputs.append(self.forward_through(layers, columns, training))
        return xp.concat(outputs, axis=1)

    def backward_propagation(self, output_error: Array) -> Array:
        """Propagate the derivative back through each branch; return the sum for each column."""
        errors, start = [], 0
        for (_, layers), width in zip(self.branches, self._widths(), strict=True):
            error = output_error[:, start : start + width]
            errors.append(self.backward_through(layers, error))
            start += width
        if not self.needs_input_error:
            return None
        return self._joined(errors, output_error)

    def _joined(self, errors: Sequence[Array], like: Array) -> Array:
        """Return the sums of the branches' derivatives for each column of the input."""
        xp, n = array_namespace(like), self.input_shape()[0]
        places: list[list[tuple[int, int]]] = [[] for _ in range(n)]
        for k in range(len(self.branches)):
            for place, column in enumerate(self.positions(k)):
                places[column].append((k, place))
        parts, column = [], 0
        while column < n:
            stop = column + 1  # the end of a run of columns that are adjacent in all branches
            while stop < n and places[stop] == [
                (k, place + stop - column) for k, place in places[column]
            ]:
                stop += 1
            pieces = [errors[k][:, at : at + stop - column] for k, at in places[column]]
            zeros = self.backend.zeros((like.shape[0], stop - column))
            parts.append(sum(pieces[1:], start=pieces[0]) if pieces else zeros)
            column = stop
        return xp.concat(parts, axis=1)

    def output_shape(self) -> tuple[int, ...]:
        """Return ``(n,)`` with the sum of the widths of all branches."""
        return (sum(self._widths()),)

    def values_per_sample(self) -> int:
        """Return the inner layers' count, plus the columns, the outputs and the derivatives."""
        n = self.input_shape()[0]
        columns = sum(len(self.positions(k)) for k in range(len(self.branches)))
        own = columns + self.output_shape()[0] + (n if self.needs_input_error else 0)
        return super().values_per_sample() + own

    def _argument(self, name: str) -> Any:
        if name != "branches":
            return super()._argument(name)
        connected, pairs = self._input_shape is not None, []
        for columns, layers in self.branches:
            shown_columns = columns if isinstance(columns, slice) else _InFull(columns)
            made = [without_shapes(each) if connected else each for each in layers]
            pairs.append((shown_columns, made))
        return pairs


class _InFull(Readable, tuple[int, ...]):
    """Positions of columns, whose ``repr`` is never abbreviated."""

    __slots__ = ()
    __repr__ = tuple.__repr__


def _pair(given: Any) -> tuple[Columns, tuple[Layer, ...]]:
    """Return a branch as its columns and its layers."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError(
            f"Branches got {shown(given)}: expected a pair (columns, layers) for each branch, e.g. "
            "(slice(0, 3), [DenseLayer(8)])"
        )
    columns, layers = given
    layers = (layers,) if isinstance(layers, Layer) else layers
    if not isinstance(layers, (list, tuple)):
        raise TypeError(f"a branch got the layers {shown(layers)}: expected a list of layers")
    if isinstance(columns, slice):
        return columns, tuple(layers)
    if isinstance(columns, (str, bytes)) or not hasattr(columns, "__iter__"):
        raise TypeError(f"a branch got the columns {shown(columns)}: expected a slice or a list")
    return tuple(check_integer("a column of a branch", each) for each in columns), tuple(layers)


def _positions(columns: Columns, n_features: int, branch: int) -> Sequence[int]:
    """Return the positions of a branch's columns, after checking them."""
    what = f"branch {branch} of Branches"
    if isinstance(columns, slice):
        beyond = max(abs(each or 0) for each in (columns.start, columns.stop)) > n_features
        chosen: Sequence[int] = range(*columns.indices(n_features))
    else:
        beyond = any(not 0 <= each < n_features for each in columns)
        chosen = columns
    if beyond or not chosen:
        raise ValueError(
            f"{what} has the columns {columns}, but the input has {n_features}: expected one or "
            "more of these, counted from 0"
        )
    return chosen


register_builtin(Branches)
