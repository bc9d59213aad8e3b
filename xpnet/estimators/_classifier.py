"""``MLPClassifier``."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from ..backends import Array, array_namespace, ops
from ..common.keywords import ESTIMATOR, with_hints
from ..losses import BinaryCrossEntropy, LossFunction, SoftmaxCrossEntropy
from ._base import BaseMLP, partial_fit_if_stochastic
from ._inputs import Home, answer, on_host
from ._labels import decode, encode, weights_of_classes
from ._network import apply_output_activation
from ._parameters import CONSTRAINTS, store_parameters
from ._rollback import all_or_nothing


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron classifier: scikit-learn's, with ``device=``.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default (100,)
        Units of each hidden layer.
    activation : str, ActivationLayer, its class, a function, or a list of them, default "relu"
        The activation of hidden layers; a list has one for each. Names are "identity", "logistic",
        "tanh", "relu" and all others in :mod:`xpnet.activations` except the softmaxes. A function
        takes an array, or returns an ActivationLayer.
    solver : str, default "adam"
        "lbfgs", "sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam",
        "radam", "lion" or "rprop"; see :mod:`xpnet.optimizers`.
    alpha : float, default 0.0001
        Strength of the penalty, which is divided by the number of samples in the batch.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, n_samples), and n_samples for "rprop".
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule, default "constant"
        How the learning rate changes from epoch to epoch. The names apply only to "sgd":
        "invscaling" divides ``learning_rate_init`` by (samples seen + 1) ** power_t; "adaptive"
        divides the rate by 5 after ``n_iter_no_change`` epochs without an improvement of ``tol``.
    learning_rate_init : float, default 0.001
        For "adadelta", 1.0 is usual; for "lion", 0.0001; for "rprop", 0.01.
    power_t : float, default 0.5
        The exponent of "invscaling".
    max_iter : int, default 200
        The maximum number of epochs, or of iterations of "lbfgs".
    shuffle : bool, default True
        Whether to shuffle the samples for each epoch.
    random_state : int, RandomState or None, default None
        Determines initial weights, held-out samples, batches and dropout.
    tol : float, default 0.0001
        The smallest change of the loss or the score that counts as an improvement.
    verbose : bool, default False
        Whether to print a line after each epoch.
    warm_start : bool, default False
        Whether ``fit`` starts from the weights of the last fit.
    momentum : float, default 0.9
    nesterovs_momentum : bool, default True
        Parameters of "sgd".
    early_stopping : bool, default False
        Whether to hold samples out, stop when their score no longer improves, and keep the best
        weights.
    validation_fraction : float, default 0.1
        The fraction of the samples that ``early_stopping`` holds out.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Parameters of "adam", "adamw", "adamax", "nadam" and "radam"; ``epsilon`` also of "rmsprop",
        "adagrad" and "adadelta".
    n_iter_no_change : int, default 10
        Epochs without an improvement after which training ends.
    max_fun : int, default 15000
        The maximum number of times that "lbfgs" computes the loss.
    device : str, optional
        "cpu", "cuda", "cuda:1" or "auto"; by default, the device of the features given to ``fit``.
        A pickled estimator that was fitted on a GPU needs a GPU to be loaded; :meth:`to_sklearn`
        converts it for other machines.
    dtype : {"float32", "float64"}, optional
        The dtype to compute in; by default that of the features, or float64 for integers.
    precision : str, default "float32"
        The precision of matrix products in float32 on CUDA; see :class:`xpnet.NeuralNetwork`.
    dropout : float, default 0.0
        The fraction of hidden units that training drops.
    batch_norm : bool, default False
        Whether hidden layers are normalised before their activation.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes in training, which multiply the sample weights. Scores for early
        stopping ignore them.
    l1_ratio : float, default 0.0
        The fraction of ``alpha`` that is an L1 penalty.
    weight_decay : float, default 0.01
        The weight decay of "adamw" and "lion".
    scoring : str, callable or None, default None
        A scikit-learn scorer for ``early_stopping``; None means accuracy.
    callbacks : Callback or list of Callback, optional
        See :mod:`xpnet.callbacks`.
    progress : bool, default False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coefs_, intercepts_ : list of array
        Weights and biases of each layer; copies if the model is on a GPU.
    loss_, best_loss_ : float
        The last and the lowest loss, penalty included. ``best_loss_`` is None with early stopping.
        ``loss_`` is NaN if the last epoch diverged, or if Ctrl-C ended the first epoch.
    loss_curve_, validation_loss_curve_ : list of float
        The losses of each epoch, or of each iteration of "lbfgs". Validation losses are recorded
        with early stopping or ``validation_data``.
    validation_scores_, best_validation_score_
        The validation score of each epoch and the best score; None without early stopping. An epoch
        that diverged has the score NaN. The best score is finite, or -inf if no score is finite.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_ : int
        The numbers of epochs or iterations, samples seen, layers (including the input layer),
        outputs and features.
    feature_names_in_ : array of str
        The names of the features, if X has column names.
    out_activation_ : str
        The activation that turns outputs into probabilities: "softmax" or "logistic".
    history_ : History
        The history of the network, with a row for each complete epoch; empty for "lbfgs". With
        early stopping, its column ``val_score`` has the validation scores, and its ``kept_epoch``
        is the epoch whose weights were kept.
    network_ : NeuralNetwork
        The trained network. Its outputs are logits. Its ``class_names`` are ``classes_`` if these
        are text.

    Notes
    -----
    Loss, penalty, initial weights, learning rates, stopping and random numbers are scikit-learn's:
    in float64 on a CPU the weights are the same within rounding. With sample weights, ``loss_`` is
    the weighted mean over all samples, where scikit-learn takes the plain mean of the batches'
    weighted means. On a GPU, ``loss_`` includes the penalty at the end of the epoch.

    If training diverges, ``fit`` raises a ``ValueError`` and does not change the estimator. With
    ``early_stopping`` it ends with a ``ConvergenceWarning`` instead, and keeps the weights with the
    best validation score, as scikit-learn does. "lbfgs" ends with such a warning, too.

    Warnings point at the line that called ``fit``, even through a pipeline. Hide them by category:
    ``warnings.filterwarnings("ignore", category=sklearn.exceptions.ConvergenceWarning)``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnet.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(solver="lbfgs", random_state=0, max_iter=1000).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.97)
    True
    """

    __module__ = __package__  # the public path, which pickles name

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    @with_hints(**ESTIMATOR)
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        device: str | None = None,
        dtype: str | None = None,
        precision: str = "float32",
        dropout: float = 0.0,
        batch_norm: bool = False,
        class_weight: Any = None,
        l1_ratio: float = 0.0,
        weight_decay: float = 0.01,
        scoring: Any = None,
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        store_parameters(self, locals())

    # ---- labels

    def _encode(self, y: Any, incremental: bool, held_out: bool = False) -> np.ndarray:
        return encode(self, y, continues=self.warm_start or incremental, held_out=held_out)

    def _decode(self, targets: np.ndarray) -> np.ndarray:
        return decode(self, targets)

    def _n_outputs(self, targets: np.ndarray) -> int:
        return len(self.classes_) if targets.ndim == 1 else targets.shape[1]

    def _class_weights(self, targets: np.ndarray, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        return weights_of_classes(self, targets, incremental)

    # ---- the loss

    def _loss(self, dtype: str) -> LossFunction:
        most = float(-np.log(np.finfo(dtype).eps))  # scikit-learn's probabilities are at least ε
        if self.out_activation_ == "softmax":
            return SoftmaxCrossEntropy(max_reported=most)
        return BinaryCrossEntropy(from_logits=True, factor=self.n_outputs_, max_reported=most)

    def _reported_loss(self, loss: Array, z: Array, targets: Array, *weight: Array) -> Array:
        """Return scikit-learn's loss, of probabilities clipped to [ε, 1 - ε]."""
        xp, p = array_namespace(z), apply_output_activation(self.out_activation_, z)
        epsilon = float(xp.finfo(p.dtype).eps)
        p = ops.clip(p, epsilon, 1.0 - epsilon)
        if targets.ndim == 1:
            losses = xp.sum(ops.one_hot(targets, z.shape[1], like=z) * xp.log(p), axis=1)
        else:
            y = xp.astype(targets, z.dtype)
            losses = xp.sum(y * xp.log(p) + (1.0 - y) * xp.log(1.0 - p), axis=1)
        if not weight:
            return -xp.mean(losses)
        return -xp.sum(losses * weight[0]) / xp.sum(weight[0])

    def _out_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _held_out_score(self, z: np.ndarray, targets: np.ndarray, weight: Any) -> float:
        if len(self.classes_) == 1:
            return 1.0  # there is nothing else to predict
        found = z.argmax(axis=1) if targets.ndim == 1 else z > 0
        return float(accuracy_score(targets, found, sample_weight=weight))

    # ---- predicting

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sample, or all labels with probabilities > 0.5.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
            In the library and on the device of X if the classes are numbers; in NumPy if they are
            text, or if X is a list, a table or a sparse matrix.

        Raises
        ------
        NotFittedError
            The estimator has not been fitted.
        ValueError
            A feature is missing, NaN or infinite, or the features are not those of :meth:`fit`:
            scikit-learn expects the same columns in the same order.
        TypeError
            The features are dates or durations.
        """
        z, home = self._outputs(X)
        if self.out_activation_ == "softmax":
            return answer(self.classes_[z.argmax(axis=1)], home)
        probabilities = apply_output_activation("logistic", z)
        if self.n_outputs_ == 1:
            probabilities = probabilities.ravel()
        return answer(self._label_binarizer.inverse_transform(probabilities), home)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            In the library and on the device of X.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As for :meth:`predict`.
        """
        return answer(*self._probabilities(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            -inf for a probability of 0.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As for :meth:`predict`.
        """
        probabilities, home = self._probabilities(X)
        with np.errstate(divide="ignore"):
            return answer(np.log(probabilities), home)

    def _probabilities(self, X: Any) -> tuple[np.ndarray, Home]:
        z, home = self._outputs(X)
        found = apply_output_activation(self.out_activation_, z)
        if self.n_outputs_ == 1:
            found = np.concatenate([1.0 - found, found], axis=1)
        return found, home

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; a sample with several labels counts only if all are correct.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As for :meth:`predict`; or ``y`` or ``sample_weight`` has another length.
        """
        return float(
            accuracy_score(
                on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight)
            )
        )

    @partial_fit_if_stochastic
    @_fit_context(prefer_skip_nested_validation=True)
    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes : array of shape (n_classes,), optional
            All classes of this and later calls; required in the first call.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            As for :meth:`fit`; also with ``early_stopping``, and with ``class_weight="balanced"``,
            which needs all samples at once. Or the first call has no ``classes``, or ``y`` has
            labels that are not among ``classes``.
        TypeError, DeviceUnavailableError
            As for :meth:`fit`.
        AttributeError
            The ``solver`` is "lbfgs", which needs all samples at once.
        """
        classes = on_host(classes)
        if _check_partial_fit_first_call(self, classes):
            labels = on_host(y)
            several = type_of_target(labels).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(labels if several else classes)
        return self._fit(X, y, sample_weight, None, incremental=True)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: samples with several labels are supported."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
