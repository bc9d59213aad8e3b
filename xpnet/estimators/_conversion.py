"""Convert fitted estimators to scikit-learn's and back; predictions stay the same."""

import copy
from typing import Any

import sklearn.neural_network
from sklearn.utils.validation import check_is_fitted

from ._state import adopt

_LEARNED = (
    "n_features_in_", "feature_names_in_", "n_outputs_", "n_layers_", "out_activation_", "classes_",
    "_label_binarizer", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "_no_improvement_count",
)  # fmt: skip


def to_sklearn(est: Any) -> Any:
    """Return scikit-learn's estimator with the parameters and weights of ``est``.

    Raises
    ------
    ValueError
        ``est`` uses a feature that scikit-learn lacks: batch normalization, or another activation,
        solver or learning rate.
    """
    check_is_fitted(est)
    made = getattr(sklearn.neural_network, type(est).__name__)()
    if est.batch_norm:
        raise ValueError("batch_norm=True: scikit-learn's networks have no batch normalization")
    for name, allowed in (
        ("activation", ("identity", "logistic", "tanh", "relu")),
        ("solver", ("lbfgs", "sgd", "adam")),
        ("learning_rate", ("constant", "invscaling", "adaptive")),
    ):
        if not isinstance(value := getattr(est, name), str) or value not in allowed:
            raise ValueError(f"{name}={value!r}: scikit-learn supports only {', '.join(allowed)}")
    made.set_params(**{name: getattr(est, name) for name in made.get_params()})
    _copy_learned(est, made)
    for name in ("coefs", "intercepts"):
        setattr(made, f"{name}_", [array.copy() for array in getattr(est, f"{name}_")])
        if est.early_stopping:  # restored if a warm start brings no improvement
            setattr(made, f"_best_{name}", [array.copy() for array in getattr(est, f"{name}_")])
    return made


def from_sklearn(kind: type, given: Any, parameters: dict[str, Any]) -> Any:
    """Return an estimator of class ``kind`` with the parameters and weights of scikit-learn's.

    Raises
    ------
    TypeError
        ``given`` is of another class.
    """
    expected = getattr(sklearn.neural_network, kind.__name__)
    if not isinstance(given, expected):
        raise TypeError(
            f"from_sklearn got {type(given).__name__}: expected scikit-learn's {kind.__name__}"
        )
    check_is_fitted(given)
    est = kind(**given.get_params(deep=False) | parameters)
    _copy_learned(given, est)
    adopt(est, [array.copy() for array in given.coefs_], [b.copy() for b in given.intercepts_])
    return est


def _copy_learned(old: Any, new: Any) -> None:
    for name in _LEARNED:
        if hasattr(old, name):
            setattr(new, name, copy.deepcopy(getattr(old, name)))
