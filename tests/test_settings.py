"""Settings are checked whenever they are set, and a fit that is undone changes none of them."""

import copy

import numpy as np
import pytest

from xpnet import (
    SGD,
    Adam,
    Callback,
    DenseLayer,
    DivergedError,
    EarlyStopping,
    LambdaCallback,
    Model,
    NeuralNetwork,
    NotFittedError,
    ReduceLROnPlateau,
    load,
)
from xpnet.data import Dataset
from xpnet.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from xpnet.metrics import Accuracy
from xpnet.optimizers import OPTIMIZERS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
VALUES = X[:, 0] - X[:, 1]
CLASSES = (VALUES > 0.5).astype(int)


def regression(**arguments):
    net = NeuralNetwork(2, 8, seed=0, **arguments)
    return net.add(DenseLayer(1, (3,)))


def classifier(**arguments):
    loss = SoftmaxCrossEntropy("balanced")
    net = NeuralNetwork(2, seed=0, **{"batch_size": 8, "loss": loss} | arguments)
    return net.add(DenseLayer(2, (3,)))


WRONG = {
    "epochs": [0, 2.5, "ten", None, True],
    "batch_size": [0, -1, 1.5, "large", None],
    "memory_limit": [0, -1, "1 GB", 1e9],
    "backend": ["cuda", None],
    "precision": ["float8", None, 32],
    "steps": ["never", 1, True],
    "accumulate": [0, -1, 1.5, "two", None],
    "optimizer": ["adm", None, 0.1, DenseLayer],
    "loss": ["msse", None, DenseLayer, Accuracy()],
    "metric": ["accuraci", 3, DenseLayer],
    "target_unit": [
        "x", "xy", ("a", "b"), np.zeros(3), np.array([1.0, 0.0]), (1.0,), (0.0, -1.0), 5,
        (np.nan, 1.0),
    ],
    "verbose": ["yes", None, 2],
    "progress": ["yes", None],
    "shuffle": ["yes", None],
    "seed": [-1, 1.5, "one"],
    "regularizer": ["l3", 0.1],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_is_refused_later_as_the_constructor_refuses_it(name):
    for value in WRONG[name]:
        net = regression()
        before = copy.copy(vars(net))
        with pytest.raises((ValueError, TypeError)) as later:
            setattr(net, name, value)
        assert vars(net) == before
        if name != "backend":  # there it is the name of a library
            with pytest.raises(type(later.value)) as first:
                NeuralNetwork(**{name: value})
            assert str(first.value) == str(later.value)


def test_all_settings_are_tested_here():
    settings = set(vars(NeuralNetwork())) - {
        "parameters", "layers", "history", "feature_names", "label_name", "class_names",
        "has_text_labels", "fill_values", "drops_missing",
        "categories", "last_plan", "stop_training", "randomness", "orders", "average",
    }  # fmt: skip
    assert {name for name in settings if not name.startswith("_")} == set(WRONG)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": Adam(0.01)},
        {"regularizer": "l2"},
        {"seed": 5, "shuffle": False, "batch_size": "auto", "epochs": 3},
        {"target_unit": (1.0, 2.0), "metric": "rmse"},
        {"loss": MeanSquaredError(0.5)},
    ],
    ids=str,
)
def test_setting_an_attribute_later_is_like_giving_it_to_the_constructor(settings):
    arguments = {"epochs": 2, "batch_size": 8, "seed": 0} | settings
    expected = NeuralNetwork(**arguments).add(DenseLayer(1, (3,))).fit((X, VALUES))
    net = regression()
    for name, value in settings.items():
        setattr(net, name, value)
    net.fit((X, VALUES), restart=True)
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    assert {**net.history, "seconds": 0} == {**expected.history, "seconds": 0}
    assert net.history.metrics == expected.history.metrics


def test_an_optimizer_is_copied_and_one_that_has_trained_does_not_begin_anew():
    given, net, other = Adam(), regression(), regression()
    net.optimizer = other.optimizer = given
    assert net.optimizer is not given
    assert net.optimizer is not other.optimizer
    trained = net.fit((X, VALUES)).optimizer
    other.optimizer = trained
    assert (other.optimizer.n_updates, other.reset().optimizer.n_updates) == (10, 0)


def test_a_network_whose_optimizer_was_set_later_is_saved_with_both(tmp_path):
    pytest.importorskip("safetensors")
    net = regression()
    net.optimizer = regression(optimizer=Adam()).fit((X, VALUES)).optimizer
    net.save(tmp_path / "net.safetensors")
    loaded = load(tmp_path / "net.safetensors")
    assert isinstance(loaded.optimizer, Adam)
    assert isinstance(loaded.reset().optimizer, SGD)


