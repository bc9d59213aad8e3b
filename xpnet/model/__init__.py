"""A model: layers, a loss and an optimizer, and their parameters on a backend."""
