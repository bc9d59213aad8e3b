"""The classes of a classifier: conversion of labels to targets and back, and class weights."""

from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import unique_labels

from ._checks import check_class_weight
from ._inputs import one_dimensional


def encode(est: Any, y: Any, continues: bool, held_out: bool) -> np.ndarray:
    """Return labels in the form that the loss takes; a first fit learns the classes from them.

    Parameters
    ----------
    est : MLPClassifier
    y : array-like of shape (n,) or (n, n_classes)
    continues : bool
        Whether training continues an earlier fit, with the same classes.
    held_out : bool
        Whether these are the labels of validation data.

    Returns
    -------
    array of int of shape (n,), or of float of shape (n, n_outputs)
        The class index of each sample. For two classes, or several labels per sample, columns of 0
        and 1.

    Raises
    ------
    ValueError
        A label is not among the classes, or, with ``warm_start``, a class has no samples.
    """
    y = one_dimensional(y)
    if not hasattr(est, "classes_") or not continues:
        est._label_binarizer = LabelBinarizer().fit(y)
        est.classes_ = est._label_binarizer.classes_
    else:
        _check_classes(est, y, needs_all=est.warm_start and not held_out)
    rows = est._label_binarizer.transform(y)
    if est._label_binarizer.y_type_ == "multiclass":
        return rows.argmax(axis=1)
    return rows.astype(np.float64)


def _check_classes(est: Any, y: Any, needs_all: bool) -> None:
    """Refuse labels of unknown classes; with ``needs_all``, also classes without samples."""
    classes = unique_labels(y)
    if needs_all and set(classes) != set(est.classes_):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous "
            f"call to fit. Previously got {est.classes_}, `y` has {classes}"
        )
    if len(np.setdiff1d(classes, est.classes_, assume_unique=True)):
        raise ValueError(
            "`y` has classes not in `self.classes_`. "
            f"`self.classes_` has {est.classes_}. 'y' has {classes}."
        )


def decode(est: Any, targets: np.ndarray) -> np.ndarray:
    """Return the labels of targets that are in the form of :func:`encode`."""
    if targets.ndim == 1:
        return est.classes_[targets]
    if est.n_outputs_ == 1:
        return est._label_binarizer.inverse_transform(targets.ravel())
    return targets.astype(int)


def names_of_classes(est: Any) -> list[str] | None:
    """Return the classes of an estimator if they are text, for its network; otherwise None."""
    classes = getattr(est, "classes_", ())
    if len(classes) < 2 or not all(isinstance(each, str) for each in classes):
        return None
    return [str(each) for each in classes]


def weights_of_classes(est: Any, targets: np.ndarray, incremental: bool) -> np.ndarray:
    """Return the weight of each sample's class, by the estimator's ``class_weight``.

    Parameters
    ----------
    est : MLPClassifier
    targets : array
        As :func:`encode` returns them.
    incremental : bool
        Whether ``partial_fit`` was called, which does not see all samples.

    Raises
    ------
    ValueError
        Samples have several labels, or the weights cannot be computed.
    """
    if incremental and est.class_weight == "balanced":
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit. In order to use "
            "'balanced' weights, use compute_class_weight('balanced', classes=classes, y=y), "
            "and give its result as a dict."
        )
    if targets.ndim == 2 and targets.shape[1] > 1:
        raise ValueError(
            "class_weight needs one class for each sample: for samples with several labels, "
            "give sample_weight"
        )
    if est.class_weight != "balanced":
        check_class_weight(est.class_weight, est.classes_)
    index = targets if targets.ndim == 1 else targets[:, 0].astype(int)
    by_class = compute_class_weight(est.class_weight, classes=est.classes_, y=est.classes_[index])
    return np.asarray(by_class[index])
