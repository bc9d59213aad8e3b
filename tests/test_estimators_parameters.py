"""Random parameters, good and bad, are fit or refused as by scikit-learn's networks."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.utils._param_validation import InvalidParameterError

from tests.estimators import BOTH, made, ours, theirs

N = 12
X = np.random.default_rng(0).standard_normal((N, 3))
Y = {"MLPClassifier": np.arange(N) % 2, "MLPRegressor": X[:, 0].copy()}

ODD = [
    None, True, False, "text", "", "auto", "constant", b"x", float("nan"), float("inf"), -np.inf,
    -1, 0, 1, 2, 3.5, -0.5, 1e300, 1e-300, np.float32(0.5), np.float64("nan"), np.int64(3),
    np.int8(2), np.bool_(True), np.array(1), np.array([2, 2]), np.ma.array([2, 2], mask=[0, 1]),
    [], (), {}, [1, "a"], [2.0], [True], {2: 3}, object(), 1j, 10**25, 10**400, len,
]  # fmt: skip
GOOD = {
    "hidden_layer_sizes": [3, (2,), [2, 2], np.array([3, 2]), (), np.int64(2), range(1, 3)],
    "activation": ["identity", "logistic", "tanh", "relu"],
    "solver": ["sgd", "adam", "lbfgs"],
    "alpha": [0, 1e-3, 5.0, np.float32(0.1)],
    "batch_size": ["auto", 1, 5, N, 100],
    "learning_rate": ["constant", "invscaling", "adaptive"],
    "learning_rate_init": [1e-3, 0.5],
    "power_t": [0, 0.5, 2],
    "max_iter": [1, 2, 3],
    "shuffle": [True, False],
    "random_state": [0, 7, np.int64(3)],
    "tol": [0, 1e-4, 1e9],
    "verbose": [False],
    "warm_start": [True, False],
    "momentum": [0, 0.5, 0.9, 1],
    "nesterovs_momentum": [True, False],
    "early_stopping": [True, False],
    "validation_fraction": [0.0, 0.2, 0.5, 0.99],
    "beta_1": [0, 0.5],
    "beta_2": [0, 0.9],
    "epsilon": [1e-8, 1.0],
    "n_iter_no_change": [1, 3, np.inf],
    "max_fun": [1, 10],
}
WIDER = ("activation", "solver", "learning_rate")  # allow more here, and say so
OWN = {
    "device": [None, "cpu", "auto"],
    "dtype": [None, "float32", "float64"],
    "precision": ["float32"],
    "dropout": [0.0, 0.5],
    "batch_norm": [True, False],
    "class_weight": [None, "balanced", {0: 1.0, 1: 2.0}],
    "l1_ratio": [0.0, 0.5, 1],
    "weight_decay": [0.0, 0.1],
    "scoring": [None],
    "callbacks": [None, []],
    "progress": [False],
}


def some(rng, choices):
    return choices[rng.integers(len(choices))]


def drawn(rng, names):
    """Return random parameters: up to three good ones, and up to two of any sort."""
    pool, given = GOOD | OWN, {}
    for _ in range(rng.integers(4)):
        name = some(rng, list(GOOD))
        given[name] = some(rng, GOOD[name])
    for _ in range(rng.integers(3)):
        given[some(rng, names)] = some(rng, ODD)
    for name in rng.permutation(names)[: rng.integers(2)]:
        given[str(name)] = some(rng, pool[name])
    if type(given.get("max_iter")) is int and given["max_iter"] > 99:
        del given["max_iter"]  # it would train for so long
    if type(given.get("power_t")) is int and given["power_t"] > 99:
        del given["power_t"]  # scikit-learn takes a whole number to that power
    return given


def outcome(module, kind, given):
    """Return predictions after a fit, or its error; hide what 'verbose' prints."""
    est = made(module, kind, **{"max_iter": 2} | given)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            est.fit(X, Y[kind])
            return est.predict_proba(X) if kind == "MLPClassifier" else est.predict(X)
        except Exception as error:
            return error


def innermost(error):
    """Return the package that raised an error."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals["__name__"]).partition(".")[0]


