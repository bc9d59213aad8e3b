"""A table of a network's layers."""

import math
from collections.abc import Iterable, Iterator, Sequence

from ..layers import Layer
from ..layers.composite import all_layers


def summary(layers: Sequence[Layer], dtype: str) -> str:
    """Return a table of layers, their output shapes and their numbers of parameters.

    If there are frozen layers, their parameters are counted separately. The layers inside a
    composite follow it, each after a hyphen; the composite's number includes theirs.
    """
    from tabulate import tabulate

    rows = layer_rows(layers)
    frozen = sum(map(_frozen, layers))
    if not frozen:
        rows = [row[:3] for row in rows]  # type: ignore[misc]
    headers = ["layer", "output shape", "parameters", ""][: 4 if frozen else 3]
    table = tabulate(rows, headers=headers, intfmt=",")
    n = sum(layer.parameters() for layer in layers)
    kinds = f" ({n - frozen:,} trainable, {frozen:,} frozen)" if frozen else ""
    return f"{table}\n{n:,} parameters{kinds}, {dtype}"


def layer_rows(layers: Iterable[Layer]) -> list[tuple[str, tuple[int, ...], int, str]]:
    """Return name, output shape, number of parameters of each layer, and whether it is frozen."""
    rows = []
    for depth, layer in _with_depths(layers):
        n, n_frozen = layer.parameters(), _frozen(layer)
        note = "" if not n_frozen else "frozen" if n_frozen == n else "partly frozen"
        rows.append(("- " * depth + layer.layer_name(), layer.output_shape(), n, note))
    return rows


def _with_depths(layers: Iterable[Layer], depth: int = 0) -> Iterator[tuple[int, Layer]]:
    """Yield each layer with its depth, followed by the layers inside it."""
    for layer in layers:
        yield depth, layer
        yield from _with_depths(layer.inner_layers, depth + 1)


def _frozen(layer: Layer) -> int:
    """Return the number of frozen values in a layer and the layers inside it."""
    if not layer.inner_layers:
        return 0 if layer.trainable else layer.parameters()
    frozen = (each for each in all_layers([layer]) if not each.trainable)
    return sum(math.prod(getattr(x, name).shape) for x in frozen for name in x.parameter_names)
