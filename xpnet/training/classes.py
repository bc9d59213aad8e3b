"""The classes that a network predicts, and their names."""

from typing import Any

import numpy as np

from ..backends import Array, array_namespace, ops, to_host
from ..backends._errors import shown
from ..data import Dataset
from ..losses import Heads, LossFunction
from ..metrics import predicted_classes, probabilities
from .checks import naming_argument

_NUMBERS = ("values", "counts", "positive")
"""The kinds of targets that are numbers."""


def check_class_names(
    dataset: Dataset, loss: LossFunction, n_outputs: int, are_new: bool = True
) -> None:
    """Refuse class names that do not fit the loss or the number of outputs.

    Parameters
    ----------
    dataset : Dataset
    loss : LossFunction
    n_outputs : int
    are_new : bool, default True
        Whether the names come from this data set, rather than from earlier training data.

    Raises
    ------
    ValueError
        The loss is for numbers, but the targets are text or the number of classes is not 2.
        (Targets 0 and 1 with two names may be trained on as numbers.) Or the number of classes is
        not that of the outputs, or not 2 for a single output.
    """
    names, y = dataset.class_names, dataset.y
    if isinstance(names, dict):
        heads = loss.parts if isinstance(loss, Heads) else {}
        for name, head in heads.items():
            if name in names:
                with naming_argument(f"the head {name!r}"):
                    of_head = f"loss=Heads(..., class_names={{{name!r}: [...]}})"
                    _check_names(names[name], head.loss, head.n_outputs, naming=of_head)
    elif names is not None and y is not None and not (y.ndim == 2 and y.shape[1] > 1):
        _check_names(names, loss, n_outputs, are_new and dataset.has_text_labels)


def _check_names(
    names: list[str],
    loss: LossFunction,
    n_outputs: int,
    are_text: bool = False,
    naming: str = "Dataset(X, y, class_names=[...])",
) -> None:
    """Refuse names of classes that do not fit a loss or its number of outputs.

    ``naming`` is the code by which a user names all classes.
    """
    kind = loss.targets
    n, loss_name = len(names), type(loss).__name__
    if kind in _NUMBERS and (are_text or n != 2):
        noun = "class" if n == 1 else "classes"
        raise ValueError(
            f"y has {n} named {noun}, {shown(names)}, but {loss_name} is for numbers: for "
            f"classes give loss='softmax_cross_entropy' and a last layer of {max(n, 2)} units"
        )
    expected = n_outputs if kind == "classes" else 2
    if kind not in ("classes", "binary", "probabilities") or n == expected or n_outputs == 0:
        return
    outputs = "one output, for two classes" if n_outputs == 1 else f"{n_outputs} outputs"
    advice = f"give the last layer {n} units"
    if kind != "classes":
        advice = f"for more, give loss='softmax_cross_entropy' and a last layer of {n} units"
    if n < expected:
        advice = f"if others do not occur in y, name all of them: {naming}"
    raise ValueError(
        f"y has {n} class(es), {shown(names)}, but the network has {outputs}: {advice}"
    )


def classes_in(
    y: np.ndarray, loss: LossFunction, names: list[str] | dict[str, list[str]] | None
) -> tuple[np.ndarray, Any, list[str] | None] | None:
    """Return the targets, loss and class names, if the targets put each sample in one class.

    With several heads, return those of the only classification head.

    Returns
    -------
    tuple or None
        None if the targets are not classes, or if not exactly one head is for classification.
    """
    if not isinstance(loss, Heads):
        own = names if isinstance(names, list) else None
        return (y, loss, own) if _are_classes(y, loss, own) else None
    y = y[:, None] if y.ndim == 1 else y
    by_head = names if isinstance(names, dict) else {}
    found = []
    for name, head in loss.parts.items():
        own = by_head.get(name)
        column = head.targets_of(y)  # missing ones count as class 1, which does no harm
        if head.loss.targets != "values" and _are_classes(column, head.loss, own):
            found.append((column, head.loss, own))
    return found[0] if len(found) == 1 else None


