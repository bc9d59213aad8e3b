"""Trace which columns of the data reach the layers that take category codes.

An Embedding or CategoricalEmbeddings may be anywhere in a network. If columns of the data reach it
unchanged, the data are checked in advance. Codes that other layers compute are checked when the
network predicts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends import Array, to_host
from ..common.overrides import has_methods_of
from ..data import Dataset
from ..data.categories import refuse_categories, refuse_numbers
from ..data.codes import Codes, are_codes, check_codes, check_names
from ..layers import (
    Branches,
    CategoricalEmbeddings,
    Composite,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    Normalization,
    Residual,
)
from ..layers.composite import all_layers
from ..layers.rewiring import rewired

Lookup = Embedding | CategoricalEmbeddings


class _Column(NamedTuple):
    """A column of the data on its way through a network, and the layer that has changed it."""

    position: int
    changed_by: Layer | None = None


class _Use(NamedTuple):
    """One input of a layer.

    Attributes
    ----------
    layer : Layer
    column : _Column or None
        The column of the data that it comes from; None if another layer computes it.
    codes : Codes or None
        The codes that the layer accepts there; None if it accepts any number.
    """

    layer: Layer
    column: _Column | None
    codes: Codes | None


_Row = list[_Column | None]
_PASSES = ("forward_propagation", "forward_through", "connect")


def check_categories(
    dataset: Dataset, layers: Sequence[Layer], known: Mapping[str, Any] | None = None
) -> None:
    """Refuse features with categories, except where the network takes them as codes.

    Codes reach their layer through composites, Branches, Flatten, and a Normalization that leaves
    them alone. All columns that such a layer takes are checked.

    Parameters
    ----------
    dataset : Dataset
    layers : sequence of Layer
    known : dict of str to list, optional
        The features of the training data that have categories; None before training.

    Raises
    ------
    TypeError
        No layer takes categories, or a layer takes the codes of a feature as numbers.
    ValueError
        A number is not a code, a layer changes codes, or the codes are those of other or unknown
        categories. Or a feature is a column of numbers, though a layer was made for its categories.
    """
    uses = _uses_in(layers)
    if not _columns_in(uses):
        refuse_categories(dataset.categories)
        return
    if dataset.n_features != math.prod(layers[0].input_shape()):
        return  # refused by check_features
    for use in uses:
        if use.codes and use.column and use.column.changed_by:
            raise _changes(use.column.changed_by, use.column.position, use.layer)
    features = dataset.feature_names or []
    for name, found in dataset.categories.items():
        for use in uses:
            if use.column is None or use.column.position != features.index(name):
                continue
            if use.codes is None:
                raise _takes_numbers(use.layer, name)
            if known is not None and name not in known and use.codes.names is None:
                raise _has_no_names(use.layer, name)
            check_names(use.codes, name, found)
    for use in uses if features and len(dataset) else ():
        if use.column is None or use.codes is None or use.codes.names is None:
            continue
        if (name := features[use.column.position]) not in dataset.categories:
            refuse_numbers(name, use.codes.names, f"{use.codes.layer} was made for")
    check_codes(_without_unknown(uses), dataset)


def columns_of_codes(layers: Sequence[Layer]) -> dict[int, Codes]:
    """Return the columns of the data whose numbers must be codes, by position.

    Columns in which a layer takes any number (``unknown=True``) are left out.
    """
    return _without_unknown(_uses_in(layers))


def takes_codes(layers: Sequence[Layer]) -> bool:
    """Whether a network takes codes of categories in some columns of the data."""
    return bool(_columns_in(_uses_in(layers)))


def _without_unknown(uses: Sequence[_Use]) -> dict[int, Codes]:
    """Return the columns in which only codes are accepted."""
    found = _columns_in(uses)
    return {column: codes for column, codes in found.items() if not codes.takes_unknown}


def _columns_in(uses: Sequence[_Use]) -> dict[int, Codes]:
    """Return the columns used as codes; if several layers use one, with the fewest codes."""
    found: dict[int, Codes] = {}
    for use in uses:
        if use.codes is None or use.column is None:
            continue
        other = found.get(use.column.position, use.codes)
        found[use.column.position] = min(other, use.codes, key=lambda x: (x.takes_unknown, x.n))
    return found


def _uses_in(layers: Sequence[Layer]) -> list[_Use]:
    """Return the inputs of layers that are columns or codes; [] if no layer takes codes."""
    if not layers or not any(isinstance(each, Lookup) for each in all_layers(layers)):
        return []
    uses: list[_Use] = []
    row: _Row = [_Column(k) for k in range(math.prod(layers[0].input_shape()))]
    for left in _follow(layers, row, uses):  # an output of the network
        if left is not None:
            uses.append(_Use(layers[-1], left, None))
    return uses


def _follow(layers: Sequence[Layer], row: _Row, uses: list[_Use]) -> _Row:
    """Return the columns after some layers; add the inputs of these layers to ``uses``."""
    for layer in layers:
        row = _after(layer, row, uses)
    return row


def _after(layer: Layer, row: _Row, uses: list[_Use]) -> _Row:
    """Return the columns after a layer; add its inputs to ``uses``."""
    if isinstance(layer, Lookup):
        return _after_lookup(layer, row, uses)
    if isinstance(layer, Flatten):
        return row
    if isinstance(layer, Normalization):
        return _changed(row, layer, _codes_stay(layer))
    if isinstance(layer, (Dropout, GaussianNoise)):
        return _changed(row, layer, [not layer.is_random] * len(row))
    if isinstance(layer, Branches) and has_methods_of(Branches, layer, *_PASSES):
        parts = [
            _follow(inner, [row[place] for place in layer.positions(k)], uses)
            for k, (_, inner) in enumerate(layer.branches)
        ]
        return [column for part in parts for column in part]
    is_residual = isinstance(layer, Residual) and has_methods_of(Residual, layer, *_PASSES)
    if is_residual or passes_like_composite(layer):
        row_after = _follow(layer.layers, row, uses)  # type: ignore[attr-defined]
        if not is_residual:
            return row_after
        row = [*row, *row_after]  # both are added
    uses += [_Use(layer, column, None) for column in row if column is not None]
    return [None] * math.prod(layer.output_shape())


def passes_like_composite(layer: Layer) -> bool:
    """Whether a layer is a composite that calls its inner layers one after another."""
    return isinstance(layer, Composite) and has_methods_of(Composite, layer, *_PASSES)


def _after_lookup(layer: Lookup, row: _Row, uses: list[_Use]) -> _Row:
    codes, after = layer.codes(), _Row()
    for place, column in enumerate(row):
        if place not in codes:
            after.append(column)
            continue
        uses.append(_Use(layer, column, codes[place]))
        if isinstance(layer, CategoricalEmbeddings):
            after += [None] * layer.columns[place][1]
        else:
            after += [None] * layer.n_units
    return after


def _changed(row: _Row, layer: Layer, stays: Sequence[bool]) -> _Row:
    """Return a row after a layer that changes all columns except those in ``stays``."""
    return [
        column if column is None or same else _Column(column.position, column.changed_by or layer)
        for column, same in zip(row, stays, strict=True)
    ]


def _codes_stay(layer: Normalization) -> list[bool]:
    """Return for each column whether a Normalization leaves it as it is."""
    shape = layer.input_shape()
    mean, scale = (np.broadcast_to(to_host(x), shape).ravel() for x in (layer.mean, layer.scale))
    stays: list[bool] = ((mean == 0) & (scale == 1)).tolist()
    return stays


def _changes(layer: Layer, column: int, lookup: Layer) -> ValueError:
    advice = f"put it after {lookup.layer_name()}"
    if isinstance(layer, Normalization):
        advice = (
            "give it the mean 0 and the scale 1 there, or make it with "
            "Normalization.adapt(dataset) from a data set that has the column among its categories"
        )
    return ValueError(
        f"{layer.layer_name()} changes column {column}, which holds codes for "
        f"{lookup.layer_name()}: {advice}"
    )


def _takes_numbers(layer: Layer, feature: str) -> TypeError:
    return TypeError(
        f"the feature {feature!r} has categories, and {layer.layer_name()} takes it as numbers: "
        "give its column to an Embedding or CategoricalEmbeddings, such as "
        "CategoricalEmbeddings.adapt(dataset), and to no other layer"
    )


def _has_no_names(layer: Layer, feature: str) -> ValueError:
    return ValueError(
        f"the feature {feature!r} has categories here, but in training it had numbers, codes for "
        f"{layer.layer_name()} whose names are unknown: give the same codes as numbers, or train "
        "from scratch on data with these categories, with fit(restart=True)"
    )


# ---- codes that layers compute


def makes_codes(layers: Sequence[Layer]) -> bool:
    """Whether a layer takes codes that other layers compute, which no check of the data covers."""
    lookups = {id(x) for x in all_layers(layers) if isinstance(x, Lookup) and not x.unknown}
    if isinstance(layers[0], Normalization):
        layers = layers[1:]
    if layers and isinstance(layers[0], Lookup):  # the usual case, without tracing
        lookups.discard(id(layers[0]))
    for use in _uses_in(layers) if lookups else []:
        if use.codes is not None and use.column is None:
            return True
        lookups.discard(id(use.layer))
    return bool(lookups)


def check_made_codes(layers: Sequence[Layer], X: Any, first: int) -> None:
    """Refuse samples for which layers compute invalid codes for a later layer.

    Parameters
    ----------
    layers : sequence of Layer
    X : array of shape (n, n_features)
        A batch as the first layer takes it.
    first : int
        The number of its first sample in the data.

    Raises
    ------
    ValueError
        The message has the row of the sample, the layer and the number.
    """

    def checked(layer: Layer, x: Any) -> Any:
        if isinstance(layer, Lookup) and not layer.unknown:
            _check_inputs(layer, x, first)
        elif any(isinstance(each, Lookup) for each in all_layers(layer.inner_layers)):
            layer = rewired(layer, checked)
        return layer.forward_propagation(x, training=False)

    for layer in layers:
        X = checked(layer, X)


def _check_inputs(layer: Lookup, x: Array, first: int) -> None:
    for place, codes in layer.codes().items():
        values = to_host(x[:, place])
        right = are_codes(values, codes.n)
        if not right.all():
            row = int(np.argmin(right))
            raise ValueError(
                f"for row {first + row} of X, input {place} of {codes.layer} is {values[row]}, "
                "which is not a code: the layers before it must compute whole numbers from 0 to "
                f"{codes.n - 1}, or the layer needs unknown=True"
            )
