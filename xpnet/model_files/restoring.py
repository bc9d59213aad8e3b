"""Restores a network to the state of a checkpoint of its own training run."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from ..layers import Layer
from ..layers.composite import all_layers
from ..model.parameters import Parameters
from ..model.randomness import Randomness
from ..training.metric_settings import several
from ..training.trainable import TrainableModel
from .container import checksum
from .describing import Tensors, UnsavedFunction, build, decode
from .loading import PartLoader
from .parts import set_generator
from .writing import Writer, holds

CHANGEABLE = ("epochs", "memory_limit", "progress", "steps", "verbose")
"""Settings of a network that may change when training is resumed."""

_FREEZING = frozenset(["trainable", "learning_rate_factor", "own_trainable", "own_factor"])
"""Attributes of layers that a checkpoint leaves out if they have the class's values."""

_PARTS = ("loss", "regularizer", "metric", "optimizer", "new_optimizer")
"""The parts of a network besides layers."""


def origin_of(network: TrainableModel, kind: type) -> dict[str, Any]:
    """Return a description of how a network is built, without what training changes.

    Arrays are replaced by their checksums, so that two descriptions can be compared.

    Parameters
    ----------
    network : TrainableModel
    kind : type
        See :func:`.writing.save`.

    Raises
    ------
    TypeError
        The network cannot be saved.
    """
    writer = Writer(network, kind)
    description = Origin(writer.content(), writer.tensors).description()
    plain: dict[str, Any] = json.loads(json.dumps(description))
    return plain


def how_trained(layer: dict[str, Any]) -> dict[str, Any]:
    """Return a file's ``trainable`` and rate factor of a layer; "inner" has those inside it."""
    given = {key: value for key, value in layer["attributes"].items() if key in _FREEZING}
    inner = [how_trained(each) for each in layer.get("inner", [])]
    default: dict[str, Any] = {"trainable": True, "learning_rate_factor": 1.0}
    return default | given | ({"inner": inner} if inner else {})