def _are_classes(y: np.ndarray, loss: LossFunction, class_names: list[str] | None) -> bool:
    """Whether targets put each sample in one class; probabilities other than 0 and 1 do not."""
    if y.ndim == 2 and y.shape[1] > 1:
        return loss.targets == "classes" and bool(np.all((y == 0) | (y == 1)))
    if class_names is not None or loss.targets in ("classes", "binary"):
        return True
    return loss.targets == "probabilities" and bool(np.all((y == 0) | (y == 1)))


def check_is_of_classes(loss: LossFunction, output_kind: str | None, names: Any) -> None:
    """Refuse a network that does not predict classes.

    If the loss is a user's and does not say its ``targets``, the network predicts classes if they
    have names or if its outputs are probabilities.
    """
    if isinstance(loss, Heads):
        if not _heads_of_classes(loss, names):
            raise ValueError("no head is known to be for classes: use predict")
        return
    is_known = loss.targets is not None and loss.targets not in _NUMBERS
    is_clear = names is not None or output_kind not in (None, "real")
    if is_known or (loss.targets is None and is_clear):
        return
    raise ValueError(
        f"the loss {type(loss).__name__} is not known to be for classes, so the network predicts "
        "numbers: use predict. Classes need a loss such as BinaryCrossEntropy or "
        "SoftmaxCrossEntropy"
    )


def _heads_of_classes(loss: Heads, names: Any) -> list[str]:
    """Return the names of the heads that are known to predict classes."""
    named = names or {}
    return [
        name
        for name, (own, _, _) in loss.heads.items()
        if name in named or (own.targets is not None and own.targets not in _NUMBERS)
    ]


def probabilities_of(
    outputs: Array, loss: LossFunction, output_kind: str | None, names: Any = None
) -> Any:
    """Return the probabilities for a network's outputs; see :meth:`NeuralNetwork.predict_proba`.

    Parameters
    ----------
    outputs : array of shape (n, n_outputs)
    loss : LossFunction
    output_kind : str or None
        The kind of the last layer's outputs.
    names : list or dict of str to list, optional
        The names of the classes, by head if there are several.
    """
    if isinstance(loss, Heads):
        by_head = loss.split(outputs)
        return {
            name: probabilities_of(by_head[name], loss.heads[name][0], output_kind)
            for name in _heads_of_classes(loss, names)
        }
    n_outputs = outputs.shape[1]
    kind = loss.output_kind or (None if output_kind == "real" else output_kind)
    if kind is None:
        end = "SigmoidActivation" if n_outputs == 1 else "SoftmaxActivation"
        raise ValueError(
            f"the loss {type(loss).__name__} does not say which probabilities the outputs stand "
            f"for: use predict, or train with a loss such as SoftmaxCrossEntropy or "
            f"BinaryCrossEntropy, or end the network with {end}"
        )
    if n_outputs > 1 and loss.targets in ("binary", "probabilities"):
        return ops.sigmoid(outputs) if kind == "log-odds" else outputs
    return probabilities(outputs, kind)


def classes_of(outputs: Array, loss: LossFunction, names: Any) -> Any:
    """Return the classes for a network's outputs; see :meth:`NeuralNetwork.predict_classes`."""
    if isinstance(loss, Heads):
        by_head, given = loss.split(outputs), names or {}
        return {
            name: classes_of(by_head[name], loss.heads[name][0], given.get(name))
            for name in _heads_of_classes(loss, names)
        }
    xp, threshold, n_outputs = array_namespace(outputs), loss.decision_threshold, outputs.shape[1]
    if n_outputs > 1 and loss.targets in ("binary", "probabilities"):
        return xp.astype(outputs > threshold, xp.int64)
    classes = predicted_classes(outputs, threshold)
    if names is None:
        return classes
    if len(names) != max(n_outputs, 2):
        raise ValueError(
            f"the network has {n_outputs} output(s) and {len(names)} class_names, {shown(names)}: "
            f"expected {max(n_outputs, 2)} names, or None"
        )
    return np.asarray(names)[to_host(classes)]
