"""Saved networks: the same predictions, the same training on; files that are not right."""

import numpy as np
import pytest

import xpnet
from tests.damage import write_signed
from xpnet import (
    SGD,
    BatchNormalization,
    Dataset,
    DenseLayer,
    Dropout,
    LeakyReLUActivation,
    ModelFileError,
    NegativeLogLikelihood,
    NeuralNetwork,
    Normalization,
    ReduceOnPlateau,
    StepDecay,
)
from xpnet.backends import to_host
from xpnet.model_files import kinds


@pytest.fixture
def data(rng):
    X = rng.normal(5.0, 2.0, (60, 4))
    return Dataset(
        X,
        (X[:, 0] > 5).astype(int) + (X[:, 1] > 5),
        feature_names=list("abcd"),
        label_name="sum",
        class_names=["none", "one", "both"],
    )


def network(data, **arguments):
    arguments = {"optimizer": SGD(StepDecay(0.1, 0.5, every=2))} | arguments
    net = NeuralNetwork(
        epochs=4,
        batch_size=16,
        loss=NegativeLogLikelihood(class_weight=[1.0, 2.0, 0.5]),
        metric="accuracy",
        seed=9,
        **arguments,
    )
    net.add(Normalization.adapt(data.X)).add(DenseLayer(8, initializer="he_normal"))
    net.add(BatchNormalization(momentum=0.8)).add(LeakyReLUActivation(0.2)).add(Dropout(0.2))
    return net.add(DenseLayer(3)).add(xpnet.LogSoftmaxActivation())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_network_loads_on_another_backend(backend, data, path):
    net = network(data, dtype=backend.dtype).fit(data)
    net.save(path)
    loaded = xpnet.load(path, device=backend.device_name, backend=backend.name)
    assert loaded.backend == backend
    np.testing.assert_allclose(loaded.predict(data), net.predict(data), rtol=1e-4, atol=1e-6)
    assert loaded.score(data) == net.score(data)


def test_a_network_saved_on_another_backend_loads_here(backend, data, path):
    net = network(data, device=backend.device_name, backend=backend.name, dtype=backend.dtype).fit(
        data
    )
    net.save(path)
    loaded = xpnet.load(path)
    assert loaded.backend.name == "numpy"
    np.testing.assert_allclose(loaded.predict(data), net.predict(data), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(StepDecay(0.1, 0.5, every=2), clip_norm=1.0),
        SGD(ReduceOnPlateau(0.1, patience=0), nesterov=True),
        xpnet.Adam(0.01),
        xpnet.AdamW(0.01, weight_decay=0.2),
        xpnet.RMSProp(0.01),
        xpnet.Adagrad(0.1),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_a_loaded_network_trains_on_as_if_it_had_never_stopped(optimizer, data, path):
    net = network(data, optimizer=optimizer).fit(data, validation=data)
    net.save(path)
    loaded = xpnet.load(path)
    for each in (net, loaded):
        each.fit(data, validation=data)
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
    seconds = net.history.pop("seconds"), loaded.history.pop("seconds")
    assert np.isfinite(seconds[0]).all()
    assert np.isnan(seconds[1]).tolist() == [True] * 4 + [False] * 4  # a file has no times
    assert loaded.history == net.history
    assert loaded.history.epochs == 8
    assert loaded.optimizer.n_updates == net.optimizer.n_updates == 32


def test_everything_told_at_building_is_there_again(data, path):
    net = network(data, dtype="float64").fit(data)
    net.save(path)
    loaded = xpnet.load(path)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in net.layers]
    assert loaded.layers[2].momentum == 0.8
    assert loaded.layers[3].alpha == 0.2
    assert type(loaded.layers[1].initializer).__name__ == "HeNormal"
    assert loaded.loss.class_weight == [1.0, 2.0, 0.5]
    assert loaded.optimizer.schedule.every == 2
    assert (loaded.epochs, loaded.batch_size, loaded.seed) == (4, 16, 9)
    assert loaded.backend.dtype == "float64"
    assert loaded.feature_names == list("abcd")
    assert loaded.class_names == ["none", "one", "both"]
    assert loaded.label_name == "sum"
    running = (to_host(each.layers[2].running_mean) for each in (net, loaded))
    np.testing.assert_array_equal(*running)


def test_a_network_that_was_not_trained_is_loaded_as_such(data, path):
    net = network(data)
    net.save(path)
    loaded = xpnet.load(path)
    with pytest.raises(xpnet.NotFittedError):
        loaded.predict(data)
    np.testing.assert_array_equal(loaded.fit(data).predict(data), net.fit(data).predict(data))


