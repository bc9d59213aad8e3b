"""The states of callbacks in a checkpoint: values, and snapshots of the network."""

import copy
from typing import Any

from ..backends import move
from ..model.snapshot import Snapshot
from ..training.callback import Callback
from ..training.trainable import TrainableModel
from .describing import Tensors, decode, encode
from .forms import ModelFileError
from .loading import PartLoader
from .parts import misfit
from .writing import Writer

_SNAPSHOT = "snapshot"


def encode_state(
    callback: Callback, state: dict[str, Any], name: str, writer: Writer
) -> dict[str, Any]:
    """Return a callback's state in JSON form; its arrays become tensors of the writer.

    Parameters
    ----------
    callback : Callback
    state : dict
    name : str
        The prefix of the names of its tensors.
    writer : Writer
        The writer of the network's file.

    Raises
    ------
    TypeError
        A file cannot hold an attribute in the callback's ``state_names``.
    """
    content = {}
    for key, value in state.items():
        what = f"{type(callback).__name__}'s state {key!r}"
        if isinstance(value, Snapshot):
            content[key] = {_SNAPSHOT: _encode_snapshot(value, f"{name}.{key}", writer)}
        else:
            content[key] = encode(value, f"{name}.{key}", what, writer.tensors)
    return content


def _encode_snapshot(snapshot: Snapshot, name: str, writer: Writer) -> dict[str, Any]:
    """Return a snapshot as JSON: parameters, states of layers, and both optimizers."""
    kept = {key: value for _, key, value in snapshot.kept}
    optimizer = copy.copy(kept["optimizer"])
    states = []
    for number, (holder, key, value) in enumerate(snapshot.states):
        if holder is kept["optimizer"]:
            setattr(optimizer, key, value)
        else:
            what = f"the state {key!r} in {name}"
            states.append([key, encode(value, f"{name}.{number}", what, writer.tensors)])
    if snapshot.flat is not None:
        writer.tensors.put(f"{name}.parameters", snapshot.flat)
    content = {"states": states, "has_parameters": snapshot.flat is not None}
    parts = {"optimizer": optimizer, "_new_optimizer": kept["_new_optimizer"]}
    return content | {key: writer.part(part, f"{name}.{key}") for key, part in parts.items()}


class StateReader(PartLoader):
    """Decodes what :func:`encode_state` returned, for a network of the file's architecture.

    Parameters
    ----------
    network : TrainableModel
    tensors : Tensors
    """

    def __init__(self, network: TrainableModel, tensors: Tensors) -> None:
        super().__init__(tensors)
        self._network = network

    def state(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        """Return a callback's state; ``name`` is the prefix of its tensors."""
        return {
            key: self._snapshot(value[_SNAPSHOT], f"{name}.{key}")
            if isinstance(value, dict) and _SNAPSHOT in value
            else decode(value, self._tensors)
            for key, value in content.items()
        }

    def _snapshot(self, content: dict[str, Any], name: str) -> Snapshot:
        snapshot, optimizer = self._network.snapshot(), self._network.optimizer
        if content["has_parameters"]:
            flat = move(self._tensors.take(f"{name}.parameters"), self._tensors.backend)
            if (reason := misfit(flat, snapshot.flat, f"{name}.parameters")) is not None:
                raise ModelFileError(f"the tensor {reason}")
            snapshot.flat = flat
        layers = [each for each in snapshot.states if each[0] is not optimizer]
        if [key for _, key, _ in layers] != [key for key, _ in content["states"]]:
            raise ModelFileError(f"{name} has other states than the network's layers")
        snapshot.states = [
            (holder, key, decode(encoded, self._tensors))
            for (holder, key, _), (_, encoded) in zip(layers, content["states"], strict=True)
        ]
        snapshot.kept = []
        for key in ("optimizer", "_new_optimizer"):
            part = self._part(content[key])
            self._set_part_state(part, content[key], f"{name}.{key}", self._network)
            snapshot.kept.append((self._network, key, part))
        return snapshot
