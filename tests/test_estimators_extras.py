"""What estimators have that scikit-learn's have not: devices, dropout, class weights and more."""

import inspect
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.metrics import (
    mean_squared_error,
)
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.class_weight import compute_sample_weight

from tests.estimators import (
    BOTH,
    CLASSES,
    LABELS,
    TARGETS,
    WIDTH,
    X,
    fitted,
    made,
    ours,
    targets_for,
    theirs,
    weights,
)
from xpnet import (
    Adadelta,
    Adagrad,
    Adamax,
    AdamW,
    BatchNormalization,
    CosineDecay,
    DenseLayer,
    Dropout,
    LeakyReLUActivation,
    Lion,
    NAdam,
    RAdam,
    ReduceOnPlateau,
    ReLU6Activation,
    RMSProp,
    Rprop,
    StepDecay,
    TanhActivation,
)
from xpnet.backends import DeviceUnavailableError, UnknownNameError
from xpnet.estimators._lbfgs import Objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def by_hand(est, hidden, features=X):
    """Return the outputs of an estimator's network, with a function of its hidden units."""
    for w, b in zip(est.coefs_[:-1], est.intercepts_[:-1], strict=True):
        features = hidden(features @ w + b)
    return features @ est.coefs_[-1] + est.intercepts_[-1]


# ---- the parameters themselves


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("method", ["__init__", "fit", "partial_fit", "predict", "score"])
def test_arguments_begin_with_scikit_learns(kind, method):
    mine, expected = (
        list(inspect.signature(getattr(getattr(module, kind), method)).parameters.values())
        for module in (ours, theirs)
    )
    for one, other in zip(mine, expected, strict=False):
        assert (one.name, one.default, one.kind) == (other.name, other.default, other.kind)
    assert len(mine) >= len(expected)
    assert all(each.default is not inspect.Parameter.empty for each in mine[len(expected) :])


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_here_besides_is_for_the_classifier_and_the_regressor(kind):
    more = getattr(ours, kind)().get_params().keys() - getattr(theirs, kind)().get_params().keys()
    both = {
        "device", "dtype", "precision", "dropout", "batch_norm", "l1_ratio", "weight_decay",
        "scoring", "callbacks", "progress",
    }  # fmt: skip
    assert more == both | ({"class_weight"} if kind == "MLPClassifier" else set())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", 0), ("dtype", "float16"), ("precision", "double"), ("dropout", 1.0),
        ("dropout", -0.1), ("batch_norm", "yes"), ("class_weight", "auto"), ("l1_ratio", 1.1),
        ("weight_decay", -1.0), ("scoring", 3), ("callbacks", 3), ("progress", "bar"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(InvalidParameterError, match=f"The {name!r} parameter of MLPClassifier"):
        fitted("MLPClassifier", **{name: value})


# ---- device, type, precision


@pytest.mark.filterwarnings("ignore:device='auto' uses the CPU")
@pytest.mark.parametrize("kind", BOTH)
def test_the_cpu_by_name_is_the_cpu(kind):
    est = fitted(kind, device="cpu")
    np.testing.assert_array_equal(weights(est), weights(fitted(kind)))
    assert est.network_.backend.name == "numpy"
    assert np.isfinite(weights(fitted(kind, device="auto"))).all()


def test_invalid_devices_are_refused():
    with pytest.raises(UnknownNameError, match="unknown device 'tpu'"):
        fitted("MLPClassifier", device="tpu")


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_without_cupy_the_error_says_what_to_install(device):
    with pytest.raises(DeviceUnavailableError, match=r"needs CuPy.*pip install 'cupy-cuda13x"):
        fitted("MLPClassifier", device=device)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("dtype", "given"), [("float32", "float64"), ("float64", "float32")])