def test_safetensors_others_can_read(data, path):
    safetensors = pytest.importorskip("safetensors.numpy")
    net = network(data).fit(data)
    net.save(path)
    tensors = safetensors.load_file(path)
    np.testing.assert_array_equal(tensors["layers.1.weights"], net.layers[1].weights)


class Double(xpnet.ActivationLayer):
    def activation_function(self, input):
        return 2 * input

    def derivative(self, input):
        return 0 * input + 2


def test_a_users_own_layer_is_found_by_its_class(data, path):
    net = network(data, optimizer="sgd")
    net.layers.pop()
    net.add(Double()).add(xpnet.LogSoftmaxActivation()).fit(data)
    net.save(path)
    np.testing.assert_array_equal(xpnet.load(path).predict(data), net.predict(data))


def test_a_users_own_layer_that_is_not_imported_is_named(data, path, monkeypatch):
    net = network(data)
    net.layers.pop()
    net.add(Double()).add(xpnet.LogSoftmaxActivation()).fit(data)
    net.save(path)
    known = kinds._known
    monkeypatch.setattr(kinds, "_known", lambda base: [c for c in known(base) if c is not Double])
    with pytest.raises(ModelFileError, match=r"has a \w+, which is not defined: import the module"):
        xpnet.load(path)


def test_saving_again_replaces_the_file_and_leaves_no_other(data, path):
    net = network(data).fit(data)
    net.save(path)
    net.fit(data)
    net.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]
    assert xpnet.load(path).history.epochs == 8


class TestFilesThatAreNotRight:
    @pytest.fixture
    def saved(self, data, path):
        network(data).fit(data).save(path)
        return path

    def refused(self, path, message):
        with pytest.raises(ModelFileError, match=message) as caught:
            xpnet.load(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.999])
    def test_cut_short(self, part, saved):
        content = saved.read_bytes()
        saved.write_bytes(content[: int(part * len(content))])
        self.refused(saved, "not a complete safetensors file")

    @pytest.mark.parametrize("place", [-1, -200, -300])
    def test_a_number_altered(self, place, saved):
        content = bytearray(saved.read_bytes())
        content[place] ^= 0x40
        saved.write_bytes(bytes(content))
        self.refused(saved, "was altered since it was saved")

    def test_the_architecture_altered(self, saved):
        content = saved.read_bytes()
        assert content.count(b"LeakyReLUActivation") == 1
        saved.write_bytes(content.replace(b"0.2", b"0.3"))
        self.refused(saved, "was altered since it was saved")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 10_000, b"\x80\x04K\x01."])
    def test_another_kind_of_file(self, content, saved):
        saved.write_bytes(content)
        self.refused(saved, "not a complete safetensors file")

    def test_safetensors_of_another_program(self, saved):
        from safetensors.numpy import save_file

        save_file({"weights": np.zeros(3)}, saved)
        self.refused(saved, "not one that xpnet wrote")

    def test_of_a_later_version(self, saved):
        write_signed(saved, {}, {"format": "xpnet-999", "xpnet": "9.2"})
        self.refused(
            saved,
            r"has the format 'xpnet-999', which xpnet 9\.2 wrote, but this xpnet .* reads "
            "'xpnet-2', 'xpnet-3', 'xpnet-4', 'xpnet-5': update xpnet",
        )

    def test_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no such file"):
            xpnet.load(tmp_path / "none.safetensors")

    def test_a_folder(self, tmp_path):
        with pytest.raises(IsADirectoryError, match="a folder: give the path of a file in it"):
            xpnet.load(tmp_path)

    def test_a_path_that_none_can_be(self, saved):
        with pytest.raises(ValueError, match="has a null character"):
            xpnet.load(f"{saved}\0")

    def test_no_path(self):
        with pytest.raises(TypeError, match="path=None: expected the path of a file"):
            xpnet.load(None)


class Odd(xpnet.ActivationLayer):
    """A layer with arguments of many types."""

    def __init__(self, power=1.0, window=(0, 1), names=None):
        self.power, self.window, self.names = power, window, names or {"a": [1, (2, 3)]}

    def activation_function(self, input):
        return input * float(self.power)

    def derivative(self, input):
        return 0 * input + float(self.power)


class Forgetful(xpnet.ActivationLayer):
    """A layer that does not keep its argument."""

    def __init__(self, strength=1.0):
        self.s = strength

    def activation_function(self, input):
        return input * self.s

    def derivative(self, input):
        return 0 * input + self.s


