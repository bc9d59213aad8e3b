"""Pickle estimators as plain values, without modules or classes from inside xpnet.

Such pickles survive changes of this package's modules, and skops can check them. The network is
stored as in a model file, as text and NumPy arrays, and rebuilt from these.
"""

import json
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

from ..backends import resolve
from ..backends._warnings import warn
from ..common.overrides import is_builtin
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
"""Attributes that are left out, because they are restored from the network."""


class OtherVersionWarning(InconsistentVersionWarning):
    """An estimator was pickled by another version of xpnet."""

    def __str__(self) -> str:
        return (
            f"this {self.estimator_name} was pickled by xpnet {self.original_sklearn_version}, and "
            f"this is xpnet {self.current_sklearn_version}: it may predict differently, or fail. "
            "Fit it again; to keep a network across versions, use network_.save(path)"
        )


def to_plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's state as plain values, for its pickle.

    A network with a part that cannot be saved in a file stays an object, which only pickle takes.
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
        The pickle was written by a version of xpnet whose networks this version cannot read.
    """
    state = dict(state)
    written_by = state.pop(KEY, None)
    if written_by is None:
        raise ValueError(
            f"this {kind.__name__} was pickled by a version of xpnet that stored no version "
            f"number: fit it again with xpnet {VERSION}"
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
            net = _rebuilt(plain)
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
        "classes": sorted({type(x) for x in net.layers if not is_builtin(type(x))}, key=repr),
    }


def _rebuilt(plain: dict[str, Any]) -> NeuralNetwork:
    content = content_of(plain["content"])
    device, backend = plain["device"], plain["backend"]
    home = resolve(device, backend=backend, dtype=content["dtype"])
    # Copies: an unpickled array may be read-only memory that several processes share.
    arrays = {name: array.copy() for name, array in plain["arrays"].items()}
    tensors = Tensors(home, arrays, Classes(plain["classes"]))
    net = NetworkLoader(content, tensors).network(device, backend, None)
    net.orders = RunningOrders(net.randomness)
    return net