def test_dtype_is_that_of_weights_and_answers(kind, solver, dtype, given):
    est = made(ours, kind, solver=solver, dtype=dtype).fit(X.astype(given), targets_for(kind))
    expected = made(ours, kind, solver=solver).fit(X.astype(dtype), targets_for(kind))
    assert {array.dtype.name for array in (*est.coefs_, *est.intercepts_)} == {dtype}
    np.testing.assert_allclose(weights(est), weights(expected), rtol=1e-3, atol=1e-5)
    if kind == "MLPRegressor":
        assert est.predict(X.astype(given)).dtype == dtype


@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
def test_products_of_fewer_bits_are_for_cuda_and_float32(precision):
    with pytest.raises(ValueError, match="needs dtype='float32'"):
        fitted("MLPClassifier", precision=precision)
    with pytest.raises(ValueError, match="is for products on CUDA, but this network is on cpu"):
        fitted("MLPClassifier", precision=precision, dtype="float32")


# ---- dropout, batch normalization


@pytest.mark.parametrize("kind", BOTH)
def test_dropout_is_for_training_alone(kind):
    est = fitted(kind, dropout=0.5)
    assert [type(layer) for layer in est.network_.layers].count(Dropout) == 1
    assert not np.allclose(weights(est), weights(fitted(kind)))
    outputs = by_hand(est, lambda z: np.maximum(z, 0))
    for _ in range(2):
        np.testing.assert_allclose(est.network_.predict(X), outputs, rtol=1e-9)


def test_dropout_is_drawn_from_random_state():
    first, again, other = (fitted("MLPRegressor", dropout=0.5, random_state=k) for k in (1, 1, 2))
    np.testing.assert_array_equal(weights(first), weights(again))
    assert not np.allclose(weights(first), weights(other))
    # First weights are those without dropout.
    still = {"learning_rate_init": 1e-15, "dropout": 0.5}
    np.testing.assert_allclose(
        weights(fitted("MLPRegressor", **still)),
        weights(fitted("MLPRegressor", theirs, learning_rate_init=1e-15)),
        atol=1e-12,
    )


def running(est):
    (layer,) = (each for each in est.network_.layers if isinstance(each, BatchNormalization))
    return np.array([layer.running_mean, layer.running_variance])


def test_batch_normalization_is_between_a_layer_and_its_activation():
    est = fitted("MLPRegressor", batch_norm=True, hidden_layer_sizes=(4, 3))
    kinds = [type(layer).__name__ for layer in est.network_.layers]
    hidden = ["DenseLayer", "BatchNormalization", "ReLUActivation"]
    assert kinds == [*hidden, *hidden, "DenseLayer"]
    np.testing.assert_array_equal(est.predict(X[:7]), est.predict(X)[:7])  # running statistics


def test_running_statistics_last_from_one_fit_to_the_next():
    """Without momentum two fits with a warm start are one, and so are epochs one by one."""
    given = {"batch_norm": True, "solver": "sgd", "momentum": 0.0, "shuffle": False, "tol": 0.0}
    once = fitted("MLPRegressor", max_iter=4, **given)
    warm = fitted("MLPRegressor", max_iter=2, warm_start=True, **given).fit(X, WIDTH)
    each = made(ours, "MLPRegressor", **given)
    for _ in range(4):
        each.partial_fit(X, WIDTH)
    for est in (warm, each):
        np.testing.assert_allclose(running(est), running(once), rtol=1e-12)
        np.testing.assert_allclose(est.predict(X), once.predict(X), rtol=1e-12)
    cold = fitted("MLPRegressor", max_iter=2, **given).fit(X, WIDTH)
    assert not np.allclose(running(cold), running(once))


