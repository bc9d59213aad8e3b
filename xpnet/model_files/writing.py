"""Writes a network to a file: its parts are described, made again, and compared."""

import json
import os
from collections.abc import Callable
from inspect import signature
from typing import Any

from ..common.overrides import is_builtin
from ..common.version import VERSION
from ..layers import Layer
from ..layers.composite import all_layers
from ..optimizers import Optimizer
from ..training.history import History
from ..training.trainable import TrainableModel
from .comparing import Comparison, attributes, passes_are_equal
from .container import FORMAT, check_model_path, write
from .describing import Tensors, build, describe, encode
from .forms import ModelFileError
from .kinds import KINDS
from .parts import (
    check_attribute,
    check_numbers,
    expected_value,
    generator_state,
    is_tensor,
    misfit,
    missing_state,
    names_of_state,
    set_generator,
    takes_any_float,
)
from .schema import FILE
from .strict_json import parse

_PLACE = ("device", "backend", "dtype")
"""Arguments of a network for its device and dtype; :func:`load` sets them itself."""

_PARTS = ("optimizer", "learning_rate", "momentum", "loss", "metric", "regularizer")
"""Arguments of a network that have separate entries in the file."""

_NOT_SETTINGS = frozenset([
    "_follows_data", "_new_optimizer", "average", "history", "last_plan", "layers", "orders",
    "parameters", "randomness", "stop_training", *_PLACE, *_PARTS,
])  # fmt: skip
"""Attributes of a network that are not settings, or have separate entries in the file."""

_NOTHING = object()


def save(network: TrainableModel, path: str | os.PathLike[str], kind: type) -> None:
    """Write a network to a file; see :meth:`xpnet.NeuralNetwork.save`.

    Parameters
    ----------
    network : TrainableModel
    path : str or path-like
    kind : type
        The class that :func:`xpnet.load` makes, unless the network is of a user's subclass.

    Examples
    --------
    >>> import tempfile
    >>> import xpnet
    >>> net = xpnet.NeuralNetwork(seed=0).add(xpnet.DenseLayer(1, input_shape=(2,)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")  # which calls this function
    ...     again = xpnet.load(f"{folder}/net.safetensors")
    >>> bool((again.layers[0].weights == net.layers[0].weights).all())
    True
    """
    checked = check_model_path(path)
    if not network.layers:
        raise ValueError("the network has no layers to save: add(DenseLayer(10, input_shape=(4,)))")
    writer = Writer(network, kind)
    content = writer.content()
    check_content(content)
    write(checked, content, writer.tensors.arrays)


def check_content(content: dict[str, Any]) -> None:
    """Refuse content that could not be read again, e.g. lists that are nested too deeply.

    Raises
    ------
    TypeError
        The message names the place in the content.
    """
    try:
        FILE(parse(json.dumps(content), "the network"), "the network")
    except (ModelFileError, RecursionError) as error:
        raise TypeError(f"the network cannot be saved: {error}") from error


