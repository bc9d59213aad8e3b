"""What users' own formulas may do: steps by formulas and compiled ones give the same."""

import numpy as np
import pytest

from xpnet import (
    L2,
    LBFGS,
    ActivationLayer,
    Callback,
    DenseLayer,
    HuberLoss,
    NeuralNetwork,
    Optimizer,
    TanhActivation,
)

N, K, N_OUTPUTS = 60, 4, 3


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, K)), rng.uniform(0.1, 0.9, (N, N_OUTPUTS))


def fitted(data, steps, activation=TanhActivation, **options):
    net = NeuralNetwork(epochs=3, batch_size=10, seed=1, steps=steps, **options)
    for layer in (DenseLayer(6, (K,)), activation(), DenseLayer(N_OUTPUTS)):
        net.add(layer)
    return net.fit(data)


def assert_steps_agree(data, make, dtype="float64"):
    compiled, expected = (
        fitted(data, steps, dtype=dtype, **make()) for steps in ("compiled", "formulas")
    )
    found, wanted = compiled.parameters.copy(), expected.parameters.copy()
    assert found.dtype == wanted.dtype == dtype
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        compiled.history["loss"], expected.history["loss"], rtol=tolerance, atol=tolerance
    )


class LastGradient(Optimizer):
    """Remembers the gradient itself."""

    state_names = ("last",)
    last = None

    def rule(self, w, g, last, *, rate, t):
        return w - rate * (g + 0.5 * last), g


class NumberAsState(Optimizer):
    state_names = ("one",)
    one = None

    def rule(self, w, g, one, *, rate, t):
        return w - rate * g * (1 + one), 1


class TruthAsState(Optimizer):
    state_names = ("above",)
    above = None

    def rule(self, w, g, above, *, rate, t):
        return w - rate * g * (1 + above), g > 0


class WiderNumber(Optimizer):
    """NumPy's float64 would make float64 weights of float32 ones."""

    def rule(self, w, g, *, rate, t):
        return w - np.float64(0.1) * g


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [LastGradient, NumberAsState, TruthAsState, WiderNumber])
def test_what_a_rule_returns_is_kept_as_weights_are(data, kind, dtype):
    assert_steps_agree(data, lambda: {"optimizer": kind(0.05)}, dtype)


class OfAnotherShape(Optimizer):
    def rule(self, w, g, *, rate, t):
        return (w - rate * g)[:1]


class Nothing(Optimizer):
    def rule(self, w, g, *, rate, t):
        return "w"


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (OfAnotherShape, ValueError, r"OfAnotherShape returned an array of shape \(1,\) as new w"),
        (Nothing, TypeError, "rule of Nothing returned 'w' as new w: expected an array of shape"),
    ],
)
def test_what_is_no_array_of_the_weights_shape_is_refused(data, kind, error, message):
    with pytest.raises(error, match=message):
        fitted(data, "formulas", optimizer=kind())


def test_a_lambda_is_compiled_as_a_loss(data):
    assert_steps_agree(data, lambda: {"loss": lambda y, p: (p - y) ** 2})


def test_a_lambda_of_a_loss_may_be_replaced_between_epochs(data):
    def trained(steps):
        net = fitted(data, steps, loss=lambda y, p: (p - y) ** 2, dtype="float64")
        net.loss.function = lambda y, p: 5.0 * (p - y) ** 2
        return net.fit(data).parameters.copy()

    np.testing.assert_allclose(trained("compiled"), trained("formulas"), rtol=1e-9)


class TwiceHuber(HuberLoss):
    def element_loss(self, y_true, y_pred):
        return 2.0 * super().element_loss(y_true, y_pred)


class SteeperHuber(HuberLoss):
    def element_derivative(self, y_true, y_pred):
        return 3.0 * super().element_derivative(y_true, y_pred)


def test_the_huber_loss_may_be_part_of_another_formula(rng):
    y, p = rng.standard_normal((2, 20, 2))
    huber = HuberLoss()
    np.testing.assert_allclose(TwiceHuber()(y, p), 2.0 * huber(y, p))
    np.testing.assert_allclose(TwiceHuber().derivative(y, p), 2.0 * huber.derivative(y, p))
    np.testing.assert_allclose(SteeperHuber()(y, p), huber(y, p))


class NoFloat(ActivationLayer):
    """Its number is too large for a float."""

    numbers = ("factor",)
    factor = 10**400

    def activation_function(self, input):
        return input * self.factor


def test_an_error_of_a_part_is_not_taken_for_one_of_numba(data):
    with pytest.raises(OverflowError):
        fitted(data, "compiled", activation=NoFloat)
    fitted(data, "compiled")  # still works in this process


class Heavier(Callback):
    def on_epoch_end(self, network, row):
        if row["epoch"] == 3:
            for _, _, penalty in network.parameters.penalties:
                penalty.l2 = 1.0


def test_lbfgs_begins_anew_when_a_callback_changes_a_penalty(data):
    net = NeuralNetwork(optimizer=LBFGS(), regularizer=L2(0.01), dtype="float64", seed=1)
    net.add(DenseLayer(6, (K,))).add(TanhActivation()).add(DenseLayer(N_OUTPUTS))
    losses = net.fit(data, epochs=12, callbacks=[Heavier()]).history["loss"]
    assert len(losses) >= 7
    assert losses[-1] < 0.2 * max(losses[3:])  # the first iterations are with the new penalty
