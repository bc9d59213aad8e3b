"""Networks as files: safetensors, without pickle.

The tensors are parameters, running statistics and the optimizer's state. The file's metadata has
one entry, JSON: the format's version, how to build the network, and a checksum over all of it, so
that a file that was cut short or altered is refused.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backends import is_array, move_state, to_host
from .backends._warnings import warn
from .initializers import Initializer
from .layers import Layer
from .losses import LossFunction
from .metrics import Metric
from .optimizers import Optimizer
from .regularizers import Regularizer
from .schedules import Schedule

if TYPE_CHECKING:
    from .neuralnet import MetricFunction, NeuralNetwork

_FORMAT = "xpnet-1"
_KEY = "xpnet"
_NETWORK = ("epochs", "batch_size", "verbose", "shuffle", "progress", "seed")
_NAMES = ("feature_names", "label_name", "class_names")
_KINDS = (Layer, LossFunction, Metric, Optimizer, Schedule, Initializer, Regularizer)


class ModelFileError(ValueError):
    """A file is no network of ours, or not the whole of one, or was altered."""


def save(network: "NeuralNetwork", path: str | os.PathLike[str]) -> None:
    """Write a network to a file; see :meth:`xpnet.NeuralNetwork.save`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    content: dict[str, Any] = {
        "format": _FORMAT,
        "network": {name: getattr(network, name) for name in _NETWORK},
        "dtype": network.backend.dtype,
        "entropy": str(network._entropy),
        "is_fitted": network._is_fitted,
        "history": dict(network.history),
        "names": {name: getattr(network, name) for name in _NAMES},
        "loss": _describe(network.loss),
        "regularizer": _encode(network.regularizer, "regularizer"),
        "metric": _encode(network.metric, "metric", function_allowed=True),
        "layers": [],
    }
    for index, layer in enumerate(network.layers):
        names = (*layer.parameter_names, *layer.state_names)
        numbers = _take_state(layer, names, f"layers.{index}", arrays)
        shape = list(layer.input_shape())
        content["layers"].append({**_describe(layer), "input_shape": shape, "state": numbers})
    optimizer = network.optimizer
    content["optimizer"] = _describe(optimizer)
    content["optimizer_state"] = _take_state(
        optimizer, optimizer.changing_names(), "optimizer", arrays
    )
    content["schedule_state"] = _take_state(
        optimizer.schedule, optimizer.schedule.state_names, "schedule", arrays
    )
    text = json.dumps(content)
    metadata = {_KEY: json.dumps({"content": text, "sha256": _checksum(text, arrays)})}
    temporary = Path(f"{os.fspath(path)}.part")  # a full disk must not cost the old file
    try:
        save_file(arrays, temporary, metadata=metadata)
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"{os.fspath(path)} could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def load(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    backend: str | None = None,
    metric: "MetricFunction | None" = None,
) -> "NeuralNetwork":
    """Read a network from a file that ``save`` wrote, on any device.

    Parameters
    ----------
    path : str or path-like
    device, backend : str, optional
        Where the network shall live, as for :class:`xpnet.NeuralNetwork`.
    metric : function, optional
        The network's metric, where that was a function, which a file cannot hold.

    Returns
    -------
    NeuralNetwork

    Warns
    -----
    UserWarning
        The network's metric was a function, and none is given.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFileError
        The file was cut short or altered, is not ours, or has a layer of a class of the user's
        whose module was not imported.
    """
    from .neuralnet import NeuralNetwork

    content, arrays = _read(path)
    try:
        network = NeuralNetwork(
            **content["network"],
            optimizer=_build(content["optimizer"]),
            loss=_build(content["loss"]),
            regularizer=_decode(content.get("regularizer")),
            metric=metric or _saved_metric(content["metric"]),
            dtype=content["dtype"],
            device=device,
            backend=backend,
        )
        network._entropy = int(content["entropy"])
        for description in content["layers"]:
            layer = _build({name: description[name] for name in ("kind", "class", "arguments")})
            layer.set_input_shape(tuple(description["input_shape"]))
            network.add(layer)
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{path}: the architecture cannot be built: {error}") from error
    for layer in network.layers:
        initializer = getattr(layer, "initializer", None)
        if isinstance(initializer, UnsavedFunction):
            initializer.loading = False
    for index, (layer, description) in enumerate(
        zip(network.layers, content["layers"], strict=True)
    ):
        names = (*layer.parameter_names, *layer.state_names)
        _give_state(layer, names, f"layers.{index}", arrays, description["state"], network)
    optimizer = network.optimizer
    _give_state(
        optimizer,
        optimizer.changing_names(),
        "optimizer",
        arrays,
        content["optimizer_state"],
        network,
    )
    for name, value in content["schedule_state"].items():
        setattr(optimizer.schedule, name, value)
    network.history.update(content["history"])
    for name in _NAMES:
        setattr(network, name, content["names"][name])
    network._is_fitted = content["is_fitted"]
    return network


