"""Which way a fit takes its steps, and why no faster one: what is said is what is done."""

import copy
import pickle
import threading

import numpy as np
import pytest

import xpnet
from xpnet import (
    Adam,
    BatchNormalization,
    Dataset,
    DenseLayer,
    Layer,
    NeuralNetwork,
    ReLUActivation,
    SoftmaxActivation,
)
from xpnet.training import trainer
from xpnet.training.steps import choice

N, K = 640, 12
X = np.random.default_rng(0).standard_normal((N, K)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
WEIGHTS = np.linspace(0.1, 1.0, N)


class Doubled(Layer):
    """A layer of one's own, for which there are no kernels."""

    def forward_propagation(self, input, training=True):
        return input * 2

    def backward_propagation(self, output_error):
        return output_error * 2


def network(*layers, **arguments):
    arguments = {"epochs": 3, "batch_size": 32, "loss": "softmax_cross_entropy"} | arguments
    net = NeuralNetwork(seed=0, **arguments).add(DenseLayer(16, input_shape=(K,)))
    for layer in layers or [ReLUActivation()]:
        net.add(layer)
    return net.add(DenseLayer(2))


CASES = {
    "compiled": (dict, None),
    "clipping": (lambda: {"optimizer": Adam(0.01, clip_norm=1.0)}, "clipping of the gradient"),
    "few steps": (lambda: {"epochs": 1, "batch_size": 640}, "fewer than 16 steps"),
    "asked for": (lambda: {"steps": "formulas"}, "steps='formulas' asks for another kind"),
    "float64": (lambda: {"dtype": "float64"}, None),
    "in pieces": (
        lambda: {"memory_limit": 390_000, "batch_size": 512, "epochs": 9},
        "split to fit into memory",
    ),
    "a metric": (lambda: {"metric": "accuracy"}, None),
}
LAYERS = {
    "own layer": ([Doubled()], "Doubled"),
    "batch normalization": ([BatchNormalization()], "BatchNormalization"),
    "softmax within": ([SoftmaxActivation()], "SoftmaxActivation as layer 2"),
}
ALL = [(lambda make=make: network(**make()), reason) for make, reason in CASES.values()]
ALL += [
    (lambda layers=layers: network(*[type(each)() for each in layers]), reason)
    for layers, reason in LAYERS.values()
]


@pytest.fixture
def chosen(monkeypatch):
    """The ways that trainings have taken."""
    pytest.importorskip("numba")
    pytest.importorskip("threadpoolctl")
    ways = []

    def noted(*arguments):
        steps, explanation = choice.choose(*arguments)
        kind = type(steps).__name__
        assert kind == {"formulas": "FormulaSteps"}.get(
            explanation.chosen, f"{explanation.chosen.capitalize()}Steps"
        )
        ways.append(explanation.chosen)
        return steps

    monkeypatch.setattr(trainer, "make_steps", noted)
    return ways


@pytest.mark.parametrize(("make", "reason"), ALL, ids=[*CASES, *LAYERS])
@pytest.mark.parametrize("weights", [(), (WEIGHTS,)], ids=["plain", "weighted"])
def test_what_is_said_is_what_fit_does(chosen, make, reason, weights):
    net = make()
    before = net.parameters.copy()
    said = net.explain_steps(X, Y, *weights)
    np.testing.assert_array_equal(net.parameters.gather(), before)
    assert net.history.epochs == 0
    assert net.last_plan is None
    net.fit((X, Y, *weights))
    assert chosen == [said.chosen]
    if reason is None:
        assert said.chosen == "compiled"
        assert list(said.reasons) == ["captured"]
    else:
        assert said.chosen == "formulas"
        assert reason in said.reasons["compiled"]
    assert "CUDA" in said.reasons["captured"] or "steps=" in said.reasons["captured"]


def test_it_is_read_as_text(chosen):
    said = str(network(optimizer=Adam(0.01, clip_norm=1.0)).explain_steps(X, Y))
    assert said.splitlines()[0] == "Steps: formulas."
    assert "Not compiled: clipping of the gradient." in said


def test_data_are_given_as_to_fit(chosen):
    ways = [
        network().explain_steps(*given).chosen
        for given in [(X, Y), (X, Y, WEIGHTS), ((X, Y),), (Dataset(X, Y),)]
    ]
    assert ways == ["compiled"] * 4
    with pytest.raises((TypeError, ValueError), match="targets"):
        network().explain_steps(X)
    with pytest.raises(ValueError, match="12, the input shape"):
        network().explain_steps(X[:, :5], Y)


def test_weights_without_targets_are_refused():
    with pytest.raises(TypeError, match="sample_weight is given without y"):
        network().explain_steps((X, Y), sample_weight=WEIGHTS)


def test_an_explanation_can_be_pickled():
    said = network(steps="formulas").explain_steps(X, Y)
    assert pickle.loads(pickle.dumps(said)) == said


def test_a_way_that_is_required_and_does_not_work_is_refused_as_by_fit():
    net = network(BatchNormalization(), steps="compiled")
    for call in (lambda: net.explain_steps(X, Y), lambda: net.fit((X, Y))):
        with pytest.raises(ValueError, match=r"steps='compiled', but .*BatchNormalization|numba"):
            call()
    with pytest.raises(ValueError, match=r"steps='captured', but .*for CUDA.*on cpu"):
        network(steps="captured").fit((X, Y))


def test_without_numba_steps_are_formulas(monkeypatch):
    monkeypatch.setattr("xpnet.training.steps.compiled.supported.find_spec", lambda name: None)
    said = network().explain_steps(X, Y)
    assert said.chosen == "formulas"
    assert "pip install numba" in said.reasons["compiled"]


def test_captured_steps_are_explained_too(emulated):
    assert network().explain_steps(X, Y).chosen == "captured"
    assert network().explain_steps(X, Y).reasons == {}
    said = network(Doubled()).explain_steps(X, Y)
    assert said.chosen != "captured"
    assert "Doubled" in said.reasons["captured"]


def test_other_backends_take_formulas():
    torch = pytest.importorskip("torch")
    net = network(backend="torch")
    said = net.explain_steps(torch.tensor(X), torch.tensor(Y))
    assert said.chosen == "formulas"
    assert "for NumPy" in said.reasons["compiled"]


@pytest.mark.parametrize("steps", ["auto", "captured", "compiled", "formulas"])
def test_a_network_is_translated_once_for_each_training(monkeypatch, request, steps):
    pytest.importorskip("numba")
    if steps == "captured":
        request.getfixturevalue("emulated")
    calls = []
    for way in ("compiled", "captured"):
        place = f"xpnet.training.steps.{way}.supported.units_of"
        original = getattr(xpnet.training.steps, way).supported.units_of
        monkeypatch.setattr(
            place, lambda *given, original=original: calls.append(given) or original(*given)
        )
    network(steps=steps).fit((X, Y))
    assert len(calls) == (0 if steps == "formulas" else 1)


def test_the_environment_gives_the_default(monkeypatch, chosen):
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    network().fit((X, Y))
    network(steps="auto").fit((X, Y))
    assert chosen == ["formulas", "compiled"]
    monkeypatch.setenv("XPNET_STEPS", "compile")
    with pytest.raises(xpnet.UnknownNameError, match=r"XPNET_STEPS: 'compile'.*'compiled'"):
        network()


@pytest.mark.parametrize(
    ("options", "chosen", "reason"),
    [
        ({}, "compiled", None),
        ({"early_stopping": True}, "compiled", None),
        ({"batch_norm": True}, "formulas", "BatchNormalization"),
        ({"solver": "lbfgs"}, "formulas", "lbfgs"),
    ],
    ids=["plain", "early stopping", "batch normalization", "lbfgs"],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_estimators_explain_too(options, chosen, reason, fitted):
    estimators = pytest.importorskip("xpnet.estimators")
    pytest.importorskip("numba")
    given = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0} | options
    est = estimators.MLPClassifier(**given)
    if fitted:
        with pytest.warns(Warning, match="converge"):
            est.fit(X, Y)
    before = dict(vars(est))
    said = est.explain_steps(X, Y)
    assert vars(est).keys() == before.keys()
    assert said.chosen == chosen
    assert reason is None or reason in said.reasons["compiled"]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        est.explain_steps(X, Y[:5])


def test_nothing_that_cannot_be_copied_is_in_the_way(chosen):
    estimators = pytest.importorskip("xpnet.estimators")
    net = network()
    net.lock = threading.Lock()
    assert net.explain_steps(X, Y).chosen == "compiled"
    callback = xpnet.LambdaCallback()
    callback.lock = threading.Lock()
    est = estimators.MLPClassifier((8,), max_iter=6, callbacks=[callback])
    assert est.explain_steps(X, Y).chosen == "compiled"


def test_explaining_draws_no_random_numbers_of_others(chosen):
    estimators = pytest.importorskip("xpnet.estimators")
    stream = np.random.RandomState(1)
    for given in (None, stream):
        states = []
        for explains in (False, True):
            np.random.seed(5)  # noqa: NPY002 - the stream that scikit-learn draws from
            stream.seed(1)
            if explains:
                estimators.MLPClassifier((8,), random_state=given).explain_steps(X, Y)
            states.append((np.random.random(), stream.random_sample()))  # noqa: NPY002
        assert states[0] == states[1]


def test_an_explanation_is_copied_and_pickled():
    said = network().explain_steps(X, Y)
    assert copy.deepcopy(said) == said == pickle.loads(pickle.dumps(said))


@pytest.mark.parametrize("given", [None, "generator"])
def test_estimators_explain_without_random_numbers(given):
    estimators = pytest.importorskip("xpnet.estimators")
    generator = np.random.RandomState(0) if given else np.random.mtrand._rand
    before = generator.get_state()
    made = estimators.MLPRegressor(early_stopping=True, random_state=generator if given else None)
    made.explain_steps(X, Y)
    np.testing.assert_equal(generator.get_state(), before)
