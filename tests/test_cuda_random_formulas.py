"""Random formulas and their derivatives as CUDA kernels, run on the CPU."""

import shutil
from collections import Counter

import numpy as np
import pytest

from bench import written
from tests.cuda.emulator import Emulator
from xpnet.backends import _numpy_formulas as on_numpy
from xpnet.backends.cuda import formulas
from xpnet.backends.formula import listing

from .programs import random_program
from .test_formula_random import assert_values, slopes, traced, trouble

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
SHAPE = (257,)


def any_program(rng):
    return random_program(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)))


def compiled(made, real):
    """Return a function that runs the kernel of any of these formulas."""
    kernels = [formulas.elementwise(listing(each)) for each in made]
    unique = tuple(dict.fromkeys(kernels))
    emulator = Emulator(
        real, source=written.text_of(unique), signatures=written.signatures_of(unique)
    )

    def run(k, inputs, numbers):
        outs = [np.full_like(inputs[0], np.nan) for _ in made[k].outputs]
        values = formulas.fixed(listing(made[k]), numbers)
        emulator.launch(kernels[k].name, 3, 64, *inputs, *outs, inputs[0].size, *values)
        return outs

    return run


@pytest.mark.parametrize("real", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(3))
def test_values(real, seed):
    rng = np.random.default_rng(seed)
    programs = [any_program(rng) for _ in range(60)]
    run, count = compiled([traced(each, real) for each in programs], real), Counter()
    for k, program in enumerate(programs):
        inputs = [rng.uniform(-3, 3, SHAPE).astype(real) for _ in program.names]
        assert_values(run(k, inputs, program.given), program, inputs, count)
    assert count["unstable"] < 0.02 * count["values"]


@pytest.mark.parametrize("seed", range(3))
def test_derivatives(seed):
    rng = np.random.default_rng(100 + seed)
    programs = [any_program(rng) for _ in range(60)]
    made = [slopes(each, by=k % each.n_inputs)[1] for k, each in enumerate(programs)]
    run, compared = compiled(made, "float64"), 0
    for k, program in enumerate(programs):
        inputs = [rng.uniform(-3, 3, SHAPE) for _ in program.names]
        wanted = on_numpy.compute_formula(*inputs, formula=made[k], numbers=program.given)
        good = ~trouble(program, inputs)
        for found, slope in zip(run(k, inputs, program.given), wanted, strict=True):
            usual = good & np.isfinite(slope) & (np.abs(slope) < 1e3)
            np.testing.assert_allclose(
                found[usual], slope[usual], rtol=1e-9, atol=1e-9, err_msg=str(program)
            )
            compared += int(usual.sum())
    assert compared > 10_000
