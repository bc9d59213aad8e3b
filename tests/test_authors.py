"""What authors of parts are told, and what they need not do."""

import gc
import weakref

import numpy as np
import pytest

import xpnet
from tests.own_parts import Swish
from xpnet import (
    L1,
    L2,
    ActivationLayer,
    DenseLayer,
    ElementwiseLoss,
    ElementwisePenalty,
    Layer,
    NeuralNetwork,
    Optimizer,
    SigmoidActivation,
    TanhActivation,
    array_namespace,
)
from xpnet.testing import check_layer, check_loss

X = np.linspace(-1.0, 1.0, 96).reshape(32, 3)
Y = np.sin(X.sum(axis=1, keepdims=True))


class Momentum(Optimizer):
    """A class that does not set its velocity to None."""

    state_names = ("velocity",)

    def rule(self, w, g, velocity, *, rate, t):
        velocity = 0.5 * velocity + g
        return w - rate * velocity, velocity


class Scale(Layer):
    """Each feature times a factor that is learned."""

    parameter_names = ("factor",)

    def initialize(self, optimizer=None):
        self.factor = self.new_parameter(self.input_shape(), "he_normal")
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.input = input
        return input * self.factor

    def backward_propagation(self, output_error):
        self.factor_gradient = array_namespace(output_error).sum(output_error * self.input, axis=0)
        return output_error * self.factor


def network(**arguments):
    net = NeuralNetwork(**{"epochs": 8, "batch_size": 8, "seed": 0} | arguments)
    return net.add(DenseLayer(4, (3,))).add(TanhActivation()).add(DenseLayer(1))


@pytest.mark.parametrize("steps", ["formulas", "auto"])
def test_what_an_optimizer_remembers_is_none_at_first(steps, tmp_path):
    assert Momentum().velocity is None
    net = network(optimizer=Momentum(0.1), steps=steps).fit((X, Y))
    assert net.history["loss"][-1] < net.history["loss"][0]
    net.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors", custom=[Momentum])
    for each in (net, loaded):
        each.fit((X, Y), epochs=1)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_names_of_what_is_remembered_are_a_tuple():
    with pytest.raises(TypeError, match=r"Single.state_names is 'velocity': expected a tuple, e.g"):

        class Single(Optimizer):
            state_names = "velocity"


def test_a_rule_with_other_arguments_is_told_which_it_needs():
    class Rateless(Momentum):
        def rule(self, w, g, velocity):
            return w - g, velocity

    with pytest.raises(TypeError, match=r"expected rule\(self, w, g, velocity, \*, rate, t\)"):
        Rateless().update(np.ones(2), np.ones(2))


def test_an_error_within_a_rule_is_left_as_it_is():
    class Failing(Optimizer):
        def rule(self, w, g, *, rate, t):
            return w + None

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        Failing().update(np.ones(2), np.ones(2))
    assert "expected rule" not in str(caught.value)


@pytest.mark.parametrize("given", ["class", "instance"])
def test_a_constructor_that_does_not_call_that_of_its_base_is_named(given):
    class Bare(Momentum):
        def __init__(self):
            self.mu = 0.5

    with pytest.raises(TypeError, match=r"Bare has no learning rate: its __init__ must call super"):
        network(optimizer=Bare if given == "class" else Bare())


@pytest.mark.parametrize("steps", ["formulas", "auto"])
def test_a_number_is_no_result_of_a_formula(steps):
    class Constant(ElementwiseLoss):
        def element_loss(self, y_true, y_pred):
            return 1.0

    with pytest.raises(TypeError, match=r"Constant.element_loss returned 1.0: expected an array"):
        network(loss=Constant(), steps=steps).fit((X, Y))


@pytest.mark.parametrize("steps", ["formulas", "auto"])
@pytest.mark.parametrize("result", [lambda w: 0.0, lambda w: w.mean()])
def test_new_weights_are_no_number(steps, result):
    class Same(Optimizer):
        def rule(self, w, g, *, rate, t):
            return result(w)

    with pytest.raises(
        (TypeError, ValueError), match=r"the rule of Same returned .* as new w: exp"
    ):
        network(optimizer=Same(), steps=steps).fit((X, Y))


@pytest.mark.parametrize(("kind", "other"), [(L1, "l2"), (L2, "l1")])
def test_a_penalty_has_no_factor_that_its_formula_leaves_out(kind, other):
    with pytest.raises(ValueError, match=f"{other}=0.7, but this penalty has no {other}"):
        setattr(kind(0.1), other, 0.7)


def test_a_patched_activation_must_return_an_array_of_the_batchs_shape():
    layer = TanhActivation()
    layer.activation_function = lambda x: x.mean(axis=0)
    with pytest.raises(ValueError, match="without a sum or a mean"):
        layer.forward_propagation(X, training=True)


@pytest.mark.parametrize("steps", ["formulas", "auto"])
@pytest.mark.parametrize("result", [0.01, None])
def test_a_number_is_no_penalty_on_each_weight(steps, result):
    class Flat(ElementwisePenalty):
        def element_penalty(self, w):
            return result

    with pytest.raises(TypeError, match=r"Flat.element_penalty returned .*: expected an array"):
        network(regularizer=Flat(), steps=steps).fit((X, Y))


