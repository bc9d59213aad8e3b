"""Backends: found by word, by name and by array; moving arrays; what is missing is said."""

import copy
import os
import pickle
import subprocess
import sys
import types
import warnings
from importlib.util import find_spec
from pathlib import Path

import array_api_compat.numpy
import numpy as np
import pytest

import xpnet
from xpnet.backends import (
    Backend,
    DeviceUnavailableError,
    UnknownNameError,
    _cupy,
    _registry,
    available_backends,
    backend_of,
    is_array,
    move,
    ops,
    resolve,
    to_host,
)


def test_cpu_is_numpy_in_float32():
    backend = resolve("cpu")
    assert (backend.name, backend.device_name, backend.dtype) == ("numpy", "cpu", "float32")
    assert backend.xp is array_api_compat.numpy
    memory = backend.memory()
    assert memory is None or 0 < memory.free <= memory.total


@pytest.mark.filterwarnings("ignore:device='auto' uses the CPU")
def test_auto_is_cuda_where_there_is_one_and_else_the_cpu():
    try:
        expected = resolve("cuda").name
    except DeviceUnavailableError:
        expected = "numpy"
    assert resolve("auto").name == expected


def test_arrays_move_and_come_back(backend):
    x = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=backend.dtype)
    there = move(x, backend)
    assert backend.owns(there)
    assert is_array(there)
    assert move(there, backend) is there
    home = backend_of(there)
    assert (home.name, home.device_name) == (backend.name, backend.device_name)
    np.testing.assert_array_equal(to_host(there), x)
    np.testing.assert_array_equal(backend.to_numpy(there), x)
    assert to_host(there).dtype == x.dtype
    assert backend.scalar(there[1, 0]) == 3.0
    assert backend.scalar(7) == 7.0


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool", "float32"])
def test_types_are_kept_unless_asked_for(kind, backend):
    x = np.array([[0, 1], [1, 1]], dtype=kind)
    there = backend.asarray(x)
    assert to_host(there).dtype == kind
    assert backend.asarray(there, backend.dtype).dtype == backend.float_dtype
    assert backend.zeros((2, 3)).dtype == backend.float_dtype
    assert backend.zeros((2, 3)).shape == (2, 3)


def test_wide_numbers_are_narrowed_before_they_are_moved(backend):
    x = backend.asarray(np.array([1.0, 2.0], dtype="float64"), "float32")
    assert x.dtype == backend.xp.float32


