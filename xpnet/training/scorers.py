"""Scorers of scikit-learn as metrics of a network."""

import copy
import math
import warnings
from importlib.util import find_spec
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from array_api_compat import device

from ..backends import Array, array_namespace, ops, to_host
from ..backends._warnings import warn
from ..metrics import CollectedMetric, predicted_classes, probabilities
from ..metrics.outputs import OF_CLASSES

_CLASSES = ("classes", "distributions", "probabilities", "binary")
"""The targets of losses whose networks are classifiers to scikit-learn."""


class ScikitLearnScorer(CollectedMetric):
    """A scikit-learn scorer, by name; ``metric="neg_log_loss"`` makes one.

    scikit-learn computes it on the host from all samples of an epoch at once: from predicted
    classes, probabilities or numbers, depending on the scorer. Larger scores are better.

    Parameters
    ----------
    scorer : str
        One of ``sklearn.metrics.get_scorer_names()``.
    targets : str, optional
        What the targets are, one of :attr:`xpnet.LossFunction.targets`. A network takes it from its
        loss; by default they are values.
    threshold, output_kind : optional
        As for :class:`~xpnet.metrics.Accuracy` and :class:`~xpnet.metrics.LogLoss`.

    Raises
    ------
    ImportError
        scikit-learn is not installed.
    ValueError
        scikit-learn has no scorer of this name.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> net = NeuralNetwork(epochs=1, metric="neg_mean_absolute_error", seed=0)
    >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    >>> list(net.add(DenseLayer(1, input_shape=(1,))).fit((X, y)).history.metrics.items())
    [('neg_mean_absolute_error', 'max')]
    """

    greater_is_better: ClassVar[bool] = True

    def __init__(
        self,
        scorer: str,
        targets: str | None = None,
        threshold: float | None = None,
        output_kind: str | None = None,
    ) -> None:
        if scorer not in scorer_names():
            if find_spec("sklearn") is None:
                raise ImportError(
                    f"the metric {scorer!r} is a scorer of scikit-learn: pip install scikit-learn"
                )
            raise ValueError(f"scorer={scorer!r}: expected a name of scikit-learn's scorers")
        self.scorer = self.name = scorer
        self.targets, self.threshold, self.output_kind = targets, threshold, output_kind

    @property
    def takes_weights(self) -> bool:  # type: ignore[override]
        """Whether the scorer's function has the argument ``sample_weight``, and supports it."""
        scorer = self._scorer()
        of_pairs = scorer._kwargs.get("multi_class") == "ovo"  # the AUC of pairs of classes
        return "sample_weight" in signature(scorer._score_func).parameters and not of_pairs

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        """Whether the scorer takes probabilities or scores of classes, rather than values."""
        return bool(self._scorer()._response_method != "predict")

    @property
    def needs_probabilities(self) -> bool:
        """Whether the scorer accepts only probabilities."""
        return self._scorer()._response_method in ("predict_proba", ("predict_proba",))

    def _scorer(self) -> Any:
        from sklearn.metrics import get_scorer

        return get_scorer(self.scorer)

    def compute(self, y_true: Array, y_pred: Array, weight: Array) -> Array:
        """Return the score of the samples whose weight is above 0.

        If a class has no samples, the scorer gets the labels of all classes. A score that is still
        undefined is NaN.

        Warns
        -----
        UserWarning
            The score is NaN because a class has no samples.
        """
        y, outputs, w = (to_host(each).astype(np.float64) for each in (y_true, y_pred, weight))
        y, outputs, w = y[w > 0], outputs[w > 0], w[w > 0]
        if not w.size:
            return array_namespace(y_pred).sum(weight) + math.nan
        network: Any = _Regressor()
        missing: list[int] = []
        if self.targets in _CLASSES or self.of_classes:
            has_scores = self.output_kind is None and not self.needs_probabilities
            kind = _WithScores if has_scores else _WithProbabilities
            network = kind(self, outputs.shape[1])
            y = network.classes_of(y)
            missing = np.setdiff1d(network.classes_, y).tolist() if y.ndim == 1 else []
        elif y.shape[1] == 1:
            y = y[:, 0]
        weights = {} if (w == 1.0).all() else {"sample_weight": w}
        if missing:
            score = self._without_classes(missing, network, outputs, y, weights)
        else:
            score = float(self._scorer()(network, outputs, y, **weights))
        return array_namespace(y_pred).asarray(score, dtype=y_pred.dtype, device=device(y_pred))

    def _without_classes(
        self, missing: list[int], network: Any, outputs: np.ndarray, y: np.ndarray, weights: Any
    ) -> float:
        """Return the score of samples that lack some classes; NaN if it is not defined."""
        scorer = copy.copy(self._scorer())
        if self.of_classes and "labels" in signature(scorer._score_func).parameters:
            scorer._kwargs = {**scorer._kwargs, "labels": network.classes_}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # NaN is explained below
                score = float(scorer(network, outputs, y, **weights))
        except (ValueError, ZeroDivisionError):
            score = math.nan
        if math.isnan(score):
            classes = f"class{'es' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
            warn(
                f"the metric {self.scorer!r} is NaN, because the data have no sample of "
                f"{classes}: give data with samples of every class, or use another metric"
            )
        return score


class _Regressor:
    """Looks like a scikit-learn regressor; its features are the outputs of a network."""

    kind: ClassVar[str] = "regressor"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self.kind,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            regressor_tags=RegressorTags(),
        )

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs


class _Classifier(_Regressor):
    """Looks like a scikit-learn classifier; its features are the outputs of a network."""

    kind = "classifier"

    def __init__(self, metric: ScikitLearnScorer, n_outputs: int) -> None:
        self._metric = metric
        kind, targets = metric.output_kind, metric.targets
        excludes = kind in OF_CLASSES or targets in ("classes", "distributions")
        self._is_multilabel = n_outputs > 1 and not excludes
        self.classes_: Any = np.arange(max(n_outputs, 2))
        if self._is_multilabel:  # as in scikit-learn's multilabel classifiers
            self.classes_ = [np.arange(2)] * n_outputs

    def classes_of(self, y: np.ndarray) -> np.ndarray:
        """Return targets in scikit-learn's form: classes, or rows of 0 and 1."""
        if self._is_multilabel:
            return (y > 0.5).astype(np.int64)
        return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.int64)

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        threshold = self._metric.threshold
        if self._is_multilabel:
            return (outputs > (0.5 if threshold is None else threshold)).astype(np.int64)
        return to_host(predicted_classes(outputs, threshold))


class _WithProbabilities(_Classifier):
    """A classifier that predicts probabilities."""

    def predict_proba(self, outputs: np.ndarray) -> np.ndarray:
        kind = self._metric.output_kind
        if self._is_multilabel:
            return np.asarray(ops.sigmoid(outputs) if kind == "log-odds" else outputs)
        return to_host(probabilities(outputs, kind))


class _WithScores(_Classifier):
    """A classifier whose outputs are not known to be probabilities, but rank the samples."""

    def decision_function(self, outputs: np.ndarray) -> np.ndarray:
        scores: np.ndarray = outputs
        if outputs.shape[1] == 2 and not self._is_multilabel:
            scores = outputs[:, 1] - outputs[:, 0]
        elif outputs.shape[1] == 1:
            scores = outputs[:, 0]
        return scores


def scorer_names() -> list[str]:
    """Return the names of scikit-learn's scorers; [] if it is not installed."""
    if find_spec("sklearn") is None:
        return []
    from sklearn.metrics import get_scorer_names

    return list(get_scorer_names())