@pytest.mark.parametrize("kind", BOTH)
def test_lbfgs_takes_batch_normalization(kind):
    given = {"solver": "lbfgs", "max_iter": 40, "hidden_layer_sizes": 20, "batch_norm": True}
    assert fitted(kind, **given).score(X, targets_for(kind)) > 0.8


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("parameters", "held_out"),
    [({"dropout": 0.2}, False), ({"callbacks": []}, False), ({}, True)],
    ids=["dropout", "callbacks", "validation_data"],
)
def test_lbfgs_refuses_what_is_for_batches_and_epochs(kind, parameters, held_out, request):
    y = targets_for(kind)
    name = request.node.callspec.id.split("-")[0]
    with pytest.raises(ValueError, match=f"^{name} cannot be combined with solver="):
        made(ours, kind, solver="lbfgs", **parameters).fit(
            X, y, validation_data=(X, y) if held_out else None
        )


# ---- weights of classes

TEXT = np.array(["no", "yes"])[(CLASSES == 0).astype(int)]
CLASS_WEIGHTS = {
    "two classes": (CLASSES == 0, {True: 3.0, False: 0.5}),
    "three classes": (CLASSES, {0: 1.0, 1: 2.5, 2: 0.1}),
    "text": (TEXT, {"yes": 4.0}),
    "balanced, three": (np.minimum(CLASSES + np.arange(150) % 2, 2), "balanced"),
    "balanced, text": (TEXT, "balanced"),
}


@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("case", CLASS_WEIGHTS)
def test_weights_of_classes_are_weights_of_their_samples(case, settings, rng):
    y, class_weight = CLASS_WEIGHTS[case]
    given, by_class = rng.uniform(0.5, 1.5, 150), compute_sample_weight(class_weight, y)
    for sample_weight, expected in ((None, by_class), (given, given * by_class)):
        est = made(ours, "MLPClassifier", class_weight=class_weight, **settings)
        est.fit(X, y, sample_weight)
        alike = made(ours, "MLPClassifier", **settings).fit(X, y, expected)
        np.testing.assert_allclose(weights(est), weights(alike), rtol=1e-12)
        assert est.loss_ == pytest.approx(alike.loss_, rel=1e-12)
    assert not np.array_equal(weights(est), weights(fitted("MLPClassifier", **settings)))


def test_weights_of_classes_in_partial_fit_are_given_for_each():
    by_class = {0: 1.0, 1: 2.5, 2: 0.1}
    est = made(ours, "MLPClassifier", class_weight=by_class)
    alike = made(ours, "MLPClassifier")
    for part in (slice(0, 60), slice(60, 150)):
        y = CLASSES[part]
        est.partial_fit(X[part], y, classes=[0, 1, 2])
        alike.partial_fit(X[part], y, np.array([1.0, 2.5, 0.1])[y], classes=[0, 1, 2])
    np.testing.assert_array_equal(weights(est), weights(alike))
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        est.set_params(class_weight="balanced").partial_fit(X, CLASSES)


def test_weights_of_classes_are_refused_for_several_labels():
    with pytest.raises(ValueError, match="needs one class for each sample"):
        made(ours, "MLPClassifier", class_weight={0: 2.0}).fit(X, LABELS)


# ---- penalties, solvers


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_penalty_is_the_sum_over_weights_and_not_biases(l1_ratio, solver):
    est = fitted(
        "MLPRegressor", alpha=2.0, l1_ratio=l1_ratio, solver=solver, learning_rate_init=1e-15
    )
    w = np.concatenate([each.ravel() for each in est.coefs_])
    expected = 2.0 / 150 * (l1_ratio * np.abs(w).sum() + (1 - l1_ratio) * (w @ w) / 2)
    assert est.loss_ - mean_squared_error(WIDTH, est.predict(X)) / 2 == pytest.approx(
        expected, rel=1e-6
    )
    if solver == "adam":
        assert est.history_["penalty"] == pytest.approx([expected] * 3, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"batch_norm": True}], ids=str)