def test_a_threshold_follows_the_loss():
    net = NeuralNetwork(loss=BinaryCrossEntropy(), metric="accuracy")
    net.loss = BinaryCrossEntropy(from_logits=True)
    assert net.metric.threshold == net.loss.decision_threshold == 0.0
    own = Accuracy(threshold=0.3)
    net.metric = own
    net.loss = BinaryCrossEntropy()
    assert net.metric.threshold == own.threshold == 0.3


def test_a_loss_of_classes_is_refused_beside_a_target_unit():
    net = regression(target_unit=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"target_unit=.* is for losses whose targets are values"):
        net.loss = "softmax_cross_entropy"
    assert isinstance(net.loss, MeanSquaredError)


# ---- a fit that is undone


def fail_at_once(network, epoch):
    raise OSError("no more data")


class Stays(Callback):
    """Ends training without an error if it diverges."""

    def on_diverged(self, network, error):
        return True


@pytest.mark.parametrize("fails", ["diverges", "diverges in silence", "callback"])
@pytest.mark.parametrize("trained", [False, True])
def test_a_fit_that_is_undone_keeps_the_attributes_set_from_earlier_data(fails, trained):
    net = classifier()
    if trained:
        net.fit(Dataset(X, CLASSES, list("abc"), "label", class_names=["no", "yes"]))
    state = copy.deepcopy([net.loss, net.feature_names, net.label_name, net.class_names])
    weights = net.parameters.copy()
    names = ["no", "yes"] if trained else ["0", "1"]
    columns = list("abc") if trained else list("xyz")
    other = Dataset(X[:30], CLASSES[:30], feature_names=columns, class_names=names)
    callbacks = [LambdaCallback(on_epoch_begin=fail_at_once)] if fails == "callback" else []
    if fails != "callback":
        net.optimizer = SGD(1e38, momentum=0.9)
        other = Dataset(1e30 * other.X, other.y, other.feature_names)
    if fails == "diverges in silence":
        net.fit(other, callbacks=Stays())
    else:
        with pytest.raises((DivergedError, OSError)):
            net.fit(other, callbacks=callbacks)
    np.testing.assert_array_equal(net.parameters.copy(), weights)
    assert vars(net.loss) == vars(state[0])
    assert [net.feature_names, net.label_name, net.class_names] == state[1:]


def test_after_a_complete_epoch_the_attributes_set_from_the_data_are_kept():
    net = classifier()

    def fail_later(network, epoch):
        if epoch == 1:
            raise OSError("no more data")

    with pytest.raises(OSError, match="no more"):
        net.fit((X, CLASSES), callbacks=LambdaCallback(on_epoch_begin=fail_later))
    assert net.loss.balanced_weight is not None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_that_another_network_has_used_is_refused(name):
    used = classifier(optimizer=name, batch_size=len(X)).fit((X, CLASSES)).optimizer
    with pytest.raises(ValueError, match=rf"already made \d+ updates .* {type(used).__name__}\("):
        classifier(optimizer=used)


# ---- loading


@pytest.fixture
def saved(tmp_path):
    pytest.importorskip("safetensors")
    classifier(metric="accuracy").fit((X, CLASSES)).save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "nope"}, "^unknown metric 'nope'"),
        ({"metric": ""}, "^unknown metric ''"),
        ({"metric": 3}, "^metric=3: expected a name"),
        ({"metric": DenseLayer}, "^metric=.*DenseLayer.*: expected a name"),
        ({"device": "gpu"}, "'gpu'"),
        ({"device": 1}, "^device=1"),
        ({"backend": "numpi"}, "'numpi'"),
        ({"backend": b"numpy"}, "^backend=b'numpy'"),
    ],
    ids=str,
)
def test_a_wrong_argument_of_load_is_not_blamed_on_the_file(saved, arguments, message):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message) as caught:
        load(saved, **arguments)
    assert "net.safetensors" not in str(caught.value)


def test_load_takes_another_metric_in_place_of_the_files(saved):
    net = load(saved, metric="mse")
    assert (net.metric.name, net.history.metrics) == ("mse", {"accuracy": "max"})  # of its epochs
    assert "threshold" not in vars(net.metric)
    assert load(saved).metric.name == "accuracy"


class ReplacesTheOptimizer(Callback):
    """Gives the network an optimizer with which it diverges, at the beginning of an epoch."""

    def on_epoch_begin(self, network, epoch):
        if epoch == 1:
            network.optimizer = SGD(1e38, momentum=0.9)