def test_arrays_move_between_libraries(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    there = move(torch.asarray([1.0, 2.0], requires_grad=True), backend)
    np.testing.assert_array_equal(to_host(there), [1.0, 2.0])


def test_torch_takes_arrays_that_are_read_only():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.arange(3.0)
    x.flags.writeable = False
    assert resolve("cpu", backend="torch").asarray(x).tolist() == [0.0, 1.0, 2.0]


def test_backends_compare_copy_and_pickle_by_what_they_are(backend):
    again = resolve(backend.device_name, backend=backend.name, dtype=backend.dtype)
    assert again == backend
    assert copy.deepcopy(backend) is backend
    assert pickle.loads(pickle.dumps(backend)) == backend
    assert backend.with_dtype("float32").dtype == "float32"


@pytest.mark.parametrize("x", [[1.0], 1.0, "text", None])
def test_objects_that_are_not_arrays_have_no_backend(x):
    assert not is_array(x)
    with pytest.raises(TypeError, match="expected an array, got"):
        backend_of(x)


# ---- what is not there


@pytest.mark.parametrize(
    ("device", "arguments", "message"),
    [
        ("gpu", {}, "unknown device 'gpu': did you mean 'cuda'"),
        ("GPU:0", {}, "unknown device 'GPU:0': did you mean 'cuda'"),
        ("CUDA", {}, "unknown device 'CUDA': did you mean 'cuda'"),
        ("CPU", {}, "unknown device 'CPU': did you mean 'cpu'"),
        ("cpu:0", {}, "unknown device 'cpu:0': did you mean 'cpu'"),
        ("auto:1", {}, "unknown device 'auto:1': did you mean 'auto'"),
        ("", {}, "device='' is empty: expected a name, e.g. 'cpu'"),
        (" ", {}, "device=' ' is empty"),
        ("", {"backend": "numpy"}, "device='' is empty"),
        ("", {"backend": "torch"}, "device='' is empty"),
        ("cpu", {"backend": ""}, "unknown backend ''"),
        *[
            (f"cuda:{number}", {}, "expected 'cuda' or 'cuda:N', e.g. 'cuda:0'")
            for number in ("", "x", "-1", "1.0", " 1", "\u0661", "0x1", "+1")
        ],
        ("mps", {}, r"another library's device, add e.g. backend='torch'"),
        ("cpu", {"backend": "numpi"}, "did you mean 'numpy'"),
        ("cpu", {"dtype": "float46"}, "did you mean 'float64'"),
        ("device9", {"backend": "array-api-strict"}, "did you mean 'device"),
        ("cuda", {"backend": "numpy"}, "unknown device of the backend 'numpy' 'cuda'"),
    ],
)
def test_unknown_words_are_refused(device, arguments, message):
    if arguments.get("backend") == "array-api-strict":
        pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pytest.raises(UnknownNameError, match=message):
        resolve(device, **arguments)


@pytest.mark.parametrize("device", [0, 1.5, True, b"cpu", ["cpu"], np.float32])
@pytest.mark.parametrize("argument", ["device", "backend"])
def test_a_device_or_a_backend_that_is_not_a_name_is_refused(argument, device):
    with pytest.raises(TypeError, match=f"{argument}=.*: expected a name, e.g. '"):
        resolve(**{argument: device})


def test_without_a_device_the_cpu_is_used():
    assert resolve(None) == resolve() == resolve("cpu")


def test_float64_where_there_is_none_is_refused():
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pytest.raises(DeviceUnavailableError, match="give dtype='float32'"):
        resolve("no_float64", backend="array-api-strict", dtype="float64")


def test_a_device_that_torch_lacks_is_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    device = "cuda:99" if torch.cuda.is_available() else "cuda"
    with pytest.raises(DeviceUnavailableError, match=f"no usable device '{device}'"):
        resolve(device, backend="torch")


@pytest.mark.parametrize("name", ["torch", "array_api_strict"])
def test_a_backend_whose_library_is_not_installed_says_so(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DeviceUnavailableError, match="not installed: pip install"):
        resolve("cpu", backend=name.replace("_", "-"))


class Machine:
    """A stand-in for CuPy on a machine that lacks something."""

    def __init__(self, monkeypatch, driver=13000, devices=1, missing=(), error=None):
        def raise_or(value):
            def call():
                if error is not None:
                    raise error
                return value

            return call

        cupy = types.ModuleType("cupy")
        cupy.__spec__ = types.SimpleNamespace()
        runtime = types.SimpleNamespace(
            driverGetVersion=raise_or(driver),
            getDeviceCount=raise_or(devices),
            getDevice=raise_or(0),
        )
        cupy.cuda = types.SimpleNamespace(
            runtime=runtime, Device=lambda index: types.SimpleNamespace(id=index)
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        for package in ("cupy_backends", "cupy_backends.cuda"):
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", self._libraries(missing))
        for name in ("array_api_compat.cupy", "xpnet.backends._cupy_kernels"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    @staticmethod
    def _libraries(missing):
        """The package that loads each library when it is asked for it, as CuPy's does.

        Its modules cannot be imported by their full names until then; and NVRTC's is there
        without the library, which it loads at the first call.
        """

        def version():
            if "nvrtc" in missing:
                raise RuntimeError("Failure finding libnvrtc.so.13")
            return 13, 0

        def load(name):
            if name == "nvrtc":
                return types.SimpleNamespace(getVersion=version)
            if name in missing:
                raise ImportError("Failure finding libcublas.so.13")
            return types.ModuleType(name)

        package = types.ModuleType("cupy_backends.cuda.libs")
        package.__getattr__ = load
        return package


class TestCudaThatIsNotThere:
    def message(self, device="cuda"):
        with pytest.raises(DeviceUnavailableError) as caught:
            resolve(device)
        return str(caught.value)

    def test_without_cupy(self, monkeypatch):
        monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: None)
        assert "needs CuPy, which is not installed: pip install 'cupy-cuda13x[" in self.message()

    def test_with_a_cupy_that_does_not_import(self, monkeypatch):
        monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: object())
        monkeypatch.setitem(sys.modules, "cupy", None)
        assert "installed but does not import" in self.message()

    def test_without_a_driver(self, monkeypatch):
        Machine(monkeypatch, driver=0)
        assert "no NVIDIA driver was found on this machine. Install the driver" in self.message()

    def test_with_a_driver_that_does_not_answer(self, monkeypatch):
        Machine(monkeypatch, error=RuntimeError("cudaErrorInsufficientDriver"))
        assert "does not work (cudaErrorInsufficientDriver). Install or update" in self.message()

    def test_without_a_gpu(self, monkeypatch):
        Machine(monkeypatch, devices=0)
        assert "the NVIDIA driver sees no GPU" in self.message()

    @pytest.mark.parametrize("library", ["cublas", "nvrtc"])
    def test_without_a_toolkit(self, library, monkeypatch):
        Machine(monkeypatch, missing=[library])
        message = self.message()
        assert f"Failure finding lib{library}.so.13" in message
        assert f"{library} of the CUDA toolkit does not load" in message
        assert "pip install 'cupy-cuda13x[ctk]'" in message

    def test_the_three_messages_differ(self, monkeypatch):
        messages = set()
        for arguments in ({"driver": 0}, {"missing": ["cublas"]}):
            Machine(monkeypatch, **arguments)
            messages.add(self.message())
        monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: None)
        messages.add(self.message())
        assert len(messages) == 3

    def test_with_another_gpu_than_asked_for(self, monkeypatch):
        Machine(monkeypatch, devices=2)
        assert "this machine has 2 CUDA device(s), cuda:0 to cuda:1" in self.message("cuda:2")

    @pytest.mark.parametrize("device", ["cuda:x", "cuda:-1", "cuda:1.0"])
    def test_with_a_number_that_is_none(self, device, monkeypatch):
        Machine(monkeypatch)
        with pytest.raises(ValueError, match="expected 'cuda' or 'cuda:N'"):
            resolve(device)

    def test_with_all_of_it_there_the_device_is_the_one_asked_for(self, monkeypatch):
        Machine(monkeypatch, devices=2)
        assert resolve("cuda:1").device_name == "cuda:1"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert resolve("auto").name == "cupy"