def _saved_metric(encoded: Any) -> Metric | None:
    metric = _decode(encoded)
    if isinstance(metric, UnsavedFunction):
        warn(
            f"the network's metric was the function {metric.name!r}, which a file does not hold: "
            "give it by load(path, metric=...)"
        )
        return None
    return cast(Metric | None, metric)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file has, after comparing it with its checksum."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{os.fspath(path)}: there is no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: no whole safetensors file ({error}). Was it cut short, or is it another kind "
            "of file? Save the network again"
        ) from error
    if _KEY not in metadata:
        raise ModelFileError(f"{path}: a safetensors file, but not one that xpnet wrote")
    try:
        entry = json.loads(metadata[_KEY])
        text, checksum = entry["content"], entry["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path}: was altered since it was saved ({error})") from error
    if checksum != _checksum(text, arrays):
        raise ModelFileError(f"{path}: was altered since it was saved (its checksum differs)")
    content: dict[str, Any] = json.loads(text)
    if content["format"] != _FORMAT:
        raise ModelFileError(
            f"{path}: has the format {content['format']!r}, and this version of xpnet reads "
            f"{_FORMAT!r}: update xpnet"
        )
    return content, arrays


def _checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _describe(thing: Any) -> dict[str, Any]:
    """Return how to make an object again: its class, and the constructor's arguments.

    Raises
    ------
    TypeError
        An argument is not kept under its own name, or is of a type that cannot be written.
    """
    arguments: dict[str, Any] = {}
    for name, parameter in signature(type(thing)).parameters.items():
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            continue
        attribute = "schedule" if _is_rate(thing, name) else name
        if not hasattr(thing, attribute) and name != "input_shape":
            raise TypeError(
                f"{type(thing).__name__} cannot be saved: it does not keep its argument {name!r} "
                f"as the attribute {name!r}"
            )
        value = getattr(thing, attribute, None)
        # Arrays of the state are among the tensors, and the input shape is kept beside.
        if name != "input_shape" and not (name in _state_names(thing) and is_array(value)):
            what = f"{type(thing).__name__}'s argument {name!r}"
            arguments[name] = _encode(value, what, function_allowed=name == "initializer")
    kind = next(kind.__name__ for kind in _KINDS if isinstance(thing, kind))
    return {"kind": kind, "class": type(thing).__name__, "arguments": arguments}


def _state_names(thing: Any) -> tuple[str, ...]:
    """Return the names of what an object remembers besides its arguments."""
    return getattr(thing, "state_names", ())


def _encode(value: Any, what: str, function_allowed: bool = False) -> Any:
    """Return a value as JSON has it; tuples, parts and functions as objects that say so."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, _KINDS):
        return {"part": _describe(value)}
    if isinstance(value, tuple):
        return {"tuple": [_encode(each, what) for each in value]}
    if isinstance(value, list):
        return [_encode(each, what) for each in value]
    if isinstance(value, dict):
        return {"dict": {str(key): _encode(each, what) for key, each in value.items()}}
    if callable(value) and function_allowed:
        return {"function": getattr(value, "__qualname__", repr(value))}
    raise TypeError(f"{what} cannot be saved: {type(value).__name__} is no number, text or list")


def _decode(value: Any) -> Any:
    """Undo :func:`_encode`; a function becomes one that says that it was not saved."""
    if isinstance(value, list):
        return [_decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    (form, content), *_ = value.items()
    if form == "part":
        return _build(content)
    if form == "tuple":
        return tuple(_decode(each) for each in content)
    if form == "dict":
        return {key: _decode(each) for key, each in content.items()}
    return UnsavedFunction(content)


class UnsavedFunction:
    """Stands for an initializer that was a user's function, which a file cannot hold.

    Parameters
    ----------
    name : str
        The function's.
    """

    loading: bool = True

    def __init__(self, name: str) -> None:
        self.name = self.__qualname__ = name

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return zeros while loading, where the file's weights follow; else refuse."""
        if self.loading:
            return np.zeros(shape)
        raise ValueError(
            f"the initializer was the function {self.name!r}, which a saved network does not hold: "
            "set layer.initializer before beginning anew"
        )


def _is_rate(thing: Any, name: str) -> bool:
    """Whether an argument is the learning rate, which an optimizer keeps as its schedule."""
    return name == "learning_rate" and isinstance(thing, Optimizer)


def _build(description: dict[str, Any]) -> Any:
    """Make an object from what :func:`_describe` returned."""
    kind = next(kind for kind in _KINDS if kind.__name__ == description["kind"])
    known = {cls.__name__: cls for cls in _subclasses(kind)}
    name = description["class"]
    if name not in known:
        raise ModelFileError(
            f"the file has a {name}, which is not defined: import the module that defines the class"
        )
    arguments = {key: _decode(value) for key, value in description["arguments"].items()}
    return known[name](**arguments)


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _subclasses(subclass)


def _take_state(
    holder: Any, names: tuple[str, ...], prefix: str, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Put a holder's arrays among the tensors; return what else it remembers."""
    numbers = {}
    for name in names:
        value = getattr(holder, name)
        if isinstance(value, np.generic):
            value = value.item()
        if is_array(value):
            # A copy of its own: tensors that share memory (the views of one flat array) are refused
            arrays[f"{prefix}.{name}"] = np.array(to_host(value), order="C")
        else:
            numbers[name] = value
    return numbers


def _give_state(
    holder: Any,
    names: tuple[str, ...],
    prefix: str,
    arrays: dict[str, np.ndarray],
    numbers: dict[str, Any],
    network: "NeuralNetwork",
) -> None:
    """Undo :func:`_take_state`, on the network's backend."""
    for name in names:
        array = arrays.get(f"{prefix}.{name}")
        if array is None:
            setattr(holder, name, numbers[name])
        else:
            setattr(holder, name, move_state(array, network.backend))
