"""Networks as files: safetensors, without pickle.

The tensors are parameters, running statistics, the optimizer's state, and other arrays that parts
of the network keep. The file's metadata has one entry in JSON: the version of the format, how to
build the network, and a checksum over all of it. A file that was truncated or altered is refused.

A part of a network (a layer, the loss, the optimizer, ...) is saved as its class, the arguments of
its constructor, its state, and its other attributes that differ from those of a new part. ``save``
makes each part again from its class and arguments and compares; it refuses what would be lost.
"""

import hashlib
import json
import os
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backends import is_array, move, resolve
from .backends._warnings import warn
from .common.checks import check_path
from .common.overrides import is_defined_here
from .data.stored import numpy_type
from .layers import Layer
from .metrics import Metric
from .model_files.comparing import Comparison, attributes, passes_are_alike
from .model_files.describing import (
    KINDS,
    ModelFileError,
    Tensors,
    UnsavedFunction,
    build,
    decode,
    describe,
    encode,
    find_class,
)
from .optimizers import Optimizer
from .training.settings import MetricFunction, find_metric

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

__all__ = ["ModelFileError", "load", "save"]

_FORMAT = "xpnet-1"
_KEY = "xpnet"

_PLACE = ("device", "backend", "dtype")
"""Arguments of a network for its device and type; :func:`load` sets them itself."""

_PARTS = ("optimizer", "learning_rate", "momentum", "loss", "metric", "regularizer")
"""Arguments of a network that have entries of their own in the file."""

_MADE_ANEW = frozenset([
    "_follows_data", "_new_optimizer", "history", "last_plan", "layers", "parameters",
    "stop_training", *_PLACE, *_PARTS,
])  # fmt: skip
"""Attributes of a network that are not settings, or have entries of their own in the file."""


def save(network: "NeuralNetwork", path: str | os.PathLike[str]) -> None:
    """Write a network to a file; see :meth:`xpnet.NeuralNetwork.save`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    writer = _Writer(network)
    arrays, text = writer.tensors.arrays, json.dumps(writer.content())
    metadata = {_KEY: json.dumps({"content": text, "sha256": _checksum(text, arrays)})}
    _check_place(Path(path))
    temporary = Path(f"{os.fspath(path)}.part")  # so that a full disk does not destroy the old file
    try:
        save_file(arrays, temporary, metadata=metadata)
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"{os.fspath(path)} could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    """Refuse a path that is a folder, or whose folder does not exist."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; give the path of a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} could not be written: there is no folder {path.parent}")


