"""Normalization: the moments that it computes, and features that reach it with all digits."""

import shutil
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import (
    BatchNormalization,
    Dataset,
    DenseLayer,
    NeuralNetwork,
    Normalization,
    TanhActivation,
    load,
    resolve,
)
from xpnet.backends import to_host
from xpnet.training import memory

from .conftest import opened
from .steps import why_not_captured, why_not_compiled

EXAMPLES = {"derandomize": True, "deadline": None}
WIDE = ["float64", "int32", "uint32", "int64", "uint64"]
NARROW = ["bool", "int8", "uint8", "int16", "uint16", "float16", "float32"]


def standardized(X, layer):
    """Return (X - mean) / scale by the formula, in float64."""
    return (np.asarray(X).astype(float) - to_host(layer.mean)) / to_host(layer.scale)


def holder_of(dtype, backend):
    """Return the backend if it has arrays of the type, else NumPy's."""
    lacks = dtype == "float64" and backend.wide_dtype == "float32"
    return backend if hasattr(backend.xp, dtype) and not lacks else resolve("cpu")


@st.composite
def columns(draw, n):
    """A float64 column: constant, constant except for rounding, or spread around an offset."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    magnitude = draw(st.sampled_from([0.0, 1e-140, 1e-30, 1e-3, 1.0, 7.0, 1.7e9, 1e20, 1e140]))
    column = np.full(n, magnitude * draw(st.sampled_from([-1.0, 1.0])))
    kind = draw(st.sampled_from(["constant", "rounding", "spread"]))
    if kind == "rounding":
        return column + np.spacing(abs(column)) * rng.integers(-1, 2, n)
    if kind == "spread":
        share = draw(st.sampled_from([1e-7, 1e-3, 1.0, 1e3]))
        return column + (share * magnitude or 1.0) * rng.standard_normal(n)
    return column


# ---- what it finds in data


@given(st.data())
@settings(max_examples=150, **EXAMPLES)
def test_scales_of_float64_columns_are_those_of_scikit_learn(data):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    n = data.draw(st.sampled_from([1, 2, 3, 10, 100, 1000]))
    X = np.stack([data.draw(columns(n)) for _ in range(3)], axis=1)
    layer, reference = Normalization.adapt(X), preprocessing.StandardScaler().fit(X)
    np.testing.assert_allclose(layer.mean, reference.mean_, rtol=1e-12, atol=0)
    # Squares of numbers near 1e-140 lose digits in scikit-learn, not here.
    np.testing.assert_allclose(layer.scale, reference.scale_, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("features", [3, 8, 100])
@pytest.mark.parametrize("n", [2, 30, 2000])
def test_sums_that_differ_by_rounding_are_constant(dtype, features, n, backend, rng):
    shares = rng.dirichlet(np.ones(features), n).astype(dtype)
    sums = np.cumsum(shares, axis=1, dtype=dtype)[:, -1:]  # one addition after the other
    backend = holder_of(dtype, backend)
    layer = Normalization.adapt(backend.asarray(np.hstack([shares[:, :1], sums])))
    assert layer.scale[1] == 1.0
    assert 0 < layer.scale[0] < 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32", "int64"])
def test_columns_with_few_but_real_digits_are_not_constant(dtype):
    X = np.array([[1013], [1014], [1012], [1015]] * 50, dtype)  # air pressure in hPa
    assert Normalization.adapt(X).scale[0] == pytest.approx(np.std([1013, 1014, 1012, 1015]))


@pytest.mark.parametrize("dtype", WIDE[1:])
def test_integers_are_constant_only_if_they_are_equal(dtype):
    n = 300_000  # the bound for floats, n ε |m|, is above the deviation
    X = np.full((n, 2), 2_000_000_000, dtype)
    X[::1000, 0] += 1
    np.testing.assert_allclose(Normalization.adapt(X).scale, [np.sqrt(0.001 * 0.999), 1.0])


@pytest.mark.parametrize("magnitude", [1e-300, 1e-160, 1e-45, 1e45, 1e160, 1e200, 1e308])
def test_variances_neither_overflow_nor_vanish(magnitude):
    X = magnitude * np.array([[1.0, 1.0], [-1.0, 1.0], [0.5, 1.0], [-0.5, 1.0]])
    layer = Normalization.adapt(X)
    scale = magnitude * np.sqrt(0.625)
    np.testing.assert_allclose(layer.scale, [scale, 1.0], rtol=1e-14)
    np.testing.assert_allclose(layer.mean, [0.0, magnitude], atol=1e-15 * magnitude)


@pytest.mark.parametrize("least", [5e-324, 1e-320, 1e-310])
def test_denormal_deviations_which_lack_digits_have_the_scale_1(least):
    assert Normalization.adapt([[least], [0.0], [-least]]).scale.tolist() == [1.0]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("per_feature", [True, False])
def test_moments_are_the_same_on_every_backend(dtype, per_feature, backend, rng):
    backend = holder_of(dtype, backend)
    X = (rng.random((300, 4)) * [1, 10, 100, 0] + [0, 5, 100, 3]).astype(dtype)
    expected = X.astype(float).mean(axis=0), X.astype(float).std(axis=0)
    if not per_feature:
        expected = X.astype(float).mean(), X.astype(float).std()
    layer = Normalization.adapt(backend.asarray(X), per_feature=per_feature)
    assert layer.input_shape() == (4,)
    np.testing.assert_allclose(layer.mean, expected[0], rtol=1e-14)
    np.testing.assert_allclose(
        layer.scale, np.where(expected[1] == 0, 1.0, expected[1]), rtol=1e-13
    )


def test_one_row_has_the_scale_1(backend):
    layer = Normalization.adapt(backend.asarray([[3.0, -2e9]], backend.dtype))
    assert layer.scale.tolist() == [1.0, 1.0]
    assert layer.mean.tolist() == [3.0, -2e9]
    assert Normalization.adapt([[3.0, -2e9]], per_feature=False).scale == pytest.approx(
        1e9, rel=1e-8
    )


def test_adapt_accepts_the_same_data_as_a_data_set(rng):
    pandas = pytest.importorskip("pandas")
    X, y = rng.normal(5.0, 2.0, (50, 2)), rng.integers(0, 2, 50)
    expected = X.std(axis=0)
    y_with_gaps = np.where(y == 0, np.nan, 1.0)
    frame = pandas.DataFrame(X, columns=["a", "b"])
    sources = [X, X.tolist(), frame, (X, y), (frame, y, np.ones(50)), Dataset(X, y_with_gaps)]
    for source in sources:
        layer = Normalization.adapt(source)
        np.testing.assert_allclose(layer.scale, expected, rtol=1e-13)
        assert layer.input_shape() == (2,)
    assert Normalization.adapt(np.asfortranarray(X)[::-1]).scale == pytest.approx(expected)
    assert Normalization.adapt(X.astype(">f8")).scale == pytest.approx(expected)


@pytest.fixture(params=["memmap", "big-endian memmap", "h5py", "zarr"])
def stored(request, tmp_path, rng):
    """Data in a file, 200,000 rows in chunks of 999, and the same in memory."""
    X = rng.normal([1.7e9, 3.0, 5.0], [300.0, 1.0, 0.0], (200_000, 3))
    kind = request.param
    if "memmap" in kind:
        dtype = ">f8" if "big" in kind else "f8"
        data = np.memmap(tmp_path / "X.bin", dtype, "w+", shape=X.shape)
        data[:] = X
        yield data, X
    elif kind == "h5py":
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "X.h5", "w") as file:
            yield file.create_dataset("X", data=X, chunks=(999, 3)), X
    else:
        zarr = pytest.importorskip("zarr")
        data = zarr.create_array(
            str(tmp_path / "X.zarr"), shape=X.shape, chunks=(9999, 3), dtype="f8"
        )
        data[:] = X
        yield data, X


def test_stored_data_are_read_in_pieces(stored):
    data, X = stored
    tracemalloc.start()
    try:
        layer = Normalization.adapt(data)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expected = Normalization.adapt(X)
    np.testing.assert_allclose(layer.mean, expected.mean, rtol=1e-14)
    np.testing.assert_allclose(layer.scale, expected.scale, rtol=1e-12)
    assert held < 0.6 * X.nbytes


def test_stored_data_that_are_not_finite(tmp_path):
    X = np.memmap(tmp_path / "X.bin", "f4", "w+", shape=(50_000, 3))
    X[40_000, 1] = np.inf
    with pytest.raises(ValueError, match=r"not finite, the first \(inf\) in row 40000, column 1"):
        Normalization.adapt(X)


BAD = {
    "NaN": (np.array([[1.0, 2.0], [np.nan, 3.0]]), ValueError, r"\(nan\) in row 1, column 0"),
    "infinity": (np.array([[np.inf, 2.0]]), ValueError, r"1 value\(s\) that are not finite"),
    "text": ([["a", "b"]], TypeError, "expected booleans, integers or floats"),
    "objects": ([[None, 1.0]], ValueError, "missing value"),
    "complex numbers": (np.ones((2, 2), complex), TypeError, "real and the imaginary parts"),
    "one dimension": ([1.0, 2.0, 3.0], ValueError, r"shape \(3,\), expected \(n_samples, n_feat"),
    "three dimensions": (np.ones((2, 3, 0)), ValueError, r"flatten each sample"),
    "no rows": (np.zeros((0, 3)), ValueError, r"X has shape \(0, 3\)"),
    "no columns": (np.zeros((3, 0)), ValueError, r"X has shape \(3, 0\)"),
    "rows of different lengths": ([[1.0], [2.0, 3.0]], ValueError, "rows of different lengths"),
    "a masked array": (np.ma.masked_array([[1.0]], [[True]]), TypeError, "masked array: fill it"),
    "nothing": (None, TypeError, "X is a NoneType"),
}


@pytest.mark.parametrize("what", BAD)
def test_data_are_refused_as_by_a_data_set(what):
    X, kind, message = BAD[what]
    with pytest.raises(kind, match=message):
        Normalization.adapt(X)


def test_the_names_of_columns_are_in_the_message():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [1.0, np.inf], "city": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"column 0 \('age'\)"):
        Normalization.adapt(frame)
    with pytest.raises(ValueError, match=r"column 0 \('age'\)"):
        Normalization.adapt(Dataset(frame))


def test_sparse_data_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="X is sparse: subtracting the mean would make it dense"):
        Normalization.adapt(sparse.csr_array(np.eye(3)))


@pytest.mark.parametrize("name", ["mean", "scale"])
@pytest.mark.parametrize(
    "given",
    ["a", 1j, None, [1.0, 2.0], [[1.0], [2.0, 3.0]], ["a"] * 4, float("nan"), np.inf, ...,
     np.ma.masked_array(np.ones(4), [True] * 4)],
    ids=repr,
)  # fmt: skip
def test_invalid_moments_are_refused_by_the_constructor(name, given):
    above = " above 0" if name == "scale" else ""
    with pytest.raises(
        ValueError, match=rf"(?s){name}=.*: expected a finite number{above}, or 4 of"
    ):
        Normalization(**{name: given}, input_shape=(4,))


@pytest.mark.parametrize("scale", [0.0, -1.0, [1.0, 0.0]])
def test_scales_that_are_not_above_0_are_refused(scale):
    with pytest.raises(ValueError, match=r"scale=.*: expected a finite number above 0, or one for"):
        Normalization(0.0, scale)


def test_a_wrong_number_of_moments_is_refused_when_the_shape_is_known():
    with pytest.raises(ValueError, match=r"mean=\[1.0, 2.0\]: expected a finite number, or 4 of"):
        NeuralNetwork().add(DenseLayer(4, (3,))).add(Normalization([1.0, 2.0]))


@pytest.mark.parametrize("given", [{"scale": 1e-60}, {"mean": 1e60}])
def test_moments_that_a_device_without_float64_does_not_hold(given):
    with opened("no_float64") as backend:
        layer = Normalization(**given, input_shape=(2,))
        layer.backend = backend
        with pytest.raises(ValueError, match="becomes infinite or 0 in float32"):
            layer.initialize()


# ---- that no digits are lost on the way to it


@st.composite
def features(draw):
    """Rows of every type of features, around an offset as far from 0 as the type allows."""
    dtype = draw(st.sampled_from([*WIDE, *NARROW]))
    n = draw(st.sampled_from([2, 7, 33, 75]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype == "float64":
        offset = draw(st.sampled_from([0.0, 1.0, 2.46e6, 1.7e9, -3e15, 1e-30, 1e30, 1e200]))
        spread = (abs(offset) or 1.0) * draw(st.sampled_from([1e-8, 1e-5, 1.0]))
    elif dtype == "bool":
        return rng.random((n, 3)) < 0.5
    elif dtype.startswith("float"):
        offset = draw(st.sampled_from([0.0, 100.0, 1000.0]))
        spread = draw(st.sampled_from([1.0, 30.0]))
    else:
        most = np.iinfo(dtype).max
        spread = min(draw(st.sampled_from([1.0, 300.0])), most / 16)
        offset = most * draw(st.sampled_from([0.25, 0.5]))
        if dtype.endswith("64"):
            offset, spread = offset / 2**20, spread * 1e6  # nanoseconds, as far as float64 goes
    return (offset + spread * rng.standard_normal((n, 3))).astype(dtype)


def identity(layer, **options):
    """Return a float32 network whose output is the output of the layer."""
    net = NeuralNetwork(batch_size=4, learning_rate=1e-30, seed=0, **options)
    net.add(layer).add(DenseLayer(3))
    net.layers[1].weights = net.backend.asarray(np.eye(3), net.backend.dtype)
    net.mark_fitted()
    return net


def assert_standardized(outputs, X, layer):
    expected = standardized(X, layer)
    np.testing.assert_allclose(to_host(outputs), expected, rtol=1e-6, atol=1e-6)


@given(features())
@settings(max_examples=100, **EXAMPLES)
def test_formulas_standardize_in_the_datas_own_type(X):
    layer = Normalization.adapt(X)
    net = identity(layer)
    assert_standardized(net.predict(X), X, layer)
    passed = [net.forward_propagation(batch) for batch, _ in net.get_mini_batches(X, shuffle=False)]
    assert_standardized(np.concatenate(passed), X, layer)
    assert passed[0].dtype == np.float32


@pytest.mark.parametrize("kind", ["strict", "torch", pytest.param("cupy", marks=pytest.mark.cuda)])
def test_other_libraries_standardize_in_the_datas_own_type(kind):
    with opened(kind) as backend:

        @given(features())
        @settings(max_examples=30, **EXAMPLES)
        def check(X):
            if X.dtype.name in ("float16", "uint16", "uint32", "uint64"):
                X = X.astype("float32" if X.dtype.itemsize == 2 else "int64")
            layer = Normalization.adapt(X)
            net = identity(layer, device=backend.device_name, backend=backend.name)
            assert_standardized(net.predict(X), X, layer)
            assert to_host(net.layers[0].mean).dtype == np.float64

        check()


@given(features())
@settings(max_examples=60, **EXAMPLES)
def test_compiled_steps_standardize_in_the_datas_own_type(X):
    pytest.importorskip("numba")
    from xpnet.training.steps.compiled import CompiledTraining

    if X.dtype == np.float16:  # for which there is no kernel: it is placed as float32
        X = X.astype(np.float32)
    layer = Normalization.adapt(X)
    net, n = identity(layer), len(X)
    y = np.zeros((n, 3))
    assert why_not_compiled(net, X, y) is None
    with CompiledTraining(net, X, y, None, 4, 1, keep_outputs=n) as step:
        step.load()
        step.run(np.arange(n), 0.0)
        assert_standardized(step.outputs, X, layer)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
@given(features())
@settings(max_examples=30, **EXAMPLES)
def test_captured_steps_standardize_in_the_datas_own_type(X):
    from xpnet.training.steps.captured import CapturedTraining

    from .cuda.machine import EmulatedMachine

    if X.dtype == np.float16:
        X = X.astype(np.float32)
    layer = Normalization.adapt(X)
    net, n = identity(layer), len(X)
    y = np.zeros((n, 3))
    assert why_not_captured(net, X, y) is None
    machine = EmulatedMachine("float32")
    with CapturedTraining(net, X, y, None, 4, machine, keep_outputs=n) as step:
        step.load()
        step.run(np.arange(n))
        step.wait()
        assert_standardized(step.outputs[:n], X, layer)


WAYS = ["formulas", "compiled", pytest.param("captured", marks=pytest.mark.cuda)]


@pytest.fixture(params=WAYS)
def device(request, monkeypatch):
    """The device of a network for each kind of steps."""
    if request.param == "captured":
        return request.getfixturevalue("cuda").device_name
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setenv("XPNET_STEPS", "compiled" if request.param == "compiled" else "auto")
    return "cpu"


def seconds(dtype="float64", n=600):
    """Return times within ten minutes, and a wave over them."""
    rng = np.random.default_rng(0)
    t = 1_700_000_000 + rng.uniform(0, 600, n)
    y = np.sin((t - 1.7e9) / 90)
    if dtype == "int64":  # nanoseconds
        return np.stack([t * 1e9, 1e9 * rng.normal(size=n)], axis=1).astype(dtype), y
    return np.stack([t, 100 + 30 * rng.normal(size=n)], axis=1).astype(dtype), y


def regression(first, device="cpu", dtype="float32", **options):
    options = {"epochs": 25, "batch_size": 20, "metric": "r2", "seed": 0} | options
    net = NeuralNetwork(optimizer="adam", learning_rate=0.02, dtype=dtype, device=device, **options)
    for layer in (first, DenseLayer(16), TanhActivation(), DenseLayer(1)):
        net.add(layer)
    return net


@pytest.mark.parametrize("dtype", WIDE)
def test_far_offset_columns_train_in_float32_as_in_float64(dtype, device):
    X, y = seconds(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = [
            regression(Normalization.adapt(X), device, kind)
            .fit((X, y), validation=(X, y))
            .score((X, y))
            for kind in ("float32", "float64")
        ]
    assert scores[1] > 0.9
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


@pytest.mark.parametrize("kind", ["memmap", "in chunks"])
def test_far_offset_columns_are_streamed_in_their_own_type(kind, device, tmp_path, monkeypatch):
    X, y = seconds()
    data, options = X, {}
    if kind == "memmap":
        data = np.memmap(tmp_path / "X.bin", X.dtype, "w+", shape=X.shape)
        data[:] = X
        monkeypatch.setattr(
            "xpnet.training.feeding.training_data._KEPT_FREE", 2.0
        )  # as if there were no room for it
    else:
        monkeypatch.setattr(memory, "CHUNK_BYTES", 1 << 18)
        options = {"memory_limit": 3_300_000, "batch_size": 500}
        data, X, y = np.tile(X, (200, 1)), np.tile(X, (200, 1)), np.tile(y, 200)
    net = regression(Normalization.adapt(data), device, epochs=2, **options)
    net.fit((data, y))
    assert net.last_plan.chunk is not None
    net.layers[1].weights = net.backend.asarray(np.eye(2, 16), net.backend.dtype)
    net.layers[1].biases = net.backend.zeros((16,))
    net.layers[2].activation_function = lambda x: x
    net.layers[3].weights = net.backend.asarray(np.eye(16, 1), net.backend.dtype)
    net.layers[3].biases = net.backend.zeros((1,))
    expected = standardized(X, net.layers[0])[:, :1]
    np.testing.assert_allclose(to_host(net.predict(data)), expected, rtol=1e-6, atol=1e-6)


def test_the_trainers_steps_are_those_of_standardized_data(device):
    """Training on raw numbers changes the weights as training on standardised ones does."""
    X, y = seconds()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    raw = regression(Normalization.adapt(X), device, epochs=3).fit((X, y))
    by_hand = regression(Normalization(0.0, 1.0, (2,)), device, epochs=3)
    by_hand.fit((Z.astype("float32"), y))
    for a, b in zip(raw.layers, by_hand.layers, strict=True):
        for name in a.parameter_names:
            ours, theirs = to_host(getattr(a, name)), to_host(getattr(b, name))
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


LAYOUTS = {
    "in the order of columns": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "the other order of bytes": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "a list": lambda X: X.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "int32", "uint64"])
def test_features_lie_in_memory_in_any_way(layout, dtype, device):
    X, y = seconds(dtype, 60)
    data = LAYOUTS[layout](X)
    expected = regression(Normalization.adapt(X), device, epochs=2).fit((X, y))
    net = regression(Normalization.adapt(data), device, epochs=2).fit((data, y))
    np.testing.assert_array_equal(to_host(net.predict(data)), to_host(expected.predict(X)))
    assert net.history["loss"] == expected.history["loss"]


@pytest.mark.parametrize("moments", [(0.0, 1e-42), (1e30, 1e60), (1e60, 1e60)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_moments_that_float32_does_not_hold(moments, dtype, device, rng):
    X = (rng.random((64, 2)) * 100).astype(dtype)
    if moments[1] < 1:
        X = (X * np.float32(1e-42)).astype("float32" if dtype == "uint8" else dtype)
    first = Normalization(*moments, (2,))
    net = regression(first, device, epochs=2).fit((X, np.zeros(64)))
    expected = standardized(X, first)
    got = to_host(net.layers[0].forward_propagation(net.backend.asarray(X), training=False))
    if moments[1] < 1 and device != "cpu":
        return  # CuPy's kernels take denormal numbers for 0
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_callbacks_may_change_the_moments_between_epochs(device):
    from xpnet.callbacks import Callback

    class Change(Callback):
        def on_epoch_begin(self, network, epoch):
            network.layers[0].scale = network.backend.asarray(np.array([1e-60, 1.0]))

    X = np.array([[1e-60, 1.0], [3e-60, 2.0]] * 16)
    net = regression(Normalization.adapt(X), device, epochs=2)
    net.fit((X, X[:, 1]), callbacks=[Change()])
    assert np.isfinite(net.history["loss"]).all()


def test_networks_with_a_forward_pass_of_their_own_get_their_own_type():
    seen = []

    class Own(NeuralNetwork):
        def forward_propagation(self, X, training=True):
            seen.append(X.dtype)
            return super().forward_propagation(X, training)

    X, y = seconds()
    net = Own(epochs=2, batch_size=20, seed=0).add(Normalization.adapt(X)).add(DenseLayer(1))
    with pytest.warns(UserWarning, match="column 0: .* standardise them first, or give dtype="):
        net.fit((X, y))
    net.predict(X)
    assert set(seen) == {np.dtype("float32")}


def test_subclasses_with_a_pass_of_their_own_get_the_networks_type():
    seen = []

    class Clipped(Normalization):
        def forward_propagation(self, input, training=True):
            seen.append(input.dtype)
            return np.clip(super().forward_propagation(input, training), -1, 1)

    X, y = seconds()
    X[:, 0] -= 1.7e9
    net = regression(Clipped.adapt(X), epochs=2).fit((X, y))
    assert np.isfinite(net.predict(X)).all()
    assert set(seen) == {np.dtype("float32")}


def test_a_users_layer_may_take_wide_features():
    class Days(Normalization):
        takes_wide = True

        def forward_propagation(self, input, training=True):
            assert input.dtype == np.float64
            return super().forward_propagation(input - np.array([1.7e9, 0.0]), training)

    X, y = seconds()
    net = regression(Days([300.0, 100.0], [300.0, 30.0], (2,)), epochs=25).fit((X, y))
    assert net.score((X, y)) > 0.9


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_numbers_that_are_too_large_when_standardized_are_refused(value, tmp_path):
    X, y = seconds()
    net = regression(Normalization.adapt(X), epochs=1).fit((X, y))
    new = X[:3].copy()
    new[1, 1] = value
    with pytest.raises(
        ValueError, match=r"in column 1, which after Normalization are beyond what float32 holds"
    ):
        net.predict(new)
    stored = np.memmap(tmp_path / "X.bin", X.dtype, "w+", shape=new.shape)
    stored[:] = new
    with pytest.raises(ValueError, match="row 1, column 1"):
        net.predict(stored)
    assert np.isfinite(net.predict(X[:0])).all()


def test_saved_moments_are_the_same_bits(tmp_path):
    X, y = seconds()
    net = regression(Normalization.adapt(X), epochs=2).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    for name in ("mean", "scale"):
        ours, theirs = (getattr(each.layers[0], name) for each in (net, again))
        assert ours.dtype == theirs.dtype == np.float64
        assert ours.tobytes() == theirs.tobytes()
    assert again.predict(X).tobytes() == net.predict(X).tobytes()


def test_moments_keep_their_digits_on_the_way_to_a_backend_and_back():
    X, y = seconds()
    net = regression(Normalization.adapt(X), epochs=2).fit((X, y))
    before, expected = net.layers[0].mean.copy(), net.predict(X)
    with opened("strict") as backend:
        net.to(backend.with_dtype("float32"))
        assert net.layers[0].mean.dtype == backend.xp.float64
    net.to(resolve("cpu"))
    assert net.layers[0].mean.tobytes() == before.tobytes()
    np.testing.assert_array_equal(net.predict(X), expected)
    assert net.reset().layers[0].mean.tobytes() == before.tobytes()


def test_inspection_and_the_range_of_learning_rates_lose_no_digits():
    from xpnet.search import find_learning_rate

    X, y = seconds()
    net = regression(Normalization.adapt(X))
    first = net.inspect((X, y)).layers[0]
    assert (first.mean, first.deviation) == pytest.approx((0.0, 1.0), abs=1e-5)
    Z = ((X - X.mean(axis=0)) / X.std(axis=0)).astype("float32")
    by_hand = regression(Normalization(0.0, 1.0, (2,)))
    ours, theirs = (
        find_learning_rate(each, (data, y), n_steps=10) for each, data in ((net, X), (by_hand, Z))
    )
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4)


def test_activations_are_drawn_of_the_datas_own_type():
    pytest.importorskip("matplotlib").use("agg")
    from xpnet.plots import plot_layer_outputs

    X, y = seconds()
    net = regression(Normalization.adapt(X), epochs=1).fit((X, y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_layer_outputs(net, X)


@pytest.mark.parametrize("dtype", ["float64", "int32", "float32", "uint8"])
def test_the_memory_plan_counts_features_in_their_own_type(dtype):
    X = (100 * np.random.default_rng(0).random((500, 4))).astype(dtype)
    net = regression(Normalization.adapt(X), epochs=1)
    item = X.itemsize
    assert net.memory_plan(20, 500, dtype).data == 500 * (4 * item + 4 + 8)
    assert net.fit((X, X[:, 0])).last_plan.data == 500 * (4 * item + 4 + 8)


# ---- that digits are not lost in silence


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("first", [None, BatchNormalization])
def test_the_warning_of_lost_digits_points_at_the_users_line(dtype, first):
    X, y = seconds(dtype)
    net = NeuralNetwork(epochs=1, batch_size=20, learning_rate=1e-40, seed=0)
    if first is not None:
        net.add(first(input_shape=(2,)))
    net.add(DenseLayer(1, (2,) if first is None else None, initializer="zeros"))
    with pytest.warns(
        UserWarning, match=r"1 column.* too few digits. The first is column 0"
    ) as all:
        net.fit((X, 0 * y))
    (warning,) = all
    assert warning.filename == __file__
    advice = "begin the network with Normalization.adapt(X), or give dtype='float64'"
    assert advice in str(warning.message)


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("n", [30, 5_000])
@pytest.mark.parametrize("limit", [None, 1 << 24])  # read at once, and streamed
def test_stored_features_that_lose_digits_give_a_warning(dtype, n, limit, tmp_path):
    X, y = seconds(dtype, n)
    stored = np.memmap(tmp_path / "x", X.dtype, "w+", shape=X.shape)
    stored[:] = X

    def fit(**options):
        options |= {"epochs": 1, "batch_size": 10, "learning_rate": 1e-40, "seed": 0}
        net = NeuralNetwork(memory_limit=limit, **options)
        net.add(DenseLayer(1, (2,), initializer="zeros")).fit((stored, 0 * y))

    with pytest.warns(UserWarning, match=r"1 column.* too few digits. The first is column 0"):
        fit()
    fit(dtype="float64")


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("form", ["csr_array", "csr_matrix", "csc_matrix"])
def test_sparse_features_that_lose_digits_give_a_warning(dtype, form):
    sparse = getattr(pytest.importorskip("scipy.sparse"), form)
    X, y = seconds(dtype)

    def fit(X, **options):
        net = NeuralNetwork(epochs=1, batch_size=20, learning_rate=1e-40, seed=0, **options)
        net.add(DenseLayer(1, (2,), initializer="zeros")).fit((X, 0 * y))

    with pytest.warns(UserWarning, match=r"1 column.* too few digits. The first is column 0"):
        fit(sparse(X))
    with_zero = X.copy()
    with_zero[0] = 0  # not stored: now the column goes from 0
    fit(sparse(with_zero))
    fit(sparse(X), dtype="float64")
    with opened("no_float64") as backend:
        options = {"device": backend.device_name, "backend": backend.name}
        with pytest.warns(UserWarning, match="standardise them first, because no_float64 has no"):
            fit(sparse(X), **options)
        fit(sparse(with_zero), **options)


QUIET = {
    "float64": lambda X: (X - [1.7e9, 0.0], {}),
    "a network of float64": lambda X: (X, {"dtype": "float64"}),
    "features of float32": lambda X: (X.astype("float32"), {}),
    "small integers": lambda X: ((X - 1.7e9).clip(0, 100).astype("int64"), {}),
    "a constant column": lambda X: (np.full_like(X, 1.7e9 + 0.1) * 1e-9, {}),
}


@pytest.mark.parametrize("what", QUIET)
def test_no_warning_if_no_digits_that_matter_are_lost(what):
    X, options = QUIET[what](seconds()[0])
    net = NeuralNetwork(epochs=1, batch_size=20, learning_rate=1e-40, seed=0, **options)
    net.add(DenseLayer(1, (2,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit((X, np.zeros(len(X))))


def test_the_warning_says_that_a_device_has_no_float64():
    X, y = seconds()
    with opened("no_float64") as backend:
        net = regression(
            Normalization.adapt(X), backend.device_name, backend=backend.name, epochs=1
        )
        with pytest.warns(UserWarning, match="standardise them first, because no_float64 has no"):
            net.fit((X, y))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            net.fit((X - [1.7e9, 0], y))


def test_the_names_of_columns_are_in_the_warning():
    X, y = seconds()
    net = NeuralNetwork(epochs=1, batch_size=20, learning_rate=1e-30).add(DenseLayer(1, (2,)))
    with pytest.warns(UserWarning, match=r"column 0 \('time'\): it goes from 17000000"):
        net.fit(Dataset(X, 0 * y, feature_names=["time", "x"]))


def test_invalid_flags_are_refused():
    with pytest.raises(TypeError, match="per_feature='no': expected True or False"):
        Normalization.adapt([[1.0], [2.0]], per_feature="no")
