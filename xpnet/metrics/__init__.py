"""Metrics: numbers that measure how good a network's outputs are.

A metric sums *statistics* over batches on the device, and computes its value from the sums once. A
metric can also be called, as in ``accuracy(y_true, y_pred)``; it returns a 0-d array of the library
of ``y_pred``.

A new metric is a subclass of :class:`Metric` with ``statistics`` and ``result``, or of
:class:`CollectedMetric` with ``compute`` if it needs all samples at once. It may also be a
function ``(y_true, y_pred) -> number``, which gets all outputs of an epoch. Searches and callbacks
read the attribute ``greater_is_better`` of a metric to find the best network. For a function
without this attribute, they need ``mode="max"`` or ``mode="min"``.
"""

from .accuracies import Accuracy, BinaryAccuracy, TopKAccuracy
from .base import CollectedMetric, Metric, with_help_of_call
from .batch import predicted_classes, true_classes
from .confusion import (
    F1,
    BalancedAccuracy,
    CohenKappa,
    MatthewsCorrelation,
    Precision,
    Recall,
    confusion_matrix,
)
from .outputs import probabilities
from .probability import BrierScore, ExpectedCalibrationError, LogLoss, ProbabilityMetric
from .ranking import ROCAUC, AveragePrecision
from .regression import (
    MAE,
    MAPE,
    MSE,
    R2,
    RMSE,
    ExplainedVariance,
    MaxError,
    QuantileError,
)

__all__ = [
    "F1",
    "MAE",
    "MAPE",
    "METRICS",
    "MSE",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "BinaryAccuracy",
    "BrierScore",
    "CohenKappa",
    "CollectedMetric",
    "ExpectedCalibrationError",
    "ExplainedVariance",
    "LogLoss",
    "MatthewsCorrelation",
    "MaxError",
    "Metric",
    "Precision",
    "ProbabilityMetric",
    "QuantileError",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "confusion_matrix",
    "f1",
    "mae",
    "mse",
    "precision",
    "predicted_classes",
    "probabilities",
    "r2",
    "recall",
    "rmse",
    "true_classes",
]

METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "average_precision": AveragePrecision,
    "balanced_accuracy": BalancedAccuracy,
    "binary_accuracy": BinaryAccuracy,
    "brier_score": BrierScore,
    "calibration_error": ExpectedCalibrationError,
    "cohen_kappa": CohenKappa,
    "explained_variance": ExplainedVariance,
    "f1": F1,
    "log_loss": LogLoss,
    "mae": MAE,
    "mape": MAPE,
    "matthews_corrcoef": MatthewsCorrelation,
    "max_error": MaxError,
    "mse": MSE,
    "precision": Precision,
    "quantile_error": QuantileError,
    "r2": R2,
    "recall": Recall,
    "rmse": RMSE,
    "roc_auc": ROCAUC,
    "top_k_accuracy": TopKAccuracy,
}

accuracy, mse, mae, rmse, r2 = map(with_help_of_call, (Accuracy(), MSE(), MAE(), RMSE(), R2()))
precision, recall, f1 = map(with_help_of_call, (Precision(), Recall(), F1()))


def __dir__() -> list[str]:
    return sorted(__all__)
