"""Helpers for the tests of composites: a user's composite, and finite differences."""

import numpy as np

from xpnet import Composite


class Gated(Composite):
    """A user's composite: the input times the output of the inner layers."""

    passing_names = ("input", "gate")

    def forward_propagation(self, input, training=True):
        gate = self.forward_through(self.layers, input, training)
        if training:
            self.input, self.gate = input, gate
        return input * gate

    def backward_propagation(self, output_error):
        through = self.backward_through(self.layers, output_error * self.input)
        return output_error * self.gate + through


def differences(function, X, h=1e-5):
    """Return the derivatives of a function by each sample's features, by finite differences."""
    found = np.empty_like(X)
    for j in range(X.shape[1]):
        step = np.zeros_like(X)
        step[:, j] = h
        found[:, j] = (function(X + step) - function(X - step)) / (2 * h)
    return found
