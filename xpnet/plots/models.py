"""Get the network, or the predicted classes, of a network or fitted estimator."""

from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..losses import Heads
from ..metrics import predicted_classes
from ..training.prediction import check_predicts_classes


def network_of(given: Any, name: str = "network") -> Any:
    """Return the given network, or the network of a fitted estimator.

    Raises
    ------
    TypeError
        ``given`` is neither.
    ValueError
        The estimator is not fitted, or the network has no layers.
    """
    found = getattr(given, "network_", given)
    if isinstance(found, type) or not hasattr(found, "layers") or not hasattr(found, "predict"):
        if hasattr(given, "get_params") and not isinstance(given, type):
            _refuse_unfitted(given, name)
        raise TypeError(f"{name}={shown(given)}: expected a NeuralNetwork or a fitted estimator")
    if not found.layers:
        raise ValueError(
            "the network has no layers: add some, e.g. add(DenseLayer(10, input_shape=(784,)))"
        )
    return found


def predicted_by(given: Any, X: np.ndarray) -> tuple[np.ndarray, list[str] | None, bool]:
    """Return the class that a classifier predicts for each sample, as an index.

    Returns
    -------
    array of shape (n,)
    list of str or None
        The names of all classes, if known.
    bool
        Whether the names are the labels that the model was trained with.
    """
    if (classes := getattr(given, "classes_", None)) is not None and hasattr(given, "predict"):
        labels = np.asarray(given.predict(X))
        if np.ndim(classes) != 1 or labels.ndim != 1:
            raise ValueError("network predicts several labels per sample: expected one class")
        return np.searchsorted(classes, labels), [str(each) for each in classes], True
    network = network_of(given)
    if network is not given:
        raise TypeError(f"network={shown(given)}: expected a classifier")
    loss = network.loss
    if isinstance(loss, Heads):
        raise ValueError(
            f"the network has the heads {', '.join(loss.heads)}: expected one class per sample"
        )
    check_predicts_classes(network, "plot_decision_regions")
    outputs = network.predict(X)
    if outputs.shape[1] > 1 and loss.targets in ("binary", "probabilities"):
        raise ValueError(
            f"the network has {outputs.shape[1]} binary outputs: expected a network that predicts "
            "one class per sample"
        )
    classes = to_host(predicted_classes(outputs, loss.decision_threshold))
    return classes, network.class_names, False


def _refuse_unfitted(given: Any, name: str) -> None:
    if not any(key.endswith("_") and key[:1] != "_" for key in vars(given)):
        raise ValueError(f"{name} is not fitted: call its fit first")