def in_fresh_python(code, **environment):
    """Run a program that has imported nothing yet; return what it printed and its warnings."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout, done.stderr


class TestAutoWithoutCuda:
    @pytest.fixture(autouse=True)
    def again(self):
        """Forget which warnings were given before and in a test."""
        _registry._warn_once.cache_clear()
        yield
        _registry._warn_once.cache_clear()

    def test_a_cupy_that_does_not_work_is_mentioned_once(self, monkeypatch):
        Machine(monkeypatch, missing=["cublas"])
        with pytest.warns(
            RuntimeWarning, match=r"uses the CPU.*cublas of .*does not load.*libcublas"
        ) as seen:
            assert [resolve("auto").name for _ in range(3)] == ["numpy"] * 3
        assert len(seen) == 1
        assert seen[0].filename == __file__

    def test_the_warning_is_of_the_line_that_asked(self, monkeypatch):
        Machine(monkeypatch, driver=0)
        with pytest.warns(RuntimeWarning, match="uses the CPU") as seen:
            xpnet.NeuralNetwork(device="auto")
        assert seen[0].filename == __file__

    def test_another_reason_is_mentioned_too(self, monkeypatch):
        for arguments in ({"missing": ["nvrtc"]}, {"driver": 0}):
            Machine(monkeypatch, **arguments)
            with pytest.warns(RuntimeWarning, match="uses the CPU, although CuPy is installed"):
                resolve("auto")

    def test_without_cupy_nothing_is_said(self, monkeypatch):
        monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert resolve("auto").name == "numpy"

    def test_a_program_that_imports_nothing_else_is_told_as_well(self):
        printed, warned = in_fresh_python(
            "from xpnet import resolve; print([resolve('auto').name for _ in range(2)])"
        )
        if find_spec("cupy") is None or "cupy" in printed:
            assert "uses the CPU" not in warned
        else:
            assert warned.count("device='auto' uses the CPU, although CuPy is installed") == 1


def test_the_toolkit_that_pip_installed_is_found_by_a_program_that_imports_nothing_else():
    """With PyTorch imported before, cuBLAS is there by accident."""
    if find_spec("cupy") is None or find_spec("nvidia") is None:
        pytest.skip("needs CuPy and its CUDA libraries from pip: 'cupy-cuda13x[ctk]'")
    folders = find_spec("nvidia").submodule_search_locations
    if not any(list(Path(folder).glob("*/lib/libcublas.so.*")) for folder in folders):
        pytest.skip("needs CuPy and its CUDA libraries from pip: 'cupy-cuda13x[ctk]'")
    code = "import cupy; from xpnet.backends import _cupy; _cupy._check_toolkit('cuda')"
    in_fresh_python(code)


# ---- third parties


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """Install a package that registers two backends, one of which does not import."""
    (tmp_path / "our_backend.py").write_text(
        "from dataclasses import replace\n"
        "from xpnet.backends import resolve\n"
        "def make(device, dtype):\n"
        "    return replace(resolve('cpu', dtype=dtype), name=f'ours on {device}')\n"
    )
    info = tmp_path / "our_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[xpnet.backends]\nours = our_backend:make\nbroken = no_such_module:make\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("our_backend", None)


def test_a_third_partys_backend_is_found_by_its_entry_point(third_party):
    backend = resolve("abacus", backend="ours", dtype="float64")
    assert isinstance(backend, Backend)
    assert (backend.name, backend.dtype) == ("ours on abacus", "float64")
    assert "ours" in available_backends()


def test_an_entry_point_that_does_not_import_is_named(third_party):
    with pytest.raises(DeviceUnavailableError, match=r"no_such_module:make.* cannot be imported"):
        resolve("cpu", backend="broken")


# ---- operations


def test_take_rows(backend):
    x = backend.asarray(np.arange(12).reshape(4, 3))
    rows = ops.take_rows(x, backend.asarray(np.array([3, 0, 3])))
    np.testing.assert_array_equal(to_host(rows), [[9, 10, 11], [0, 1, 2], [9, 10, 11]])


def test_one_hot(backend):
    rows = ops.one_hot(backend.asarray(np.array([2, 0, -1])), 3, like=backend.zeros((1,)))
    np.testing.assert_array_equal(to_host(rows), [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    assert rows.dtype == backend.float_dtype


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e3])
def test_softmax_and_its_logarithm(shift, backend, rng):
    x = 3 * rng.standard_normal((5, 4))
    e = np.exp(x)
    expected = e / e.sum(axis=1, keepdims=True)
    moved = backend.asarray(x + shift, backend.dtype)
    tolerance = 1e-12 if backend.dtype == "float64" and not shift else 1e-3
    np.testing.assert_allclose(to_host(ops.softmax(moved)), expected, rtol=tolerance)
    np.testing.assert_allclose(
        to_host(ops.log_softmax(moved)), np.log(expected), rtol=tolerance, atol=tolerance
    )


def test_uniform_numbers_depend_on_key_and_counter_alone(backend):
    like = backend.zeros((1,))
    draw = [to_host(ops.uniform((100, 7), k, c, like=like)) for k, c in ((1, 2), (1, 3), (2, 2))]
    again = to_host(ops.uniform((100, 7), 1, 2, like=like))
    np.testing.assert_array_equal(draw[0], again)
    assert not np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    assert draw[0].min() >= 0
    assert draw[0].max() < 1
    assert abs(draw[0].mean() - 0.5) < 0.03
    on_numpy = ops.uniform((100, 7), 1, 2, like=np.zeros(1))
    np.testing.assert_array_equal(draw[0], on_numpy.astype(draw[0].dtype))


def test_a_library_without_views_still_predicts(rng):
    jnp = pytest.importorskip("jax.numpy")
    X = rng.standard_normal((40, 4)).astype(np.float32)
    net = xpnet.NeuralNetwork(epochs=2, batch_size=10, loss="softmax_cross_entropy", seed=0)
    net.add(xpnet.DenseLayer(8, (4,))).add(xpnet.BatchNormalization()).add(xpnet.TanhActivation())
    net.add(xpnet.Dropout(0.2)).add(xpnet.DenseLayer(2)).fit((X, (X[:, 0] > 0).astype(int)))
    expected = net.predict(X)
    got = net.predict(jnp.asarray(X))
    assert type(got).__module__.startswith("jax")
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-4, atol=1e-5)


def test_arrays_of_another_library_on_the_same_gpu_are_shared(monkeypatch):
    from xpnet.backends._backend import ArrayBackend

    class There:
        """An array on a GPU."""

        def __init__(self, device, wants_gradient=False):
            self._device, self.wants_gradient = device, wants_gradient
            self.dtype = np.float32

        def __dlpack_device__(self):
            return self._device

        def detach(self):
            return There(self._device)

    taken = []

    def from_dlpack(x):
        taken.append(x)
        return x

    class Gpu(ArrayBackend):
        def owns(self, x):
            return x in taken

        def zeros(self, shape):
            return There((2, 1))

        def asarray(self, x, dtype=None):
            return x

    monkeypatch.setattr(_registry, "to_host", lambda x: np.zeros(3))
    xp = types.SimpleNamespace(from_dlpack=from_dlpack, asarray=lambda x, **_: x)
    gpu = Gpu("gpu", xp, "gpu:1")
    move(There((2, 1), wants_gradient=True), gpu)
    assert [each.wants_gradient for each in taken] == [False]
    for elsewhere in ((2, 0), (1, 0)):  # on another GPU, and on the host
        assert isinstance(move(There(elsewhere), gpu), np.ndarray)
    assert len(taken) == 1


def test_backends_are_hashable_whatever_their_devices_are(backend):
    again = resolve(backend.device_name, backend=backend.name, dtype=backend.dtype)
    assert {backend: 1}[again] == 1

    class Device:
        """As CuPy's: it compares, so that Python gives it no hash."""

        id = 0

        def __eq__(self, other):
            return True

    with pytest.raises(TypeError, match="unhashable"):
        hash(Device())
    assert hash(_cupy.CupyBackend("cupy", None, Device())) == hash(
        _cupy.CupyBackend("cupy", None, Device())
    )


def test_an_array_of_cupys_brings_the_fast_operations_with_it():
    printed, _ = in_fresh_python(
        """
import sys, types
from xpnet.backends import _cupy, ops

cupy = types.ModuleType("cupy")
cupy.ndarray = type("ndarray", (), {"device": "the first"})
sys.modules["cupy"], sys.modules["array_api_compat.cupy"] = cupy, types.ModuleType("xp")
_cupy.of(cupy.ndarray())
print(cupy.ndarray in ops.affine.registry)
"""
    )
    assert printed.split() == ["True"]


@pytest.mark.cuda
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_gpus_arrays_come_and_go_without_a_copy(library, cuda):
    import cupy

    pytest.importorskip(library)
    if library == "torch":
        import torch

        theirs = torch.arange(6.0, device="cuda", requires_grad=True)
        back = torch.from_dlpack
    else:
        import jax

        theirs, back = jax.numpy.arange(6.0), jax.dlpack.from_dlpack
    ours = move(theirs, cuda)
    assert isinstance(ours, cupy.ndarray)
    returned = back(ours)
    pointer = returned.data_ptr() if library == "torch" else returned.unsafe_buffer_pointer()
    assert pointer == ours.data.ptr
