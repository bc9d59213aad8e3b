"""What a pickle of an estimator holds: plain values, and no module or class from inside xpnet.

So a pickle outlives a change of this package's modules, and skops can check it: the network is a
description as in a model file (text and NumPy arrays), from which it is made again.
"""

import json
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

from ..backends import resolve
from ..backends._warnings import warn
from ..common.overrides import is_defined_here
from ..common.version import VERSION
from ..common.versioned import KEY
from ..model_files.describing import Tensors
from ..model_files.kinds import Classes
from ..model_files.reading import content_of
from ..model_files.writing import Writer
from ..neuralnet import NeuralNetwork
from ..saving import ModelFileError, NetworkLoader
from ._network import RunningOrders

_IN_NETWORK = ("coefs_", "intercepts_", "_loaded", "history_")
"""Attributes that are left out, as they are made again from the network."""


class OtherVersionWarning(InconsistentVersionWarning):
    """An estimator was pickled by another version of xpnet."""

    def __str__(self) -> str:
        return (
            f"this {self.estimator_name} was pickled by xpnet {self.original_sklearn_version}, and "
            f"this is xpnet {self.current_sklearn_version}: it may predict differently, or fail. "
            "Fit it again; to keep a network from version to version, use network_.save(path)"
        )


def to_plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's state as its pickle holds it.

    A network with a part that a file cannot hold stays an object, which only pickle can hold.
    """
    state = {**state, KEY: VERSION}
    net = state.get("network_")
    if not isinstance(net, NeuralNetwork) or state.get("history_") is not net.history:
        return state
    try:
        state["network_"] = _described(net)
    except TypeError:
        return state
    for name in _IN_NETWORK:
        del state[name]
    return state


def from_plain(state: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return an estimator's state from what :func:`to_plain` returned, without ``coefs_``.

    Raises
    ------
    ValueError
        The pickle is of a version of xpnet whose networks this one cannot read.
    """
    state = dict(state)
    written_by = state.pop(KEY, None)
    if written_by is None:
        raise ValueError(
            f"this {kind.__name__} was pickled by a version of xpnet that left no version number: "
            f"fit it again with xpnet {VERSION}"
        )
    if written_by != VERSION:
        warn(
            OtherVersionWarning(
                estimator_name=kind.__name__,
                current_sklearn_version=VERSION,
                original_sklearn_version=written_by,
            )
        )
    if isinstance(plain := state.get("network_"), dict):
        try:
            net = _made_again(plain)
        except ModelFileError as error:
            raise ValueError(
                f"this {kind.__name__} was pickled by xpnet {written_by}, and cannot be read by "
                f"xpnet {VERSION}: its network {error}"
            ) from error
        state |= {"network_": net, "history_": net.history, "_loaded": []}
    return state


def _described(net: NeuralNetwork) -> dict[str, Any]:
    writer = Writer(net, NeuralNetwork, keeps_seconds=True)
    content = writer.content()
    return {
        "content": json.dumps(content),
        "arrays": writer.tensors.arrays,
        "backend": net.backend.name,
        "device": net.backend.device_name,
        # So that unpickling imports the modules that define them.
        "classes": sorted({type(x) for x in net.layers if not is_defined_here(type(x))}, key=repr),
    }


def _made_again(plain: dict[str, Any]) -> NeuralNetwork:
    content = content_of(plain["content"])
    device, backend = plain["device"], plain["backend"]
    home = resolve(device, backend=backend, dtype=content["dtype"])
    # Copies: an unpickled array may be read-only memory that processes share.
    arrays = {name: array.copy() for name, array in plain["arrays"].items()}
    tensors = Tensors(home, arrays, Classes(plain["classes"]))
    net = NetworkLoader(content, tensors).network(device, backend, None)
    net.orders = RunningOrders(net.randomness)
    return net