def load(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    backend: str | None = None,
    metric: str | Metric | type[Metric] | MetricFunction | None = None,
) -> "NeuralNetwork":
    """Read a network from a file that ``save`` wrote, on any device.

    Parameters
    ----------
    path : str or path-like
    device, backend : str, optional
        Where to load the network, as for :class:`xpnet.NeuralNetwork`.
    metric : str, Metric, subclass or function, optional
        Replaces the network's metric. A metric that was a function has to be given here, as a
        file cannot hold it.

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
        The file was truncated or altered, or was not written by :meth:`NeuralNetwork.save
        <xpnet.NeuralNetwork.save>`. Or a tensor is missing, belongs to no part of the network, or
        has the wrong shape or type. Or a part's class is in a module that was not imported.
    DeviceUnavailableError, UnknownNameError, TypeError
        The device, the backend or the metric is unknown or not available.

    Examples
    --------
    Before loading a network with a layer of your own, import the module that defines it:

    >>> import xpnet
    >>> from my_layers import Scale  # doctest: +SKIP
    >>> net = xpnet.load("scaled.safetensors")  # doctest: +SKIP
    """
    path = check_path("path", path)
    # Before the file is read, so that its errors do not name the file.
    resolve(device, backend=backend)
    metric = find_metric(metric)
    content, arrays = _read(path)
    try:
        home = resolve(device, backend=backend, dtype=content["dtype"])
        network = _Reader(content, Tensors(home, arrays)).network(device, backend, metric)
    except (MemoryError, OSError, ImportError):
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except Exception as error:  # a user's constructor can raise anything
        raise ModelFileError(
            f"{path}: the network cannot be built: {type(error).__name__}: {error}"
        ) from error
    if isinstance(network.metric, UnsavedFunction):
        name, network.metric = network.metric.name, None
        warn(
            f"the network's metric was the function {name!r}, which a file does not hold: "
            "give it with load(path, metric=...)"
        )
    return network


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the tensors of a file, after verifying its checksum."""
    from safetensors import SafetensorError, safe_open

    if not check_path("path", path).is_file():
        reason = ", but it is a folder" if Path(path).is_dir() else ""
        raise FileNotFoundError(f"{os.fspath(path)}: there is no such file{reason}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not a complete safetensors file ({error}). It was truncated, or is another "
            "kind of file: save the network again"
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
            f"{path}: has the format {content['format']!r}, but this version of xpnet reads "
            f"{_FORMAT!r}: update xpnet"
        )
    return content, arrays


def _checksum(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# ---- the state of a part of a network


def _names(part: Any) -> tuple[str, ...]:
    """Return the names of the attributes in which a part keeps its parameters and state."""
    if isinstance(part, Layer):
        return (*part.parameter_names, *part.state_names)
    if isinstance(part, Optimizer):
        return part.changing_names()
    return tuple(getattr(part, "state_names", ()))


def _is_tensor(value: Any) -> bool:
    return is_array(value) and not isinstance(value, np.generic)


def _misfit(value: Any, expected: Any, name: str, any_float: bool = False) -> str | None:
    """Return why a value cannot take the place of another, or None if it can.

    Parameters
    ----------
    value : array or other value
        The state of a part under the name ``name``.
    expected : array or other value
        The state of a new part under that name. If it is not an array, any value is accepted.
    name : str
    any_float : bool, default False
        Whether a floating-point type of another precision is accepted.
    """
    if not _is_tensor(expected):
        return None
    if not _is_tensor(value):
        return f"{name!r} is not a tensor: expected one of shape {tuple(expected.shape)}"
    if tuple(value.shape) != tuple(expected.shape):
        return f"{name!r} has shape {tuple(value.shape)}: expected {tuple(expected.shape)}"
    types = numpy_type(value), numpy_type(expected)
    if types[0] == types[1] or (any_float and types[0].kind == types[1].kind == "f"):
        return None
    return f"{name!r} has the type {types[0]}: expected {types[1]}"


def _expected(part: Any, name: str, value: Any, network: "NeuralNetwork") -> Any:
    """Return a new part's attribute, or an array of the shape and type that it must have."""
    if isinstance(part, Optimizer) and name in part.state_names and value is not None:
        n = sum(place.stop - place.start for place in network.parameters.places.values())
        return np.broadcast_to(np.zeros((), network.backend.dtype), (n,))
    return getattr(part, name)


def _takes_any_float(part: Any) -> bool:
    """Whether a part may keep its state in another precision than the weights have."""
    return isinstance(part, Optimizer) and not is_defined_here(type(part))


_NOTHING = object()


