"""Which class a file's names stand for; errors of a user's class and of the machine; pickles."""

import copy
import pickle
import sys

import numpy as np
import pytest

import xpnet
from tests.damage import contents, write_signed
from xpnet import ActivationLayer, DenseLayer, ModelFileError, NeuralNetwork
from xpnet.backends import DeviceUnavailableError

X = np.random.default_rng(0).standard_normal((12, 3))


class Factor(ActivationLayer):
    """x times a number."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def activation_function(self, input):
        return self.factor * input

    def derivative(self, input):
        return 0 * input + self.factor


def made_in(module, name="Scale", factor=2.0):
    """Return a new class that claims to be of a module."""
    return type(name, (Factor,), {"__module__": module, "__qualname__": name, "worth": factor})


def saved(tmp_path, layer):
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(3, (3,))).add(layer)
    net.fit((X, np.tanh(X))).save(tmp_path / "net")
    return tmp_path / "net"


def test_a_users_class_does_not_take_the_place_of_the_librarys(tmp_path):
    path = saved(tmp_path, xpnet.TanhActivation())

    class DenseLayer(xpnet.DenseLayer):
        pass

    # Even one that claims to be the library's.
    pretender = type(
        "DenseLayer",
        (xpnet.DenseLayer,),
        {"__module__": "xpnet.layers.dense", "__qualname__": "DenseLayer"},
    )
    given = {"DenseLayer": pretender, "xpnet.layers.dense.DenseLayer": pretender}
    for custom in (None, [DenseLayer], [DenseLayer, DenseLayer], given):
        assert type(xpnet.load(path, custom=custom).layers[0]) is xpnet.DenseLayer


def test_a_class_of_the_library_that_has_moved_is_found(tmp_path):
    path = saved(tmp_path, xpnet.TanhActivation())
    arrays, content = contents(path)
    content["layers"][0]["module"] = "xpnet.somewhere.else"
    write_signed(path, arrays, content)
    assert type(xpnet.load(path).layers[0]) is xpnet.DenseLayer


def test_two_users_classes_of_one_name_are_told_apart_by_module(tmp_path):
    first, second = made_in("module_a", "Twice"), made_in("module_b", "Twice")
    path = saved(tmp_path, first())
    assert type(xpnet.load(path).layers[1]) is first
    arrays, content = contents(path)
    content["layers"][1]["module"] = "module_c"
    write_signed(path, arrays, content)
    with pytest.raises(ModelFileError, match=r"module_a\.Twice, module_b\.Twice.*custom="):
        xpnet.load(path)
    assert type(xpnet.load(path, custom=[second]).layers[1]) is second
    assert type(xpnet.load(path, custom={"Twice": first}).layers[1]) is first
    custom = {"module_c.Twice": second, "Twice": first}
    assert type(xpnet.load(path, custom=custom).layers[1]) is second


def test_a_class_that_was_defined_again_has_replaced_the_older_one(tmp_path, monkeypatch):
    module = type(sys)("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)
    older = module.Again = made_in("notebook", "Again")
    path = saved(tmp_path, older())
    newer = module.Again = made_in("notebook", "Again")
    assert type(xpnet.load(path).layers[1]) is newer
    del module.Again
    with pytest.raises(ModelFileError, match="several classes of that name"):
        xpnet.load(path)
    assert type(xpnet.load(path, custom=[older]).layers[1]) is older


@pytest.mark.parametrize(
    "custom", [5, "Scale", Factor, [5], {"Scale": "Scale"}, [int], {1: DenseLayer}]
)
def test_what_is_no_class_of_a_part_is_refused(custom, tmp_path):
    with pytest.raises(TypeError, match="custom"):
        xpnet.load(tmp_path / "none", custom=custom)
    two = [made_in("module_a", "Two"), made_in("module_b", "Two")]
    with pytest.raises(ValueError, match="two classes of one name"):
        xpnet.load(tmp_path / "none", custom=two)


def test_nothing_is_imported_by_a_files_words(tmp_path):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    path = saved(tmp_path, Factor())
    arrays, content = contents(path)
    content["layers"][1] |= {"module": "evil_module", "class": "Unseen"}
    write_signed(path, arrays, content)
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ModelFileError, match=r"Unseen, which is not defined.*evil_module"):
            xpnet.load(path)
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module" not in set(sys.modules) - before


class Picky(Factor):
    """Raises whatever it is told to."""

    error = None

    def __init__(self, factor=2.0):
        super().__init__(factor)
        if Picky.error is not None:
            raise Picky.error


@pytest.mark.parametrize("error", [OSError("no"), KeyError("no"), ImportError("no")])
def test_an_error_of_a_users_constructor_names_the_class_and_is_chained(
    error, tmp_path, monkeypatch
):
    path = saved(tmp_path, Picky())
    monkeypatch.setattr(Picky, "error", error)
    with pytest.raises(ModelFileError, match="a Picky cannot be made from the arguments") as caught:
        xpnet.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    cause = caught.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert cause is error


@pytest.mark.parametrize("error", [MemoryError("full"), DeviceUnavailableError("lost")])
def test_an_error_of_the_machine_is_none_of_the_file(error, tmp_path, monkeypatch):
    path = saved(tmp_path, Factor())

    def fails(*_):
        raise error

    monkeypatch.setattr("xpnet.model_files.loading.move", fails)
    with pytest.raises(type(error)) as caught:
        xpnet.load(path)
    assert caught.value is error


def test_what_a_path_is(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="pipe: not a regular file"):
        xpnet.load(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        xpnet.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        xpnet.load(tmp_path / "none")


def test_pickles_and_copies_name_the_version(monkeypatch, recwarn):
    net = NeuralNetwork(epochs=2, seed=0).add(DenseLayer(3, (3,))).add(xpnet.Dropout(0.2))
    net.fit((X, X))
    raw = pickle.dumps(net)
    for other in (pickle.loads(raw), copy.copy(net), copy.deepcopy(net)):
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
        assert vars(other).keys() == vars(net).keys()
    assert not recwarn.list
    monkeypatch.setattr("xpnet.common.versioned.VERSION", "9.9")
    with pytest.warns(UserWarning, match=r"pickled by xpnet 0\.\d+\.\d+, and this is xpnet 9\.9"):
        other = pickle.loads(raw)
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


# ---- attributes of a user's network that are layers


class WithNamedLayers(NeuralNetwork):
    """Keeps its layers under names of its own, too."""

    def __init__(self, width):
        super().__init__(2, 4, seed=0)
        self.head, self.schedule = DenseLayer(1), xpnet.ReduceOnPlateau(0.1)
        self.body = [DenseLayer(width, (3,)), xpnet.ReLUActivation()]
        for layer in (*self.body, self.head):
            self.add(layer)


def test_attributes_that_are_layers_of_the_network_are_the_same_ones_again(tmp_path):
    net = WithNamedLayers(5).fit((X, X[:, :1]))
    net.save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net")
    assert again.head is again.layers[2]
    assert all(a is b for a, b in zip(again.body, again.layers[:2], strict=True))
    np.testing.assert_array_equal(again.head.weights, net.head.weights)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()


def test_such_a_network_is_resumed(tmp_path):
    net = WithNamedLayers(5).fit((X, X[:, :1]), callbacks=[xpnet.Checkpoint(tmp_path)])
    again = WithNamedLayers(5)
    again.fit((X, X[:, :1]), callbacks=[xpnet.Checkpoint(tmp_path)], resume=tmp_path)
    assert again.head is again.layers[2]
    np.testing.assert_array_equal(again.head.weights, net.head.weights)


@pytest.mark.parametrize("kind", ["layer", "schedule"])
def test_a_part_beside_the_network_that_has_learned_is_not_lost_without_a_word(kind, tmp_path):
    net = WithNamedLayers(5)
    if kind == "layer":
        net.aside = WithNamedLayers(5).layers[0]
    else:
        net.schedule.observe(1.0)
    with pytest.raises(TypeError, match="holds a trained layer or another part with state"):
        net.save(tmp_path / "net")


def test_a_file_cannot_refer_to_layers_that_are_not_there(tmp_path):
    path = tmp_path / "net"
    WithNamedLayers(5).save(path)
    for place, index in (("network", 3), ("loss", 0)):
        arrays, content = contents(path)
        content[place]["attributes"]["head"] = {"layer": index}
        with pytest.raises(ModelFileError, match=f"no layer {index} to refer to"):
            xpnet.load(write_signed(tmp_path / "changed", arrays, content))
