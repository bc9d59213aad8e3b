"""Training with L-BFGS: the loss of all samples as a function, SciPy's solver, the steps."""