@pytest.mark.parametrize("steps", ["formulas", "auto"])
def test_classes_of_users_do_not_live_longer_than_their_objects(steps):
    class Own(SigmoidActivation):
        pass

    NeuralNetwork(epochs=1, steps=steps).add(DenseLayer(2, (3,))).add(Own()).add(DenseLayer(1)).fit(
        (X, Y)
    )
    alive = weakref.ref(Own)
    del Own
    gc.collect()
    assert alive() is None


def test_a_formula_that_returns_nothing_is_named():
    class Forgetful(ActivationLayer):
        def activation_function(self, input):
            input + 1  # without a return

    net = NeuralNetwork(steps="formulas").add(DenseLayer(2, (3,))).add(Forgetful())
    with pytest.raises(TypeError, match=r"Forgetful.activation_function returned None: expected"):
        net.add(DenseLayer(1)).fit((X, Y))


def test_a_loss_that_takes_a_mean_is_told_not_to():
    class Mean(ElementwiseLoss):
        def element_loss(self, y_true, y_pred):
            return array_namespace(y_pred).mean((y_pred - y_true) ** 2)

    with pytest.raises(ValueError, match=r"Mean.element_loss returned .* without a sum or a mean"):
        Mean()(Y, Y)


def test_a_loss_that_cannot_be_pickled_is_compiled():
    pytest.importorskip("numba")
    pytest.importorskip("threadpoolctl")
    net = network(loss=lambda y, p: (p - y) ** 2)
    assert net.explain_steps(X, Y).chosen == "compiled"
    other = network(loss="mse")
    for each in (net, other):
        each.fit((X, Y))
    np.testing.assert_allclose(net.predict(X), other.predict(X), rtol=1e-5, atol=1e-6)


def test_a_message_without_advice_ends_without_a_space():
    class Distributions(ElementwiseLoss):
        accepts = frozenset({"distribution"})

        def element_loss(self, y_true, y_pred):
            return (y_true - y_pred) ** 2

    net = network(loss=Distributions()).add(SigmoidActivation())
    with pytest.raises(ValueError, match=r"expected a distribution over classes$"):
        net.fit((X, Y))


def test_new_layers_are_checked():
    for layer in (Swish(), Scale(), DenseLayer(2), DenseLayer(2, (3,))):
        before = dict(vars(layer))
        check_layer(layer, X)
        assert vars(layer) == before


def test_functions_are_checked():
    check_layer(lambda x: x * x, X)
    check_loss(lambda y, p: (p - y) ** 4, Y, Y + 0.5)
    with pytest.raises(TypeError, match="expected an instance of Layer, or a function"):
        check_layer("tanh", X)
    with pytest.raises(TypeError, match="expected an instance of LossFunction, or a function"):
        check_loss("mse", Y, Y)


def test_a_layer_that_makes_no_parameter_is_refused():
    class Unmade(Scale):
        def initialize(self, optimizer=None):
            return Layer.initialize(self, optimizer)

    with pytest.raises(ValueError, match=r"Unmade has no array 'factor', .*make it in initialize"):
        check_layer(Unmade(), X)


def test_a_class_may_set_its_own_start():
    class Started(Momentum):
        velocity = np.ones(2)

    np.testing.assert_array_equal(Started().state_like("velocity", np.zeros(2)), [1.0, 1.0])


def test_a_class_whose_derivative_cannot_be_derived_is_told_what_to_define():
    class Steps(ElementwiseLoss):
        def element_loss(self, y_true, y_pred):
            return array_namespace(y_pred).floor(y_pred - y_true)

    with pytest.raises(
        TypeError, match=r"floor, .*: use abs, clip, .* the method element_derivative$"
    ):
        Steps().derivative(Y, Y)


def test_a_function_whose_derivative_cannot_be_derived_is_told_to_become_a_class():
    expected = r"because it has %.*define a subclass of ActivationLayer with .* and derivative$"
    with pytest.raises(TypeError, match=expected.replace("%", ".*%")):
        check_layer(lambda x: x % 1.0, X)


def test_a_function_that_gets_class_indices_is_told_of_one_hot_rows():
    def squares(y_true, y_pred):
        return (y_true - y_pred) ** 2

    net = NeuralNetwork(loss=squares).add(DenseLayer(3, (3,)))
    with pytest.raises(ValueError, match=r"^the function squares got .*xpnet.one_hot\(y, 3\)$"):
        net.fit((X, np.arange(32) % 3))
    net.fit((X, xpnet.one_hot(np.arange(32) % 3, 3)))


def test_a_branch_on_the_number_of_the_update_is_not_called_an_attribute():
    pytest.importorskip("numba")
    pytest.importorskip("threadpoolctl")

    class Late(Optimizer):
        def rule(self, w, g, *, rate, t):
            return w if t < 5 else w - rate * g

    said = network(optimizer=Late(), steps="auto").explain_steps(X, Y)
    assert "use where, or omit the attribute, if it is one, from" in said.reasons["compiled"]