def test_arguments_of_many_types_come_back(data, path):
    net = NeuralNetwork(1, 16, loss=NegativeLogLikelihood(ignore_index=np.int64(-1)), seed=0)
    net.add(DenseLayer(3, input_shape=(4,))).add(Odd(np.float32(1.5), (2, 3)))
    net.add(xpnet.LogSoftmaxActivation()).fit(data).save(path)
    loaded = xpnet.load(path)
    odd = loaded.layers[1]
    assert (odd.power, odd.window, odd.names) == (1.5, (2, 3), {"a": [1, (2, 3)]})
    assert loaded.loss.ignore_index == -1
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))


def test_an_argument_that_is_not_kept_is_refused_when_saving(data, path):
    net = NeuralNetwork(1, 16, loss="nll")
    net.add(DenseLayer(3, input_shape=(4,))).add(Forgetful(3.0)).add(xpnet.LogSoftmaxActivation())
    with pytest.raises(TypeError, match="Forgetful cannot be saved: it does not keep its argument"):
        net.fit(data).save(path)
    assert not path.exists()


def test_a_users_initializer_is_asked_for_when_beginning_anew(data, path):
    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy", seed=0)
    net.add(DenseLayer(3, (4,), initializer=lambda shape, rng: np.full(shape, 0.1)))
    net.fit(data).save(path)
    loaded = xpnet.load(path)
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
    with pytest.raises(ValueError, match=r"set layer\.initializer before the layer is"):
        loaded.fit(data, restart=True)
    loaded.layers[0].initializer = net.layers[0].initializer
    loaded.fit(data, restart=True)


def test_a_metric_function_is_asked_for_when_loading(data, path):
    def size(y_true, y_pred):
        return len(y_true)

    network(data)
    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy", metric=size)
    net.add(DenseLayer(3, (4,))).fit(data).save(path)
    with pytest.warns(UserWarning, match=r"the function '.*size', which a file cannot hold"):
        assert xpnet.load(path).metric is None
    assert xpnet.load(path, metric=size).score(data) == 60


@pytest.mark.parametrize("name", ["size", "metric"])
def test_a_metric_function_that_is_given_again_is_no_other_metric(data, path, name):
    def size(y_true, y_pred):
        return len(y_true)

    size.__name__ = size.__qualname__ = name  # as of a function of a module
    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy", metric=size)
    net.add(DenseLayer(3, (4,))).fit(data).save(path)
    assert xpnet.load(path, metric=size).score(data) == 60
    with pytest.warns(UserWarning, match="which a file cannot hold") as warned:
        xpnet.load(path)
    assert len(warned) == 1


class Normal(xpnet.ActivationLayer):
    """A layer named like one of the library's initializers."""

    def activation_function(self, input):
        return 2 * input

    def derivative(self, input):
        return 0 * input + 2


def test_names_are_looked_up_among_their_own_kind(data, path):
    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy", seed=0)
    net.add(DenseLayer(3, (4,), initializer=xpnet.initializers.Normal(0.1))).add(Normal())
    net.fit(data).save(path)
    loaded = xpnet.load(path)
    assert loaded.layers[0].initializer.scale == 0.1
    assert isinstance(loaded.layers[1], Normal)


def test_a_schedule_that_has_reduced_goes_on_from_there(data, path):
    net = network(data, optimizer=SGD(ReduceOnPlateau(1e-9, factor=0.5, patience=0)))
    net.fit(data)
    reduced = net.optimizer.schedule.current
    assert reduced < 1e-9
    net.save(path)
    assert xpnet.load(path).optimizer.schedule.current == reduced


def test_a_network_without_a_seed_goes_on_in_its_own_order(data, path):
    net = network(data)
    unseeded = NeuralNetwork(2, 16, loss="softmax_cross_entropy", dtype="float64")
    unseeded.add(DenseLayer(3, (4,))).fit(data).save(path)
    loaded = xpnet.load(path)
    assert loaded.seed is None
    for each in (unseeded, loaded):
        each.fit(data)
    np.testing.assert_array_equal(loaded.predict(data), unseeded.predict(data))
    assert net.seed == 9


def test_a_folder_that_is_not_there_is_an_oserror(data, tmp_path):
    with pytest.raises(OSError, match="could not be written: there is no folder"):
        network(data).save(tmp_path / "none" / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="give the path of a file in it"):
        network(data).save(tmp_path)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ({"backend": "nope"}, xpnet.UnknownNameError),
        ({"device": "nope"}, ValueError),
        ({"device": 3}, TypeError),
    ],
)
def test_a_wrong_device_or_backend_is_not_blamed_on_the_file(where, error, tmp_path):
    path = tmp_path / "net.safetensors"
    xpnet.NeuralNetwork().add(xpnet.DenseLayer(1, (2,))).save(path)
    with pytest.raises(error) as caught:
        xpnet.load(path, **where)
    assert not isinstance(caught.value, ModelFileError)