@pytest.mark.parametrize(
    "case", ["two classes", "three classes", "several labels", "a number", "several counts"]
)
def test_the_gradient_of_lbfgs_is_that_of_its_loss(case, parameters, weighted, rng):
    """Of several numbers it is not, as in scikit-learn, where the loss is a mean over outputs."""
    kind, y, loss = TARGETS[case]
    smooth = {"solver": "lbfgs", "activation": "tanh", "alpha": 3.0, "l1_ratio": 0.4}
    weight = rng.uniform(size=150) if weighted else None
    est = made(ours, kind, **smooth | loss | parameters).fit(X, y)
    targets = est._encode(y, incremental=True)
    objective = Objective(est.network_, X, targets, weight, est)
    at, h = objective.start(), 1e-6
    _, gradient = objective(at)
    for k in range(0, at.size, 3):
        step = np.zeros(at.size)
        step[k] = h
        slope = (objective(at + step)[0] - objective(at - step)[0]) / (2 * h)
        assert gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_l1_penalty_makes_weights_sparser(solver):
    given = {"solver": solver, "alpha": 8.0, "max_iter": 150, "learning_rate_init": 0.02}
    small = [
        np.mean(np.abs(weights(fitted("MLPClassifier", l1_ratio=ratio, **given))) < 5e-3)
        for ratio in (0.0, 1.0)
    ]
    assert small[1] > small[0] + 0.2


def test_weight_decay_makes_weights_smaller_before_each_step():
    given = {"max_iter": 1, "alpha": 0.0, "learning_rate_init": 0.1}
    plain = fitted("MLPRegressor", **given)
    np.testing.assert_array_equal(
        weights(fitted("MLPRegressor", solver="adamw", weight_decay=0.0, **given)), weights(plain)
    )
    decayed = fitted("MLPRegressor", solver="adamw", weight_decay=0.5, **given)
    first = fitted("MLPRegressor", **given | {"learning_rate_init": 1e-15})
    w = np.concatenate([each.ravel() for each in first.coefs_])
    lost = weights(plain)[: w.size] - weights(decayed)[: w.size]
    np.testing.assert_allclose(lost, 0.1 * 0.5 * w, rtol=1e-9)


SOLVER_RATES = {
    AdamW: 0.05, RMSProp: 0.05, Adagrad: 0.05, Adadelta: 5.0, Adamax: 0.05, NAdam: 0.05,
    RAdam: 0.05, Lion: 0.005, Rprop: 0.01,
}  # fmt: skip


@pytest.mark.parametrize("kind", SOLVER_RATES)
@pytest.mark.parametrize("estimator", BOTH)
def test_solvers_of_the_library_learn(kind, estimator):
    rate = SOLVER_RATES[kind]
    given = {"solver": kind.__name__.lower(), "learning_rate_init": rate, "hidden_layer_sizes": 10}
    given |= {"max_iter": 150, "n_iter_no_change": 150, "epsilon": 1e-7, "activation": "tanh"}
    est = fitted(estimator, **given)
    optimizer = est.network_.optimizer
    assert type(optimizer) is kind
    assert optimizer.learning_rate == rate
    assert getattr(optimizer, "epsilon", 1e-7) == 1e-7
    assert est.score(X, targets_for(estimator)) > 0.5
    before = weights(est)
    assert not np.array_equal(weights(est.partial_fit(X, targets_for(estimator))), before)


def test_rprop_trains_on_full_batches_and_takes_no_schedule():
    est = fitted("MLPRegressor", solver="rprop", max_iter=3)
    assert est.network_.batch_size == len(X)
    assert est.network_.optimizer.n_updates == 3
    with pytest.raises(ValueError, match="Rprop, which adapts its steps itself"):
        fitted("MLPRegressor", solver="rprop", learning_rate=CosineDecay(0.1))


# ---- activations, schedules