class _Writer:
    """Collects the content of a file, and checks that all of it can be restored.

    Parameters
    ----------
    network : NeuralNetwork
    """

    def __init__(self, network: "NeuralNetwork") -> None:
        self._network = network
        self._comparison = Comparison()
        self.tensors = Tensors(network.backend)

    def content(self) -> dict[str, Any]:
        """Return everything except the tensors, in a form that JSON can hold."""
        net = self._network
        return {
            "format": _FORMAT,
            "dtype": net.backend.dtype,
            "network": self._settings(),
            "history": self._encode(dict(net.history), "history", "the history"),
            "history_metric": [net.history.metric_name, net.history.metric_mode],
            "loss": self._part(net.loss, "loss"),
            "regularizer": self._part(net.regularizer, "regularizer"),
            "metric": self._part(net.metric, "metric"),
            "layers": [self._layer(layer, index) for index, layer in enumerate(net.layers)],
            "optimizer": self._part(net.optimizer, "optimizer"),
            "new_optimizer": self._part(net._new_optimizer, "new_optimizer"),
        }

    def _settings(self) -> dict[str, Any]:
        """Return the network's class, its own arguments, and its other attributes."""
        from .neuralnet import NeuralNetwork

        net, cls = self._network, type(self._network)
        if is_defined_here(cls):
            cls = NeuralNetwork  # an estimator's network differs only in the order of its samples
        arguments = {
            name: self._encode(getattr(net, name), f"network.{name}", f"the network's {name!r}")
            for name in signature(NeuralNetwork).parameters
            if name not in _MADE_ANEW
        }
        more = {}
        for name, value in vars(net).items():
            if name in arguments or name in _MADE_ANEW:
                continue
            # A NeuralNetwork does not need attributes that a user put on it: skip complex ones.
            if cls is NeuralNetwork and not hasattr(cls, name) and not _is_plain(value):
                continue
            more[name] = self._encode(
                value, f"network.{name}", f"{type(net).__name__}'s attribute {name!r}"
            )
        names = {"class": cls.__qualname__, "module": cls.__module__}
        return {**names, "arguments": arguments, "attributes": more}

    def _encode(self, value: Any, name: str, what: str) -> Any:
        return encode(value, name, what, self.tensors)

    def _layer(self, layer: Layer, index: int) -> dict[str, Any]:
        net, shape = self._network, layer.input_shape()

        def start(again: Layer) -> None:
            again.backend, again.rng = net.backend, net._generator(0, index)
            again.set_input_shape(shape)
            with net.backend.active():
                again.initialize()
            _set_generator(again, _generator_state(layer))

        content = self._part(layer, f"layers.{index}", start)
        rng = self._encode(_generator_state(layer), "rng", "a layer's random generator")
        return {**content, "input_shape": list(shape), "rng": rng}

    def _part(self, part: Any, name: str, start: Any = None) -> Any:
        """Return a part's description, state and attributes, after making it again.

        None and, for the metric, a function are encoded as values.
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
        content = {**description, **self._keeping(part, again, name)}
        if isinstance(part, Optimizer):
            content["schedule"] = self._keeping(part.schedule, again.schedule, f"{name}.schedule")
        return content

    def _keeping(self, part: Any, again: Any, name: str) -> dict[str, Any]:
        """Return a part's state, except its tensors, and its other attributes that differ."""
        if type(part) is not type(again) or _names(part) != _names(again):
            raise _refusal(
                part,
                f"it has the parameters and states {list(_names(part))}, but one that is made "
                f"again from its arguments has {list(_names(again))}",
            )
        state = {}
        for each in _names(part):
            value = getattr(part, each)
            expected = _expected(again, each, value, self._network)
            reason = _misfit(value, expected, each, _takes_any_float(part))
            if reason is not None:
                raise _refusal(part, f"{reason}, as in one that is made again from its arguments")
            if _is_tensor(value):
                self.tensors.put(f"{name}.{each}", value)
            else:
                what = f"{type(part).__name__}'s {each!r}"
                state[each] = self._encode(value, f"{name}.{each}", what)
            setattr(again, each, value)  # shared, not copied
        if isinstance(part, (Layer, Optimizer)):
            try:
                part.check_state()
            except ValueError as error:
                raise _refusal(part, str(error)) from error
        return {"state": state, "attributes": self._beyond(part, again, name)}

    def _beyond(self, part: Any, again: Any, name: str) -> dict[str, Any]:
        """Return a part's attributes that differ from those of one made again, encoded."""
        mine, new = attributes(part), attributes(again)
        # State and schedule have entries of their own in the file.
        names = {**mine, **new}.keys() - {*_names(part)}
        if isinstance(part, Optimizer):
            names -= {"schedule"}
        different = {}
        for key in names:
            # One of the two parts may have it only as an attribute of its class.
            first, second = (
                held[key] if key in held else getattr(of, key, _NOTHING)
                for held, of in ((mine, part), (new, again))
            )
            if (path := self._comparison.difference(first, second, key)) is not None:
                different[key] = path
        left = {
            key for key in different if new.get(key) is None and _holds(mine.get(key), _is_tensor)
        }
        beyond = {}
        for key in sorted(different.keys() - left):
            beyond[key] = self._attribute(part, again, name, key, different[key])
        if left and not (isinstance(part, Layer) and passes_are_alike(part, again)):
            for key in sorted(left):
                beyond[key] = self._attribute(part, again, name, key, different[key])
        return beyond

    def _attribute(self, part: Any, again: Any, name: str, key: str, path: str) -> Any:
        """Return an attribute encoded, and give it to the part that was made again."""
        try:
            value = attributes(part)[key]
            if _holds(value, lambda each: isinstance(each, KINDS)):
                raise TypeError("a part of a network")
            encoded = self._encode(value, f"{name}.attributes.{key}", key)
            setattr(again, key, value)
        except Exception as error:
            raise _refusal(
                part,
                f"its {path!r} differs from what its constructor makes, and a file cannot hold it. "
                "Make it from arguments that are kept as attributes of the same names; if it is a "
                "layer, list its arrays in the outer parameter_names or state_names; or, if "
                "nothing needs it, leave it out of what __getstate__ returns",
            ) from error
        return encoded


def _refusal(part: Any, why: str) -> TypeError:
    return TypeError(f"{type(part).__name__} cannot be saved: {why}")


def _holds(value: Any, test: Any) -> bool:
    """Whether ``test`` is true of a value, or of anything inside it."""
    if isinstance(value, dict):
        return any(_holds(each, test) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_holds(each, test) for each in value)
    return bool(test(value))


def _is_plain(value: Any) -> bool:
    """Whether a value is made of numbers and text alone."""
    plain = (type(None), bool, int, float, str)
    return not _holds(value, lambda each: not isinstance(each, plain))


def _generator_state(layer: Layer) -> dict[str, Any] | None:
    return None if layer.rng is None else cast(dict[str, Any], layer.rng.bit_generator.state)