class Writer:
    """Collects the content of a file, and checks that all of it can be restored.

    Parameters
    ----------
    network : TrainableModel
    kind : type
        The class that :func:`xpnet.load` makes, unless the network is of a user's subclass.
    keeps_seconds : bool, default False
        Whether to write the seconds of each epoch, which differ between equal training runs.
    """

    def __init__(self, network: TrainableModel, kind: type, keeps_seconds: bool = False) -> None:
        self._network, self._kind = network, kind
        self._left_out = () if keeps_seconds else ("seconds",)
        self._comparison, self.tensors = Comparison(), Tensors(network.backend)

    def content(self) -> dict[str, Any]:
        """Return everything except the tensors, in JSON form."""
        net = self._network
        history = {k: column for k, column in net.history.items() if k not in self._left_out}
        return {
            "format": FORMAT,
            "xpnet": VERSION,
            "dtype": net.backend.dtype,
            "network": self._settings(),
            "entropy": net.randomness.entropy,
            "history": self._encode(history, "history", "the history"),
            "history_metrics": [list(each) for each in net.history.metrics.items()],
            **_notes(net.history),
            "loss": self.part(net.loss, "loss"),
            "regularizer": self.part(net.regularizer, "regularizer"),
            "metric": _metrics(self, net.metric),
            "layers": [self._layer(layer, index) for index, layer in enumerate(net.layers)],
            "optimizer": self.part(net.optimizer, "optimizer"),
            "new_optimizer": self.part(net._new_optimizer, "new_optimizer"),
        }

    def _settings(self) -> dict[str, Any]:
        """Return the network's class, its arguments, and its other attributes."""
        net, cls = self._network, type(self._network)
        if is_builtin(cls):
            cls = self._kind  # an estimator's network differs only in the order of samples
        arguments = {
            name: self._encode(getattr(net, name), f"network.{name}", f"the network's {name!r}")
            for name in signature(self._kind).parameters
            if name not in _NOT_SETTINGS
        }
        more = {}
        self.tensors.layers = list(all_layers(net.layers))
        for name, value in vars(net).items():
            if name in arguments or name in _NOT_SETTINGS:
                continue
            # A NeuralNetwork does not need attributes that a user has set: skip complex ones.
            if cls is self._kind and not hasattr(cls, name) and not _is_plain(value):
                continue
            if holds(value, lambda each: _would_lose_its_state(net, each)):
                raise TypeError(
                    f"{type(net).__name__} cannot be saved: its attribute {name!r} holds a trained "
                    "layer or another part with state, which is not among the network's layers. "
                    "Add it to the network, or set the attribute to None before you save"
                )
            more[name] = self._encode(
                value, f"network.{name}", f"{type(net).__name__}'s attribute {name!r}"
            )
        self.tensors.layers = []
        names = {"class": cls.__qualname__, "module": cls.__module__}
        return {**names, "arguments": arguments, "attributes": more}

    def _encode(self, value: Any, name: str, what: str) -> Any:
        return encode(value, name, what, self.tensors)

    def _layer(self, layer: Layer, index: int) -> dict[str, Any]:
        net, shape = self._network, layer.input_shape()

        def start(again: Layer) -> None:
            again.backend, again.rng = net.backend, net.randomness.of_layer(index)
            again.set_input_shape(shape)
            with net.backend.active():
                again.initialize()
            for each, twin in zip(all_layers([layer]), all_layers([again]), strict=True):
                set_generator(twin, generator_state(each))

        content = self.part(layer, f"layers.{index}", start)
        rng = self._generator(layer, f"layers.{index}")
        return {**content, "input_shape": list(shape), "rng": rng}

    def _generator(self, layer: Layer, name: str) -> Any:
        """Return the state of a layer's random generator, encoded."""
        return self._encode(generator_state(layer), f"{name}.rng", "a layer's random generator")

    def part(self, part: Any, name: str, start: Callable[[Any], None] | None = None) -> Any:
        """Return a part's description, state and attributes, checked by making the part again.

        Parameters
        ----------
        part : object
            None and, for the metric, a function are encoded as values.
        name : str
            The prefix of its tensors' names.
        start : function of a part, optional
            Prepares the new part for the comparison.
        """
        if not isinstance(part, KINDS):
            return encode(part, name, name, self.tensors, function_allowed=True)
        description = describe(part, name, self.tensors)
        try:
            copied = json.loads(json.dumps(description))
            again = build(copied, self.tensors, type(part))
            if start is not None:
                start(again)
        except Exception as error:
            raise _refusal(
                part,
                "it cannot be made again from the arguments that it keeps "
                f"({', '.join(description['arguments'])}): {type(error).__name__}: {error}",
            ) from error
        schedule = getattr(again, "schedule", None)  # setting the learning rate would replace it
        content = {**description, **self._state_of(part, again, name)}
        if isinstance(part, Optimizer):
            content["schedule"] = self._state_of(part.schedule, schedule, f"{name}.schedule")
        return content

    def _state_of(self, part: Any, again: Any, name: str) -> dict[str, Any]:
        """Return a part's state, without tensors, and other attributes that differ from a new one.

        The entry "inner" has the same for a layer's inner layers.
        """
        _check_alike(part, again)
        state = {}
        for each in names_of_state(part):
            value = getattr(part, each)
            expected = expected_value(again, each, value, self._network)
            reason = misfit(value, expected, each, takes_any_float(part))
            if reason is not None:
                raise _refusal(part, f"{reason}, as in a new one made from its arguments")
            if is_tensor(value):
                self.tensors.put(f"{name}.{each}", value)
            else:
                if each in (missing := missing_state(part)) and value == missing[each]:
                    continue
                what = f"{type(part).__name__}'s {each!r}"
                state[each] = self._encode(value, f"{name}.{each}", what)
            setattr(again, each, value)  # shared, not copied
        try:
            check_numbers(part)
        except ValueError as error:
            raise _refusal(part, str(error)) from error
        inner = []
        for k, pair in enumerate(zip(_inner(part), _inner(again), strict=True)):
            each = f"{name}.{k}"
            inner.append(self._state_of(*pair, each) | {"rng": self._generator(pair[0], each)})
            self._comparison.accept(*pair)
        kept = {"state": state, "attributes": self._other_attributes(part, again, name)}
        return kept | ({"inner": inner} if inner else {})

    def _other_attributes(self, part: Any, again: Any, name: str) -> dict[str, Any]:
        """Return a part's attributes that differ from those of a new one, encoded."""
        mine, new = attributes(part), attributes(again)
        # State and schedule have separate entries in the file.
        names = {**mine, **new}.keys() - {*names_of_state(part)}
        if isinstance(part, Optimizer):
            names -= {"schedule"}
        different = {}
        for key in names:
            # One of the two may have it only as an attribute of its class.
            first, second = (
                held[key] if key in held else getattr(of, key, _NOTHING)
                for held, of in ((mine, part), (new, again))
            )
            if (path := self._comparison.difference(first, second, key)) is not None:
                different[key] = path
        left = {
            key for key in different if new.get(key) is None and holds(mine.get(key), is_tensor)
        }
        encoded = {}
        for key in sorted(different.keys() - left):
            encoded[key] = self._attribute(part, again, name, key, different[key])
        if left and not (isinstance(part, Layer) and passes_are_equal(part, again)):
            for key in sorted(left):
                encoded[key] = self._attribute(part, again, name, key, different[key])
        return encoded

    def _attribute(self, part: Any, again: Any, name: str, key: str, path: str) -> Any:
        """Return an attribute encoded, and set it on the new part."""
        try:
            value = attributes(part)[key]
            if holds(value, lambda each: isinstance(each, KINDS)):
                raise TypeError("a part of a network")
            check_attribute(again, key, value)
            encoded = self._encode(value, f"{name}.attributes.{key}", key)
            setattr(again, key, value)
        except Exception as error:
            raise _refusal(
                part,
                f"its {path!r} differs from what its constructor sets, and a file cannot hold it. "
                "Make it from arguments that are kept as attributes of the same names; if it is a "
                "layer, list its arrays in the outer parameter_names or state_names; or, if "
                "nothing needs it, leave it out of what __getstate__ returns",
            ) from error
        return encoded