def assert_refused_by_us(error):
    assert isinstance(error, (ValueError, TypeError)), repr(error)
    assert innermost(error) in ("xpnet", "sklearn"), repr(error)


def refuses_the_same(mine, other):
    """Whether an error of scikit-learn's validation is raised here too, with the same message."""
    if isinstance(other, InvalidParameterError):
        wider = any(f"'{name}' parameter" in str(other) for name in WIDER)
        return isinstance(mine, InvalidParameterError) and (wider or str(mine) == str(other))
    return True


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("block", range(8))
@pytest.mark.usefixtures("capsys")
def test_random_parameters_do_as_in_scikit_learn(kind, block):
    rng, fits, refusals = np.random.default_rng([block, len(kind)]), 0, 0
    for _ in range(30):
        given = drawn(rng, list(GOOD))
        expected, found = (outcome(module, kind, given) for module in (theirs, ours))
        if isinstance(found, Exception):
            refusals += 1
            assert isinstance(expected, Exception), (given, found)
            assert_refused_by_us(found)
            assert refuses_the_same(found, expected) or "activation" in given, (given, found)
            continue
        fits += 1
        assert found.shape == ((N, 2) if kind == "MLPClassifier" else (N,)), given
        assert np.isfinite(found).all(), given
        if isinstance(expected, Exception):  # a list of activations, a size as an array
            assert not isinstance(expected, InvalidParameterError) or set(WIDER) & given.keys()
        elif given.get("random_state", 0) is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=str(given))
    assert fits > 5 < refusals


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("block", range(3))
@pytest.mark.usefixtures("capsys")
def test_random_parameters_that_scikit_learn_has_not_fit_or_are_refused_in_our_words(kind, block):
    rng, fits = np.random.default_rng([block, len(kind), 1]), 0
    names = [name for name in OWN if name != "class_weight" or kind == "MLPClassifier"]
    for _ in range(30):
        given = drawn(rng, names) | {"solver": some(rng, ["adam", "adamw", "rmsprop", "sgd"])}
        found = outcome(ours, kind, given)
        if isinstance(found, Exception):
            assert_refused_by_us(found)
        else:
            fits += 1
            assert found.shape == ((N, 2) if kind == "MLPClassifier" else (N,)), given
            assert np.isfinite(found).all(), given
    assert fits > 5


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"hidden_layer_sizes": (3.5,)},
            r"hidden_layer_sizes=\(3\.5,\) has 3\.5: expected a",
        ),
        ({"hidden_layer_sizes": True}, "hidden_layer_sizes=True has True: expected a whole number"),
        ({"hidden_layer_sizes": [4, None]}, "None: expected a whole number of units for each"),
        ({"hidden_layer_sizes": ["3"]}, "'3': expected a whole number of units"),
        (
            {"hidden_layer_sizes": 2**61},
            r"no computer has .* weights of shape \(3, 2305843009213693952\)",
        ),
        ({"alpha": 10**400}, "alpha is a whole number of 1,329 bits: expected one that a float"),
        ({"tol": 10**5000}, "tol is a whole number of .* bits"),
        ({"activation": ["relu"] * 3}, "activation has 3 activations for 1 hidden layers"),
        ({"scoring": "nix"}, "'nix' is not a valid scoring value"),
    ],
    ids=lambda each: each[:40] if isinstance(each, str) else "-",
)
def test_what_scikit_learns_validation_lets_pass_is_refused_in_words(kind, given, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        made(ours, kind, **given).fit(X, Y[kind])
    assert_refused_by_us(caught.value)


@pytest.mark.parametrize("kind", BOTH)
def test_weights_that_no_memory_holds_are_refused_in_words(kind):
    with pytest.raises(MemoryError, match=r"weights of shape \(3, 1099511627776\), 24,576"):
        made(ours, kind, hidden_layer_sizes=2**40).fit(X, Y[kind])