def _set_generator(layer: Layer, state: dict[str, Any] | None) -> None:
    """Set the state of a layer's random generator, which stays the same object."""
    if state is None or layer.rng is None:
        layer.rng = None
    else:
        layer.rng.bit_generator.state = state


class _Reader:
    """Builds a network from the content of a file.

    Parameters
    ----------
    content : dict
    tensors : Tensors
    """

    def __init__(self, content: dict[str, Any], tensors: Tensors) -> None:
        self._content, self._tensors = content, tensors

    def network(
        self, device: str | None, backend: str | None, metric: Metric | MetricFunction | None
    ) -> "NeuralNetwork":
        """Return the network; a metric that was a function is an :class:`UnsavedFunction`."""
        from .neuralnet import NeuralNetwork

        content, settings = self._content, self._content["network"]
        cls = find_class(NeuralNetwork, settings["class"], settings["module"])
        network: NeuralNetwork = object.__new__(cls)
        # Not cls(...): a subclass's constructor may take other arguments, and add layers.
        NeuralNetwork.__init__(
            network,
            **self._decoded(settings["arguments"]),
            optimizer=self._part(content["new_optimizer"]),
            loss=self._part(content["loss"]),
            regularizer=self._part(content["regularizer"]),
            metric=self._part(content["metric"]),
            dtype=content["dtype"],
            device=device,
            backend=backend,
        )
        entropy = settings["attributes"]["_entropy"]
        network._entropy = decode(entropy, self._tensors)  # before layers seed from it
        for index, each in enumerate(content["layers"]):
            layer = build(each, self._tensors)
            layer.set_input_shape(tuple(each["input_shape"]))
            network.add(layer)
            self._give(layer, each, f"layers.{index}", network)
            _set_generator(layer, decode(each["rng"], self._tensors))
            for value in vars(layer).values():
                if isinstance(value, UnsavedFunction):
                    value.loading = False
        fresh = network._new_optimizer
        network.optimizer = self._part(content["optimizer"])
        network._new_optimizer = fresh
        for name in ("loss", "regularizer", "metric", "optimizer"):
            self._give_part(getattr(network, name), content[name], name, network)
        # A restart begins with this one, which may differ from the current optimizer.
        name = "new_optimizer"
        self._give_part(network._new_optimizer, content[name], name, network)
        network.history.update(decode(content["history"], self._tensors))
        network.history.metric_name, network.history.metric_mode = content["history_metric"]
        for name, value in self._decoded(settings["attributes"]).items():
            setattr(network, name, value)
        self._tensors.check_used()
        if metric is not None:
            network.metric = metric
        return network

    def _decoded(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: decode(value, self._tensors) for name, value in values.items()}

    def _part(self, content: Any) -> Any:
        """Return a part as its constructor makes it, or the None or function in its place."""
        if isinstance(content, dict) and "kind" in content:
            return build(content, self._tensors)
        return decode(content, self._tensors)

    def _give_part(self, part: Any, content: Any, prefix: str, network: Any) -> None:
        """Restore a part, and an optimizer's schedule; do nothing to None or a function."""
        if not isinstance(content, dict) or "kind" not in content or not isinstance(part, KINDS):
            return
        self._give(part, content, prefix, network)
        if isinstance(part, Optimizer):
            self._give(part.schedule, content["schedule"], f"{prefix}.schedule", network)

    def _give(self, part: Any, content: dict[str, Any], prefix: str, network: Any) -> None:
        """Set a part's attributes and its state, after checking each."""
        for name, value in self._decoded(content["attributes"]).items():
            setattr(part, name, value)
        backend, state, names = self._tensors.backend, dict(content["state"]), _names(part)
        without_float64 = backend.wide_dtype != "float64"
        for name in names:
            full = f"{prefix}.{name}"
            if name in state:
                value = decode(state.pop(name), self._tensors)
            else:
                value = self._tensors.take(full)
            wide = name in getattr(part, "wide_names", ())
            any_float = without_float64 or _takes_any_float(part)
            # A device without float64 had the network's type for these.
            any_float |= wide and _is_tensor(value) and numpy_type(value) == backend.dtype
            reason = _misfit(value, _expected(part, name, value, network), full, any_float)
            if reason is not None:
                raise ModelFileError(f"the tensor {reason}")
            if _is_tensor(value):
                narrow = without_float64 and value.dtype == np.float64
                dtype = backend.wide_dtype if wide else backend.dtype if narrow else None
                value = move(value, backend, dtype)
            setattr(part, name, value)
        if state:
            raise ModelFileError(f"{prefix} has a state {sorted(state)} that its class does not")
        if isinstance(part, (Layer, Optimizer)):
            part.check_state()