def _metrics(writer: Writer, metric: Any) -> Any:
    """Return the description of a metric, or a list of descriptions for a tuple; None for None."""
    if isinstance(metric, tuple):
        return [writer.part(each, f"metric.{k}") for k, each in enumerate(metric)]
    return writer.part(metric, "metric")


def _would_lose_its_state(network: TrainableModel, value: Any) -> bool:
    """Whether a value is a part whose state would not be in the network's file."""
    layers = all_layers(network.layers)
    if not isinstance(value, KINDS) or any(value is layer for layer in layers):
        return False
    names = names_of_state(value)
    tensors, comparison = Tensors(network.backend), Comparison()
    description = json.loads(json.dumps(describe(value, "", tensors)))
    try:
        again = build(description, tensors, type(value))
    except ModelFileError:
        return True
    then, now = ({each: getattr(part, each, None) for each in names} for part in (again, value))
    return comparison.difference(then, now, "") is not None


def _check_alike(part: Any, again: Any) -> None:
    """Refuse a part if a new one has other parameters, states or inner layers."""
    if len(_inner(part)) != len(_inner(again)):
        raise _refusal(
            part,
            f"it has {len(_inner(part))} inner layers, but a new one made from its arguments has "
            f"{len(_inner(again))}",
        )
    if type(part) is not type(again) or names_of_state(part) != names_of_state(again):
        raise _refusal(
            part,
            f"it has the parameters and states {list(names_of_state(part))}, but a new one made "
            f"from its arguments has {list(names_of_state(again))}",
        )


def _inner(part: Any) -> tuple[Layer, ...]:
    """Return the inner layers of a layer; other parts have none."""
    return part.inner_layers if isinstance(part, Layer) else ()


def _notes(history: History) -> dict[str, Any]:
    """Return a history's attributes that are not columns."""
    return {
        "history_incomplete": list(history.incomplete),
        "history_kept_epoch": history.kept_epoch,
        "history_saved_epoch": history.saved_epoch,
    }


def _refusal(part: Any, why: str) -> TypeError:
    return TypeError(f"{type(part).__name__} cannot be saved: {why}")


def holds(value: Any, test: Any) -> bool:
    """Whether ``test`` is true of a value, or of anything inside it."""
    if isinstance(value, dict):
        return any(holds(each, test) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(holds(each, test) for each in value)
    return bool(test(value))


def _is_plain(value: Any) -> bool:
    """Whether a value is made of numbers and text alone."""
    plain = (type(None), bool, int, float, str)
    return not holds(value, lambda each: not isinstance(each, plain))