def leaky(alpha):
    return lambda z: np.where(z > 0, z, alpha * z)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("leaky_relu", leaky(0.01)),
        ("relu6", lambda z: np.clip(z, 0, 6)),
        (LeakyReLUActivation, leaky(0.01)),
        (LeakyReLUActivation(0.3), leaky(0.3)),
        (lambda: LeakyReLUActivation(0.3), leaky(0.3)),
        (["leaky_relu"] * 2, leaky(0.01)),
        ((LeakyReLUActivation(0.3), LeakyReLUActivation(0.3)), leaky(0.3)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_activations_of_the_library(activation, function, solver):
    given = {"activation": activation, "hidden_layer_sizes": (5, 4), "solver": solver}
    est = fitted("MLPRegressor", **given)
    np.testing.assert_allclose(est.predict(X), by_hand(est, function)[:, 0], rtol=1e-9)
    before = weights(est)
    np.testing.assert_array_equal(weights(est.fit(X, WIDTH)), before)  # and again


def test_an_activation_that_is_an_object_stays_the_users():
    given = LeakyReLUActivation(0.3)
    first, second = (fitted(kind, activation=given, hidden_layer_sizes=(3, 3)) for kind in BOTH)
    assert vars(given) == vars(LeakyReLUActivation(0.3))
    layers = [*first.network_.layers, *second.network_.layers]
    used = [layer for layer in layers if isinstance(layer, LeakyReLUActivation)]
    assert len({id(layer) for layer in [*used, given]}) == 5


def test_each_hidden_layer_may_have_its_own_activation():
    mixed = ["logistic", TanhActivation, ReLU6Activation()]
    est = fitted("MLPRegressor", activation=mixed, hidden_layer_sizes=(3, 4, 5))
    kinds = [type(layer).__name__ for layer in est.network_.layers[1::2]]
    assert kinds == ["SigmoidActivation", "TanhActivation", "ReLU6Activation"]
    still = {"learning_rate_init": 1e-15, "hidden_layer_sizes": (3, 4, 5)}
    found = fitted("MLPRegressor", activation=mixed, **still)
    alike = [fitted("MLPRegressor", activation=name, **still) for name in ("logistic", "tanh")]
    np.testing.assert_allclose(found.coefs_[0], alike[0].coefs_[0], atol=1e-12)
    for k in (1, 2, 3):
        np.testing.assert_allclose(found.coefs_[k], alike[1].coefs_[k], atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (["relu"], "activation has 1 activations for 2 hidden layers"),
        (("relu", "relu", "tanh"), "activation has 3 activations for 2 hidden layers"),
        (["relu", "softmax"], "activation 'softmax': expected one of identity, linear"),
        (int, "activation <class 'int'>: expected a name"),
        (lambda: DenseLayer(3), "expected a name .* a subclass of ActivationLayer"),
    ],
)
def test_activations_that_are_none_are_refused(activation, message):
    with pytest.raises(ValueError, match=message):
        fitted("MLPRegressor", activation=activation, hidden_layer_sizes=(3, 3))


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop"])
def test_a_schedule_takes_the_place_of_a_name(solver):
    given = {"solver": solver, "learning_rate": StepDecay(0.1, 0.5, 2)}
    est = fitted("MLPRegressor", max_iter=5, **given)
    assert est.history_["learning_rate"] == [0.1, 0.1, 0.05, 0.05, 0.025]
    same = fitted("MLPRegressor", max_iter=1, solver=solver, learning_rate_init=0.1)
    one = fitted("MLPRegressor", max_iter=1, learning_rate_init=7.0, **given)  # which is ignored
    np.testing.assert_allclose(weights(one), weights(same), rtol=1e-12)


def test_a_schedule_that_watches_the_loss_stays_the_users():
    schedule = ReduceOnPlateau(0.1, factor=0.5, patience=0, min_delta=1e9)
    before = dict(vars(schedule))
    rates = fitted("MLPRegressor", learning_rate=schedule).history_["learning_rate"]
    assert rates == [0.1, 0.1, 0.05]  # the first loss is the best one so far
    assert vars(schedule) == before
