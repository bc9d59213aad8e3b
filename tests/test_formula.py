"""Formulas as programs: the operations that symbols follow, those that they refuse, numbers."""

import copy
import dataclasses
import functools
import math
import threading
import time

import numpy as np
import pytest

from xpnet.activations import (
    ActivationLayer,
    LeakyReLUActivation,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import _numpy_formulas as on_numpy
from xpnet.backends import array_namespace, ops
from xpnet.backends.formula import UntraceableError, evaluate, listing, run, trace, trace_part
from xpnet.backends.formula.evaluation import number_of
from xpnet.common import traceable
from xpnet.optimizers import SGD, Adam, AdamW, Optimizer
from xpnet.optimizers.base import ruled
from xpnet.regularizers import L2
from xpnet.training.steps import translation

X = np.array([-2.0, -1.0, 0.5, 2.0])


def xp_of(x):
    return array_namespace(x)


def value(function, *arrays, **numbers):
    """Return what a function's formula gives for arrays."""
    names = ["x", "y", "z"][: len(arrays)]
    formula = trace(function, names, str(arrays[0].dtype), **numbers)
    (found,) = run(*arrays, formula=formula, numbers={})
    return found


# ---- operations that are refused

random = np.random.default_rng(0)
kept = []


def keep(x):
    kept.append(x)
    return x + kept[0]


def caught(x):
    try:
        return x * float(x)
    except TypeError:
        return x


def in_place(x):
    x *= 2.0
    return x


def branch(x):
    return x if x > 0 else 0.1 * x


def loop(x):
    total = x
    for each in x:
        total = total + each
    return total


REFUSED = {
    "if": (branch, "where"),
    "and": (lambda x: xp_of(x).where((x > 0) and (x < 1), x, 0.0), "logical_and"),
    "chain": (lambda x: xp_of(x).where(0 < x < 1, x, 0.0), "where"),
    "min": (lambda x: min(x, 1.0), "minimum"),
    "in": (lambda x: x * (x in (1.0, 2.0)), "where"),
    "index": (lambda x: x[0], "index"),
    "mask": (lambda x: x[x > 0], "index"),
    "set": (lambda x: x.__setitem__(0, 1.0), "index"),
    "loop": (loop, "loop"),
    "len": (lambda x: x / len(x), "length"),
    "math": (lambda x: math.exp(x), "namespace"),
    "math.floor": (lambda x: x - math.floor(x), "namespace"),
    "float": (lambda x: x * float(x), "namespace"),
    "int": (lambda x: x * int(x), "namespace"),
    "round": (lambda x: round(x), "namespace"),
    "complex": (lambda x: x * 1j, "complex"),
    ".sum": (lambda x: x / x.sum(), r"\.sum"),
    ".shape": (lambda x: x / x.shape[0], r"\.shape"),
    ".astype": (lambda x: x.astype("float32"), r"\.astype"),
    "xp.sum": (lambda x: x / xp_of(x).sum(x), "sum, which needs several elements"),
    "xp.max": (lambda x: x - xp_of(x).max(x, axis=1), "max, which needs several elements"),
    "xp.floor": (lambda x: xp_of(x).floor(x), "floor, which formulas do not support"),
    "xp.asarray": (lambda x: x + xp_of(x).asarray(1.0), "asarray, which formulas do not support"),
    "np.sum": (lambda x: x / np.sum(x), "elementwise"),
    "np.floor": (lambda x: np.floor(x), "floor, which formulas do not support"),
    "np.add.reduce": (lambda x: np.add.reduce(x), "add.reduce"),
    "np.exp(out)": (lambda x: np.exp(x, out=np.empty(3)), "options"),
    "np.asarray": (lambda x: np.asarray(x) + 1, "NumPy array"),
    "random": (lambda x: x + random.normal(), "random"),
    "kept": (keep, "another|different"),
    "array": (lambda x: x * np.array([1.0, 2.0]), "ndarray"),
    "array first": (lambda x: np.array([1.0, 2.0]) * x, "ndarray"),
    "list": (lambda x: x * [1.0, 2.0], "list"),
    "None": (lambda x: None, "NoneType"),
    "//": (lambda x: x // 1.0, "//"),
    "%": (lambda x: 1.0 % x, "%"),
    "@": (lambda x: x @ x, "@"),
    "+=": (in_place, r"\+="),
    "+ of truth values": (lambda x: (x > 0) + (x < 1), "astype"),
    "- of a truth value": (lambda x: -(x > 0), "astype"),
    "exp of a truth value": (lambda x: xp_of(x).exp(x > 0), "astype"),
    "& of numbers": (lambda x: x & 1.0, "compare"),
    "where of a number": (lambda x: xp_of(x).where(x, x, 0.0), "compare"),
    "another type": (lambda x: xp_of(x).astype(x, np.float32), "float32"),
    "whole numbers": (lambda x: xp_of(x).astype(x, xp_of(x).int64), "int64"),
    "caught": (caught, "namespace"),
    "attribute asked for": (lambda x: x if getattr(x, "ndim", 2) == 2 else x * x, r"\.ndim"),
    "another error": (lambda x: {}[x], "KeyError"),
    "too large": (lambda x: x * 10**400, "OverflowError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused(name):
    function, words = REFUSED[name]
    kept.clear()
    with pytest.raises(UntraceableError, match=words):
        trace(function, ["x"])


class Changes(ActivationLayer):
    def activation_function(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return x * x


class Branches(ActivationLayer):
    numbers = ("alpha",)

    def __init__(self, alpha):
        self.alpha = alpha

    def activation_function(self, x):
        return x * self.alpha if self.alpha > 0 else x


class Misses(ActivationLayer):
    numbers = ("beta",)

    def activation_function(self, x):
        return x * x


class Times(ActivationLayer):
    numbers = ("alpha",)

    def __init__(self, alpha):
        self.alpha = alpha

    def activation_function(self, x):
        return x * self.alpha


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Changes(), "changes attributes"),
        (Branches(0.5), "one of its numbers"),
        (Misses(), "'beta' among its numbers: .* there is none"),
        (Times(None), "'alpha' among its numbers: .* NoneType"),
        (Times(np.array([1.0, 2.0])), "'alpha' among its numbers: .* ndarray"),
        (Times([1.0]), "'alpha' among its numbers: .* list"),
    ],
)
def test_parts_that_cannot_be_followed_are_refused(part, words):
    with pytest.raises(UntraceableError, match=words):
        trace_part(
            part, lambda part, x: part.activation_function(x), ["x"], "float64", part.numbers
        )
    with pytest.raises(UntraceableError, match=f"{type(part).__name__} defines no derivative"):
        part.derivative(X)


def test_numbers_that_are_arguments_too_are_refused():
    class Own(Optimizer):
        numbers = ("t",)
        t = 3.0

        def rule(self, w, g, *, rate, t):
            return (w - rate * g * t * self.t,)

    with pytest.raises(UntraceableError, match="'t' among its numbers, which is an argument"):
        trace_part(Own(), ruled, ["w", "g"], "float64", Own.numbers, ("rate", "t"))


def test_numbers_of_an_activation_may_have_the_names_of_a_rules_arguments():
    class Own(ActivationLayer):
        numbers = ("rate", "t")
        rate, t = 2.0, 5.0

        def activation_function(self, x):
            return self.rate * x + self.t

    part = Own()
    formula = translation.traced(part, translation._of_activation, ("x", "a"), "float64")
    found = traceable.listing_of(formula, 0)
    assert found.numbers == ("rate", "t")
    assert translation.numbers_in(part, found) == [2.0, 5.0]


# ---- operations that are followed


def test_symbols_leave_the_part_as_it_is():
    part = Times(3.0)
    before = dict(vars(part))
    np.testing.assert_array_equal(part.derivative(X), [3.0] * 4)
    assert vars(part) == before


def test_a_formula_that_doubles_in_size_at_each_step_stays_small():
    def function(x):
        for _ in range(200):
            x = x * x + x
        return x

    started = time.perf_counter()
    formula = trace(function, ["x"])
    assert len(listing(formula).inside) == 400
    assert len(repr(formula.outputs)) < 10_000
    assert time.perf_counter() - started < 5


def test_a_long_formula_is_no_problem():
    def function(x):
        total = x
        for k in range(3000):
            total = total + float(k)
        return total

    np.testing.assert_allclose(value(function, X), X + sum(range(3000)))


MIXED = {
    "times": lambda x: (x > 0) * x,
    "plus": lambda x: (x > 0) * 1.0 + (x > 1) * 1.0,
    "minus": lambda x: 1.0 - (x > 0),
    "over": lambda x: (x > 0) / 2.0,
    "one of two": lambda x: xp_of(x).where(x > 0, x, x > -1.5) * 1.0,
    "result": lambda x: x > 0,
    "equal": lambda x: xp_of(x).where((x > 0) == (x > 1), x, 0.0),
    "constant": lambda x: x * True,
    "like": lambda x: xp_of(x).where(xp_of(x).ones_like(x > 0), x, 0.0),
    "like of a type": lambda x: xp_of(x).where(xp_of(x).zeros_like(x, dtype=bool), 5.0, x),
    "bool": lambda x: xp_of(x).where(xp_of(x).astype(x - 0.5, bool), 5.0, x),
}


@pytest.mark.parametrize("name", MIXED)
def test_truth_values_beside_numbers_are_1_and_0(name):
    function = MIXED[name]
    found = value(function, X)
    assert found.dtype == X.dtype
    np.testing.assert_array_equal(found, np.asarray(function(X), float))


def test_a_copy_of_a_symbol_is_the_symbol():
    found = trace(lambda x: copy.copy(x) * copy.deepcopy(x), ["x"])
    assert str(found.outputs) == "(multiply(x, x),)"


@pytest.mark.parametrize("constant", [0.0, -0.0])
def test_zeros_of_both_signs_are_different_constants(constant):
    np.testing.assert_array_equal(
        np.signbit(value(lambda x: x * constant, np.ones(2))), [np.signbit(constant)] * 2
    )


def test_equal_formulas_have_equal_programs():
    def make(constant):
        return listing(trace(lambda x: xp_of(x).where(x > 0, constant, x), ["x"]))

    assert make(0.5) == make(np.float32(0.5))
    assert make(float("nan")) == make(np.float64("nan") * 2)
    assert make(0.0) != make(-0.0)
    assert make(1.0) != make(2.0)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 4), (0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", ">f8", "longdouble"])
def test_arrays_of_any_shape_and_type(shape, dtype, rng):
    x = rng.uniform(-2, 2, shape).astype(dtype)
    part = Bent()
    found = part.derivative(x)
    assert found.shape == shape
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, np.where(x > 0, 2 * x, 0.5).astype(dtype), rtol=1e-3)


class Bent(ActivationLayer):
    def activation_function(self, x):
        return xp_of(x).where(x > 0, x * x, 0.5 * x)


@pytest.mark.parametrize("dtype", ["int64", "int8", "bool", "uint8"])
def test_derivatives_at_integers_need_not_be_integers(dtype):
    x = np.array([0, 1, 3], dtype)
    np.testing.assert_array_equal(Bent().derivative(x), [0.5, 2, 2 * int(x[2])])


def test_arrays_of_different_shapes_are_broadcast():
    formula = trace(lambda x, y: x * y + 1.0, ["x", "y"])
    x, y = np.ones((3, 1)), np.arange(4.0)
    (found,) = run(x, y, formula=formula, numbers={})
    np.testing.assert_array_equal(found, x * y + 1)


def test_results_are_not_written_where_they_do_not_fit():
    formula = trace(lambda x: x * 0.1, ["x"])
    out = np.zeros(4, np.float32)
    (found,) = run(X, formula=formula, numbers={}, outs=[out], overwrites=("x",))
    np.testing.assert_array_equal(found, X * 0.1)


def test_a_choice_keeps_the_array_that_its_result_overwrites():
    formula = trace(lambda w, g: xp_of(w).where(w > 0, w, g), ["w", "g"])
    w = X.copy()
    run(w, X - 9, formula=formula, numbers={}, outs=[w], overwrites=("w",))
    np.testing.assert_array_equal(w, [-11, -10, 0.5, 2])


# ---- derivatives of classes and of their subclasses


class Cube(ActivationLayer):
    def activation_function(self, x):
        return x * x * x


class CubeByHand(Cube):
    def derivative(self, x):
        return 3.0 * x * x


class Fourth(CubeByHand):
    def activation_function(self, x):
        return super().activation_function(x) * x


class FourthAgain(Fourth):
    pass


class Mixin:
    def activation_function(self, x):
        return x * x * x


class FromMixin(Mixin, ReLUActivation):
    pass


class MixinLast(ReLUActivation, Mixin):
    pass


class OtherSlope(TanhActivation):
    def derivative(self, x):
        return 7.0 * xp_of(x).ones_like(x)


@pytest.mark.parametrize(
    ("kind", "slope"),
    [
        (Cube, 3 * X**2),
        (CubeByHand, 3 * X**2),
        (Fourth, 4 * X**3),
        (FourthAgain, 4 * X**3),
        (FromMixin, 3 * X**2),
        (MixinLast, X > 0),
        (OtherSlope, [7.0] * 4),
    ],
)
def test_a_derivative_is_that_of_the_classs_own_formula(kind, slope):
    part = kind()
    np.testing.assert_allclose(part.derivative(X), slope)
    formula = translation.traced(part, translation._of_activation, ("x", "a"), "float64")
    found = on_numpy.compute_formula(X, X, formula=formula, numbers={})
    np.testing.assert_allclose(found[1], slope)


def test_a_derivative_alone_takes_back_that_of_the_output():
    assert OtherSlope.derivative_of_output is None
    assert FromMixin.derivative_of_output is None
    assert Fourth.derivative_of_output is None
    assert TanhActivation.derivative_of_output is not None


def test_a_method_of_the_object_counts():
    part = ReLUActivation()
    part.activation_function = lambda x: x * x
    part.derivative = functools.partial(ActivationLayer.derivative, part)
    np.testing.assert_array_equal(part.derivative(X), 2 * X)


def test_a_patched_rule_of_a_base_counts(monkeypatch):
    def step():
        optimizer = AdamW(0.5, weight_decay=0.0)
        return optimizer.update(np.ones(2), np.ones(2))

    before = step()
    original = Adam.rule

    def faster(self, w, g, m, v, *, rate, t):
        return original(self, w, g, m, v, rate=2.0 * rate, t=t)

    monkeypatch.setattr(Adam, "rule", faster)
    np.testing.assert_allclose(step() - 1, 2 * (before - 1))


class OneArray(Optimizer):
    """Returns an array where a tuple of one is expected, as anyone may who has no state."""

    def rule(self, w, g, *, rate, t):
        return w - rate * g


@pytest.mark.parametrize("n", [1, 3])
def test_a_rule_without_state_may_return_its_array(n):
    found = OneArray(0.5).update(np.ones(n), np.ones(n))
    np.testing.assert_array_equal(found, [0.5] * n)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_rule_that_returns_too_few_arrays_is_refused(n):
    class Forgets(OneArray):
        state_names = ("moment",)
        moment = None

        def rule(self, w, g, moment, *, rate, t):
            return w - rate * g

    with pytest.raises(
        ValueError, match=r"rule of Forgets returned 1 arrays: .* 1 for state_names"
    ):
        Forgets(0.5).update(np.ones(n), np.ones(n))


def test_an_optimizer_uses_its_current_settings():
    optimizer = SGD(0.5, momentum=0.5)
    w = optimizer.update(np.ones(2), np.ones(2))
    optimizer.momentum, optimizer.learning_rate = 0.0, 0.25
    np.testing.assert_array_equal(optimizer.update(w, np.ones(2)), [0.25] * 2)
    optimizer.momentum, optimizer.dampening = 0.5, 0.5
    np.testing.assert_array_equal(optimizer.update(w, np.ones(2)), [0.25] * 2)


factor = 2.0


class Global(ActivationLayer):
    def activation_function(self, x):
        return factor * x


def test_a_global_variable_is_read_at_each_call(monkeypatch):
    part = Global()
    np.testing.assert_array_equal(part.derivative(X), [2.0] * 4)
    monkeypatch.setitem(globals(), "factor", 3.0)
    np.testing.assert_array_equal(part.derivative(X), [3.0] * 4)


class Slots(ActivationLayer):
    __slots__ = ("alpha",)
    numbers = ("alpha",)

    def __init__(self, alpha):
        self.alpha = alpha

    def activation_function(self, x):
        return self.alpha * x


class Property(ActivationLayer):
    numbers = ("alpha",)

    def __init__(self, alpha):
        self.root = alpha**0.5

    @property
    def alpha(self):
        return self.root**2

    def activation_function(self, x):
        return self.alpha * x


class Unhashable(Times):
    def __eq__(self, other):
        return NotImplemented

    __hash__ = None


@dataclasses.dataclass
class Data(ActivationLayer):
    alpha: float = 1.0
    numbers = ("alpha",)

    def activation_function(self, x):
        return self.alpha * x


@pytest.mark.parametrize("kind", [Times, Slots, Property, Unhashable, Data])
def test_unusual_classes(kind):
    for alpha in (4.0, 9.0):
        part = kind(alpha)
        np.testing.assert_array_equal(part.derivative(X), [alpha] * 4)
        assert part.alpha == alpha


# ---- numbers


def test_a_changed_number_needs_no_other_program():
    seen = set()
    for alpha in (0.1, 0.2, 0.0, 3.0):
        part = LeakyReLUActivation(alpha)
        formula = translation.traced(part, translation._of_activation, ("x", "a"), "float64")
        seen.add(traceable.listing_of(formula))
        found = on_numpy.compute_formula(X, X, formula=formula, numbers={"alpha": alpha})
        np.testing.assert_array_equal(found[0], np.where(X > 0, X, alpha * X))
    assert len(seen) == 1


def test_what_depends_on_numbers_alone_is_computed_once():
    def function(part, x, rate, t):
        return x * rate / (1.0 - part.beta**t), x

    class Part:
        beta = 0.9

    formula = trace_part(Part(), function, ["x"], "float64", ("beta",), ("rate", "t"))
    found = listing(formula)
    assert {each.operation for each in found.before} == {"pow", "subtract"}
    assert {each.operation for each in found.inside} == {"multiply", "divide"}


NUMBERS = (-8.0, -2.5, -1.0, -0.0, 0.0, 1e-300, 1 / 3, 1.0, 2.5, 3.0, 800.0, 1e200, -1e200)
NUMBERS += (math.inf, -math.inf, math.nan)
EVERY = {
    **{name: 1 for name in ("abs", "exp", "expm1", "log", "log1p", "sqrt", "sign", "tanh")},
    **{
        name: 1 for name in ("sinh", "cosh", "sin", "cos", "negative", "sigmoid", "softplus", "erf")
    },
    **{name: 2 for name in ("add", "subtract", "multiply", "divide", "pow", "maximum", "minimum")},
}


def numbers_alone(name):
    """Return a formula of numbers alone, and the plain function."""
    function = getattr(ops, name, None) if name in ("sigmoid", "softplus", "erf") else None

    def called(part, x, **numbers):
        apply = function or getattr(xp_of(x), name)
        return x * 0.0 + apply(*numbers.values()), x

    return called, function or getattr(array_namespace(X), name)


@pytest.mark.parametrize("name", EVERY)
def test_numbers_that_have_no_result_give_what_arrays_give(name):
    called, plain = numbers_alone(name)
    names = ("a", "b")[: EVERY[name]]
    formula = trace_part(object.__new__(type("Part", (), {})), called, ["x"], arguments=names)
    x = np.zeros(1)
    for a in NUMBERS:
        for b in NUMBERS if len(names) == 2 else (0.0,):
            numbers = dict(zip(names, (a, b), strict=False))
            with np.errstate(all="ignore"):
                expected = plain(*(np.array([each]) for each in numbers.values())) + 0.0
                (found, _) = on_numpy.compute_formula(x, formula=formula, numbers=numbers)
                (other, _) = evaluate(formula.outputs, {"x": x}, numbers)
                third = number_of(name, *numbers.values()) + 0.0
            for value in (found, other, third):
                np.testing.assert_allclose(value, expected[0], rtol=1e-14, err_msg=f"{numbers}")


# ---- several at a time


def test_threads_trace_and_compute_at_once():
    parts = [SigmoidActivation(2.0), Times(3.0), Bent(), Adam(0.1), L2(0.3)]
    x = np.linspace(-2, 2, 200_003)

    def all_values():
        own = copy.deepcopy(parts)
        return [
            own[0].derivative(x),
            own[1].derivative(x),
            own[2].derivative(x),
            own[3].update(x, x),
            own[4].add_to(x.copy(), x),
        ]

    expected, errors = all_values(), []

    def work():
        try:
            for _ in range(5):
                for found, value in zip(all_values(), expected, strict=True):
                    np.testing.assert_array_equal(found, value)
                traceable._kept.clear()
                on_numpy._program.cache_clear()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def best(function, n=7):
    times = []
    for _ in range(n):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def test_speed(capsys):
    """Blocks are no slower than the formula itself, and tracing takes little."""
    optimizer, n = Adam(0.01), 300_000
    w, g, m, v = (np.full(n, 0.5, np.float32) for _ in range(4))
    names = ("w", "g", "s0", "s1")
    numbers = traceable.formula_numbers(optimizer) | {"rate": 0.01, "t": 3.0}

    def traced():
        return trace_part(optimizer, ruled, names, "float32", optimizer.numbers, ("rate", "t"))

    formula = traced()
    tracing = best(traced)
    plain = best(lambda: optimizer.rule(w, g, m, v, rate=0.01, t=3.0))
    blocks = best(
        lambda: run(
            w, g, m, v, formula=formula, numbers=numbers, outs=(w, m, v),
            overwrites=("w", "s0", "s1"),
        )
    )  # fmt: skip
    with capsys.disabled():
        print(f"\ntraced in {tracing * 1e6:.0f} µs; Adam of {n} weights in blocks ", end="")
        print(f"{blocks * 1e3:.2f} ms, plainly {plain * 1e3:.2f} ms")
    assert tracing < 0.05
    assert blocks < 1.5 * plain
