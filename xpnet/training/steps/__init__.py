"""The three ways to take a training step: by formulas, compiled, captured; and the choice."""