@pytest.mark.parametrize("kernels", ["formulas", "compiled"])
def test_an_epoch_that_is_undone_gives_the_optimizer_back(kernels, monkeypatch):
    if kernels == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setenv("XPNET_STEPS", kernels)
    net = regression(optimizer=Adam(0.01))
    with pytest.raises(DivergedError):
        net.fit((X, VALUES), callbacks=ReplacesTheOptimizer())
    assert repr(net.optimizer) == "Adam(learning_rate=0.01)"
    assert net.optimizer.n_updates == 5
    net.fit((X, VALUES), epochs=1)
    expected = regression(optimizer=Adam(0.01)).fit((X, VALUES))
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    assert isinstance(net.reset().optimizer, Adam)


# ---- what has no effect, or another one than it seems


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.1), ("momentum", 0.5), ("device", "cpu"), ("dtype", "f8")],
)
def test_arguments_that_a_network_does_not_keep_cannot_be_set(name, value):
    net = regression()
    with pytest.raises(AttributeError, match=rf"does not keep '{name}'.*: write net\."):
        setattr(net, name, value)

    class Own(NeuralNetwork):
        pass

    own = Own()
    setattr(own, name, value)
    assert getattr(own, name) == value


def test_another_target_unit_asks_for_another_training():
    net = regression(target_unit=(0.0, 2.0)).fit((X, VALUES))
    net.target_unit = (0.0, 2.0)
    net.predict(X)
    net.target_unit = (0.0, 4.0)
    with pytest.raises(NotFittedError):
        net.predict(X)
    net.fit((X, VALUES), restart=True).predict(X)


@pytest.mark.parametrize("kernels", ["formulas", "auto"])
def test_a_used_optimizer_takes_the_type_of_the_network_that_gets_it(kernels, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    used = regression(optimizer="adam").fit((X, VALUES)).optimizer
    net = regression(dtype="float64")
    net.optimizer = used
    net.fit((X, VALUES), epochs=1)
    assert net.optimizer.n_updates == 15
    assert net.optimizer.first_moment.dtype == np.float64
    assert used.first_moment.dtype == np.float32


def test_a_backend_that_is_set_moves_the_layers():
    net = regression().fit((X, VALUES))
    net.backend = net.backend.with_dtype("float64")
    assert net.layers[0].weights.dtype == net.predict(X).dtype == np.float64
    assert net.layers[0].backend == net.backend


def test_callbacks_of_this_library_give_no_such_warning(tmp_path):
    pytest.importorskip("safetensors")
    callbacks = [
        ReduceLROnPlateau("loss", patience=0, min_delta=1e9),
        EarlyStopping("learning_rate", mode="max", patience=9),
    ]
    net = regression().fit((X, VALUES), epochs=4, callbacks=callbacks)
    net.save(tmp_path / "net.safetensors")
    for each in (net, load(tmp_path / "net.safetensors")):
        assert each.fit((X, VALUES)).history["learning_rate"][-1] == 0.01


@pytest.mark.parametrize("answer", [np.zeros(40), "0.5x", None])
def test_a_metric_that_returns_no_number_is_named(answer):
    def own(y_true, y_pred):
        return answer

    with pytest.raises(TypeError, match=r"^the metric own returned .*: expected a number for all"):
        regression(metric=own).fit((X, VALUES))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("epoch", "epochs"),
        ("batchsize", "batch_size"),
        ("Loss", "loss"),
        ("optimiser", "optimizer"),
        ("learningrate", "learning_rate"),
    ],
)
def test_a_misspelt_setting_is_refused(name, meant):
    net = regression()
    before = {**vars(net)}
    with pytest.raises(AttributeError, match=rf"'{name}'(: did you mean '| \({meant})"):
        setattr(net, name, 3)
    assert vars(net) == before


def test_other_attributes_may_be_set():
    class Counting(NeuralNetwork):
        def __init__(self):
            super().__init__()
            self.epoch = 0  # nearly a setting's name, but the class is a user's

    net, own = regression(), Counting()
    net.title, net._epoch, own.learning_rate = "a network", 3, 0.5
    assert (net.title, own.epoch, own.learning_rate) == ("a network", 0, 0.5)


def test_layers_that_are_no_list_are_refused():
    net = regression()
    with pytest.raises(TypeError, match=r"layers is tuple: expected a list.*layers\.pop\(\)"):
        net.layers = tuple(net.layers)
    net.layers = net.layers[:0]
    net.add(DenseLayer(1, (3,))).fit((X, VALUES))


@pytest.mark.parametrize(
    ("made", "words"), [(NeuralNetwork, r"a network .* net\."), (Model, r"a model .* model\.")]
)
def test_messages_name_what_it_is(made, words):
    with pytest.raises(AttributeError, match=words):
        made().learning_rate = 0.1
    with pytest.raises(TypeError, match=f"move {words}".replace(" .*", ".*")):
        made().backend = "cuda"
