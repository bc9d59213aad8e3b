"""Callbacks that warn of dead units, and that call the user's functions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..backends._warnings import warn
from ..common.checks import check_count, check_fraction
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback

if TYPE_CHECKING:
    from ..inspection import LayerReport


class Watch(Callback):
    """Warn of dead units, once per layer, and of a loss that does not change.

    Parameters
    ----------
    data : Dataset, (X, y) or (X, y, sample_weight)
        Samples on which the layers are inspected after each epoch.
    max_dead_fraction : float, default 0.3
        The largest fraction of a layer's ReLU units that may output 0 for all of these samples.
    patience : int, default 5
        The number of epochs within which the loss must change by at least 0.1 %.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation, Watch
    >>> X, y = np.random.default_rng(0).random((50, 2)), np.zeros(50)
    >>> net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(8, (2,))).add(ReLUActivation())
    >>> net = net.add(DenseLayer(1))
    >>> net.layers[0].biases[:] = -10.0  # so that all units are dead
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     net = net.fit((X, y), callbacks=Watch((X, y)))
    >>> str(caught[0].message).partition(" output")[0]
    '8 of 8 units of layer 2 (ReLUActivation)'
    """

    state_names = ("_said", "_losses")

    def __init__(self, data: Any, max_dead_fraction: float = 0.3, patience: int = 5) -> None:
        self.data = data
        self.max_dead_fraction = check_fraction("max_dead_fraction", max_dead_fraction)
        self.patience = check_count("patience", patience)
        self._said: set[str] = set()
        self._losses: list[float] = []

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Reset the state."""
        self._said, self._losses = set(), []

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Check the loss and the layers."""
        epoch = int(row["epoch"])
        self._losses = [*self._losses, row["loss"]][-self.patience - 1 :]
        span = max(self._losses) - min(self._losses)
        if len(self._losses) > self.patience and span < 1e-3 * abs(self._losses[-1]):
            self._say(
                "loss",
                f"the loss has not changed for {self.patience} epochs ({row['loss']:.4g} in epoch "
                f"{epoch}): try another learning rate (xpnet.search.find_learning_rate), "
                "standardised features, or another initializer",
            )
        for number, layer in _numbered(network.inspect(self.data).layers):
            if "ReLU" in layer.layer and layer.dead > self.max_dead_fraction * layer.units:
                self._say(
                    f"layer {number}",
                    f"{layer.dead} of {layer.units} units of layer {number} ({layer.layer}) output "
                    f"0 for all samples in epoch {epoch}, so they cannot learn: lower the "
                    "learning rate, or use LeakyReLUActivation or initializer='he_normal'",
                )

    def _say(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warn(text, RuntimeWarning)


def _numbered(
    reports: "Iterable[LayerReport]", before: str = ""
) -> "Iterator[tuple[str, LayerReport]]":
    """Yield the report of each layer with its number; the first inside layer 2 has "2.1"."""
    for k, each in enumerate(reports, 1):
        yield f"{before}{k}", each
        yield from _numbered(each.inner, f"{before}{k}.")


class LambdaCallback(Callback):
    """A callback that calls functions, each with the arguments of the hook that it replaces.

    Parameters
    ----------
    on_train_begin, on_epoch_begin, on_batch_end, on_epoch_end, on_train_end : callable, optional
        Each replaces the method of :class:`Callback` with the same name. With ``on_batch_end``,
        ``fit`` takes steps by formulas.

    Raises
    ------
    TypeError
        An argument is not a function.

    Examples
    --------
    >>> from xpnet import DenseLayer, LambdaCallback, NeuralNetwork
    >>> net = NeuralNetwork(epochs=3, seed=0).add(DenseLayer(1, input_shape=(1,)))
    >>> show = LambdaCallback(on_epoch_end=lambda network, row: print("epoch", row["epoch"]))
    >>> net = net.fit(([[0.0], [1.0]], [0.0, 1.0]), callbacks=show)
    epoch 1
    epoch 2
    epoch 3
    """

    def __init__(
        self,
        on_train_begin: Callable[..., Any] | None = None,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
            "on_batch_end": on_batch_end,
        }
        for name, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name}={function!r}: expected a function")
            setattr(self, name, function)
