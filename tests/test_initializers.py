"""First weights: their spread is that of the formula, and a seed fixes them."""

import math

import numpy as np
import pytest

from xpnet import DenseLayer
from xpnet.backends import to_host
from xpnet.initializers import INITIALIZERS, Normal, find_initializer

N_IN, N_OUT = 300, 200

# name -> (standard deviation, largest value or None), worked by hand from the formulas
BY_HAND = {
    "zeros": (0.0, 0.0),
    "normal": (0.05, None),
    "glorot_normal": (math.sqrt(2 / 500), None),
    "glorot_uniform": (math.sqrt(2 / 500), math.sqrt(6 / 500)),
    "he_normal": (math.sqrt(2 / 300), None),
    "he_uniform": (math.sqrt(2 / 300), math.sqrt(6 / 300)),
}


def test_every_initializer_was_worked_by_hand():
    assert set(BY_HAND) == set(INITIALIZERS)


@pytest.mark.parametrize("name", BY_HAND)
def test_spread_and_range(name, rng):
    deviation, largest = BY_HAND[name]
    weights = find_initializer(name)((N_IN, N_OUT), rng)
    assert weights.shape == (N_IN, N_OUT)
    assert abs(weights.mean()) <= 0.01 * deviation * 5
    np.testing.assert_allclose(weights.std(), deviation, rtol=0.02)
    if largest is not None:
        assert np.abs(weights).max() <= largest
        assert np.abs(weights).max() >= 0.99 * largest
    else:  # normal: beyond two deviations in 4.55 % of cases
        assert np.mean(np.abs(weights) > 2 * deviation) == pytest.approx(0.0455, abs=0.004)


def make(initializer, backend, seed=1):
    layer = DenseLayer(N_OUT, input_shape=(N_IN,), initializer=initializer)
    layer.backend, layer.rng = backend, np.random.default_rng(seed)
    return to_host(layer.initialize().weights)


@pytest.mark.parametrize("name", ["he_normal", "HeNormal", INITIALIZERS["he_normal"]])
def test_names_classes_and_seeds(name, backend, rng):
    expected = make("he_normal", backend)
    np.testing.assert_array_equal(make(name, backend), expected)
    assert not np.array_equal(make(name, backend, seed=2), expected)


def test_a_users_function_gets_shape_and_generator(backend):
    def ramp(shape, rng):
        assert isinstance(rng, np.random.Generator)
        return np.arange(shape[0] * shape[1]).reshape(shape) / 1000

    np.testing.assert_allclose(make(ramp, backend)[0, :3], [0, 0.001, 0.002], rtol=1e-6)


def test_normal_takes_a_scale(rng):
    assert Normal(0.3)((N_IN, N_OUT), rng).std() == pytest.approx(0.3, rel=0.02)
    with pytest.raises(ValueError, match="scale=0: expected a finite number above 0"):
        Normal(0)


def test_a_function_that_returns_nan_is_refused():
    layer = DenseLayer(2, (3,), initializer=lambda shape, rng: np.full(shape, np.nan))
    with pytest.raises(ValueError, match="expected finite numbers of shape"):
        layer.initialize()
