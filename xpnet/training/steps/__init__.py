"""The three kinds of training steps, by formulas, compiled and captured, and their choice."""