class Origin:
    """Describes the network of a file without what training changes.

    Parameters
    ----------
    content : dict
    tensors : Tensors
    """

    def __init__(self, content: dict[str, Any], tensors: Tensors) -> None:
        self._content, self._tensors = content, tensors

    def description(self) -> dict[str, Any]:
        """Return the description."""
        content = self._content
        parts = {name: self._part(content[name]) for name in _PARTS}
        return {
            "network": self._comparable(content["network"]["arguments"]),
            "dtype": content["dtype"],
            "layers": [
                self._part(each) | {"input_shape": each["input_shape"]} | how_trained(each)
                for each in content["layers"]
            ],
            **parts,
        }

    def _part(self, part: Any) -> Any:
        if isinstance(part, list):
            return [self._part(each) for each in part]
        if not isinstance(part, dict) or "kind" not in part:
            return self._comparable(part)
        return {"class": part["class"], "arguments": self._comparable(part["arguments"])}

    def _comparable(self, value: Any) -> Any:
        """Return a JSON value with a checksum in place of each array's name."""
        if isinstance(value, list):
            return [self._comparable(each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (form := next(iter(value))) in ("array", "moved"):
            return {form: checksum("", {"": self._tensors.array(value[form])})}
        return {key: self._comparable(each) for key, each in value.items()}


class Restorer(PartLoader):
    """Sets everything that training changes in a network to the state in a file.

    The network's layers stay the same objects.

    Parameters
    ----------
    content : dict
    tensors : Tensors
        The tensors of the file, on the network's backend.
    origin : dict
        The result of :func:`origin_of` when the file's run began. Settings that differ from it
        were changed by a callback, and are set here too.
    """

    def __init__(self, content: dict[str, Any], tensors: Tensors, origin: dict[str, Any]) -> None:
        super().__init__(tensors)
        self._content, self._origin = content, origin
        self._now = Origin(content, tensors).description()

    def restore(self, network: TrainableModel) -> None:
        """Set the network to the file's state.

        Raises
        ------
        ModelFileError
            A tensor does not fit. Part of the network may be changed already.
        """
        content, net = self._content, network
        settings = content["network"]
        for name, value in settings["arguments"].items():
            if self._now["network"][name] != self._origin["network"].get(name):
                setattr(net, name, decode(value, self._tensors))
        net.randomness = Randomness(content["entropy"])  # before layers seed from it
        for index, (layer, each) in enumerate(zip(net.layers, content["layers"], strict=True)):
            now, then = (side["layers"][index]["arguments"] for side in (self._now, self._origin))
            if now != then:
                # The constructor checks the values; those that it does not keep are skipped.
                made = build(each, self._tensors)
                _copy_arguments(
                    layer, made, [key for key in each["arguments"] if now[key] != then.get(key)]
                )
            net._initialize(layer, index)
            _forget_training(layer, each)
            self._set_state(layer, each, f"layers.{index}", net)
            set_generator(layer, decode(each["rng"], self._tensors))
        for name in ("loss", "regularizer"):
            setattr(net, name, self._restored_part(name, net))
        made = self._restored_part("metric", net)
        if isinstance(made, tuple):
            net.metric = tuple(map(_metric_or_own, made, several(net.metric)))
        else:
            net.metric = _metric_or_own(made, net.metric)
        net.parameters = Parameters(net.layers, net.regularizer)
        _replace_optimizer(net, "optimizer", self._restored_part("optimizer", net))
        _replace_optimizer(net, "_new_optimizer", self._restored_part("new_optimizer", net))
        self._set_history(net.history, content)
        self._set_attributes(net, settings["attributes"])

    def _restored_part(self, name: str, network: TrainableModel) -> Any:
        """Return a new part with the file's state."""
        part = self._part(self._content[name])
        self._set_part_state(part, self._content[name], name, network)
        return part


def _metric_or_own(made: Any, own: Any) -> Any:
    """Return a file's metric, or the network's own if the file has only a function's name."""
    return own if isinstance(made, UnsavedFunction) else made


def _forget_training(layer: Layer, content: dict[str, Any]) -> None:
    """Reset attributes that the file lacks to the class's values: a callback may have set them."""
    for key in _FREEZING & vars(layer).keys() - content["attributes"].keys():
        del vars(layer)[key]
    for inner, each in zip(layer.inner_layers, content.get("inner", []), strict=False):
        _forget_training(inner, each)


def _copy_arguments(layer: Layer, made: Layer, names: Iterable[str]) -> None:
    """Copy arguments from one layer to another; inner layers stay the same objects."""
    for name in names:
        if name not in vars(made):
            continue
        if made.inner_layers and holds(vars(made)[name], lambda each: isinstance(each, Layer)):
            for mine, new in zip(layer.inner_layers, made.inner_layers, strict=False):
                others = set(signature(type(new)).parameters) - set(new.state_names)
                _copy_arguments(mine, new, others)
        else:
            setattr(layer, name, vars(made)[name])


def _replace_optimizer(network: TrainableModel, name: str, new: Any) -> None:
    """Copy an optimizer's attributes to the network's; replace it if the classes differ."""
    old = getattr(network, name)
    if type(old) is type(new):
        vars(old).clear()
        vars(old).update(vars(new))
    else:
        vars(network)[name] = new  # setattr would copy it


@contextmanager
def all_or_nothing(network: TrainableModel) -> Iterator[None]:
    """Restore a network to its state before the block if the block fails."""
    history, streams = network.history, [each.rng for each in all_layers(network.layers)]
    things: list[Any] = [network, history, *all_layers(network.layers)]
    things += [network.optimizer, network._new_optimizer]
    attributes = [dict(vars(each)) for each in things]
    columns = dict(history)
    states: list[Any] = [each and each.bit_generator.state for each in streams]
    try:
        yield
    except BaseException:
        for thing, before in zip(things, attributes, strict=True):
            vars(thing).clear()
            vars(thing).update(before)
        history.clear()
        history.update(columns)
        for stream, state in zip(streams, states, strict=True):
            if stream is not None:
                stream.bit_generator.state = state
        raise
