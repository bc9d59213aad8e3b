"""The emulation of CUDA on the CPU: it runs kernels as a GPU would, and finds what is wrong."""

import os

import numpy as np
import pytest

from tests.cuda import emulator
from tests.cuda.emulator import (
    EmulationError,
    Emulator,
    differences,
    parameter_lists,
    run_program,
    sanitized,
)

pytestmark = pytest.mark.skipif(
    not emulator.compiler_version(), reason="running kernels on the CPU needs g++, on Linux"
)

PRELUDE = """
#ifndef SIMT_EMULATED
#define SHARED(T, name, n) __shared__ T name[n]
#endif
#define KERNEL extern "C" __global__ void
#define WARP 0xffffffffu
typedef long long int64;
typedef unsigned long long uint64;
"""

KERNELS = (
    PRELUDE
    + """
// Everything that says where a thread is.
KERNEL places(int* out) {
    const int block = blockIdx.y * gridDim.x + blockIdx.x;
    int* own = out + (block * blockDim.x + threadIdx.x) * 6;
    own[0] = threadIdx.x;
    own[1] = blockIdx.x;
    own[2] = blockIdx.y;
    own[3] = blockDim.x;
    own[4] = gridDim.x;
    own[5] = gridDim.y;
}

template <typename T>
static __device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(WARP, value, offset);
    return value;
}

#define WARP_SUM(name, T)                                                                      \\
    KERNEL warp_sum_##name(const T* __restrict__ x, T* out) {                                  \\
        const int i = blockIdx.x * blockDim.x + threadIdx.x;                                   \\
        out[i] = warp_sum(x[i]);                                                               \\
    }

WARP_SUM(float, float)
WARP_SUM(double, double)
WARP_SUM(int, int)
WARP_SUM(int64, int64)

// The sum over a block, in a way that waits many times.
KERNEL __launch_bounds__(1024) block_sum(const REAL* x, REAL* out) {
    SHARED(REAL, sums, 1024);
    sums[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[blockIdx.x] = sums[0];
}

// What is in shared memory before anything is written there.
KERNEL unwritten(REAL* out) {
    SHARED(REAL, never, 64);
    out[blockIdx.x * blockDim.x + threadIdx.x] = never[threadIdx.x];
    __syncthreads();
    never[threadIdx.x] = 1;
}

KERNEL ballot(const int* x, unsigned* out, int* first) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = __ballot_sync(WARP, x[i] > 0);
    first[i] = __ffs(out[i]);
}

KERNEL count(int* n, uint64* big, float* small, double* real, int* before) {
    before[atomicAdd(n, 1)] += 1;
    atomicAdd(big, 1ull << 40);
    atomicAdd(small, 0.5f);
    atomicAdd(real, 0.25);
}

KERNEL high_word(uint64 a, uint64 b, uint64* out) { *out = __umul64hi(a, b); }

KERNEL functions(const REAL* x, REAL* out) {
    const REAL v = x[0];
    const REAL all[] = {exp(v), log(v), log1p(v), sqrt(v), tanh(v), fabs(-v), fmax(v, v + 1),
                        fmin(v, v + 1), pow(v, v), rsqrt(v), (REAL)isfinite(v)};
    static_assert(sizeof(exp(v)) == sizeof(REAL) && sizeof(pow(v, v)) == sizeof(REAL), "type");
    for (int k = 0; k < 11; ++k) out[k] = all[k];
}

KERNEL of_each_kind(const REAL* p, int i, int64 l, uint64 u, REAL r, double d, double* out) {
    out[0] = p ? (double)p[0] : -1;
    out[1] = i;
    out[2] = (double)l;
    out[3] = (double)u;
    out[4] = (double)r;
    out[5] = d;
}

KERNEL half_returns(float* out) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

KERNEL half_returns_late(float* out) {
    if (threadIdx.x < 32) __syncthreads();
    out[threadIdx.x] = 1;
}

KERNEL two_barriers(float* out) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

KERNEL half_a_warp(float* out) {
    if (threadIdx.x & 1) out[threadIdx.x] = __shfl_xor_sync(WARP, out[threadIdx.x], 1);
}

KERNEL barrier_against_shuffle(float* out) {
    if (threadIdx.x & 1) __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(WARP, out[threadIdx.x], 1);
}

KERNEL half_a_mask(float* out) { out[0] = __shfl_xor_sync(0xffffu, out[0], 1); }

KERNEL half_a_ballot(float* out) { out[0] = __ballot_sync(0xffffu, out[0] > 0); }
"""
)

SIGNATURES = {
    "places": "p",
    **{f"warp_sum_{name}": "pp" for name in ("float", "double", "int", "int64")},
    "block_sum": "pp",
    "unwritten": "p",
    "ballot": "ppp",
    "count": "ppppp",
    "high_word": "uup",
    "functions": "pp",
    "of_each_kind": "pilurdp",
    "half_returns": "p",
    "half_returns_late": "p",
    "two_barriers": "p",
    "half_a_warp": "p",
    "barrier_against_shuffle": "p",
    "half_a_mask": "p",
    "half_a_ballot": "p",
}


@pytest.fixture(scope="module", params=["float32", "float64"])
def kernels(request):
    return Emulator(request.param, source=KERNELS, signatures=SIGNATURES)


@pytest.fixture(scope="module")
def kernels32():
    return Emulator("float32", source=KERNELS, signatures=SIGNATURES)


# ---- that kernels run


def test_each_thread_knows_its_place(kernels):
    out = np.full((2, 3, 64, 6), -1, np.int32)
    kernels.launch("places", (3, 2), 64, out)
    y, x, thread = np.meshgrid(range(2), range(3), range(64), indexing="ij")
    same = [np.full_like(x, n) for n in (64, 3, 2)]
    np.testing.assert_array_equal(out, np.stack([thread, x, y, *same], axis=-1))


@pytest.mark.parametrize("name", ["float", "double", "int", "int64"])
def test_a_shuffle_is_between_the_threads_of_a_warp(kernels32, name, rng):
    dtype = {"float": "float32", "double": "float64", "int": "int32"}.get(name, name)
    x = rng.integers(-(2**20), 2**20, 3 * 96).astype(dtype) * 2**10
    out = np.zeros_like(x)
    kernels32.launch(f"warp_sum_{name}", 3, 96, x, out)
    sums = x.reshape(-1, 32).sum(axis=1, dtype=dtype)
    np.testing.assert_array_equal(out.reshape(-1, 32), np.repeat(sums, 32).reshape(-1, 32))


@pytest.mark.parametrize("block", [32, 256, 1024])
def test_a_block_meets_at_barriers(kernels, block, rng):
    x = rng.integers(-100, 100, (5, block)).astype(kernels.real)
    out = np.zeros(5, kernels.real)
    for _ in range(2):  # stacks and shared memory are used again
        kernels.launch("block_sum", 5, block, x, out)
        np.testing.assert_array_equal(out, x.sum(axis=1))


def test_a_ballot_has_a_bit_for_each_thread_of_a_warp(kernels, rng):
    x = rng.integers(0, 2, 128).astype(np.int32)
    x[32:64] = 0
    x[64:96] = [0] * 31 + [1]
    out, first = np.zeros(128, np.uint32), np.zeros(128, np.int32)
    kernels.launch("ballot", 2, 64, x, out, first)
    bits = (x.reshape(4, 32).astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(axis=1)
    np.testing.assert_array_equal(out.reshape(4, 32), np.repeat(bits, 32).reshape(4, 32))
    lowest = [0 if not each.any() else 1 + int(each.argmax()) for each in x.reshape(4, 32)]
    np.testing.assert_array_equal(first.reshape(4, 32)[:, 0], lowest)


def test_shared_memory_has_nothing_of_the_block_before(kernels):
    out = np.zeros((3, 64), kernels.real)
    kernels.launch("unwritten", 3, 64, out)
    assert np.isnan(out).all()


def test_atomics_count_each_thread_once(kernels):
    n, big, before = np.zeros(1, np.int32), np.zeros(1, np.uint64), np.zeros(192, np.int32)
    small, real = np.zeros(1, np.float32), np.zeros(1, np.float64)
    kernels.launch("count", 3, 64, n, big, small, real, before)
    assert (n[0], big[0], small[0], real[0]) == (192, 192 << 40, 96, 48)
    assert (before == 1).all()


def test_words_are_multiplied_to_their_full_length(kernels):
    a, b = 0xD2E7470EE14C6C93, 0xCA5A826395121157
    out = np.zeros(1, np.uint64)
    kernels.launch("high_word", 1, 32, a, b, out)
    assert int(out[0]) == a * b >> 64


def test_functions_are_those_of_the_type(kernels):
    x, out = np.array([0.7], kernels.real), np.zeros(11, kernels.real)
    kernels.launch("functions", 1, 32, x, out)
    v = x[0]
    expected = [
        np.exp(v), np.log(v), np.log1p(v), np.sqrt(v), np.tanh(v), v, v + 1, v, v**v,
        1 / np.sqrt(v), 1,
    ]  # fmt: skip
    np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(kernels.real).eps)


# ---- arguments


def test_arguments_arrive_as_they_are(kernels):
    out, p = np.zeros(6), np.array([2.5], kernels.real)
    kernels.launch("of_each_kind", 1, 32, p, -3, -(2**40), 2**60, 0.5, np.float32(0.25), out)
    np.testing.assert_array_equal(out, [2.5, -3, -(2**40), 2**60, 0.5, 0.25])
    kernels.launch("of_each_kind", 1, 32, None, True, np.int8(5), 0, 1, 2, out.ctypes.data)
    np.testing.assert_array_equal(out, [-1, 1, 5, 0, 1, 2])


GOOD = [np.ones(1, np.float32), 1, 1, 1, 1.0, 1.0, np.ones(6)]


@pytest.mark.parametrize(
    ("place", "value", "error", "message"),
    [
        (0, 1.5, TypeError, "p is an array, None or an address, not 1.5, of type float"),
        (0, np.ones(1), TypeError, "p is an array of float32, not an array of float64"),
        (0, np.ones(1, np.int32), TypeError, "p is an array of float32, not an array of int32"),
        (0, np.ones(1, ">f4"), TypeError, "p is an array of float32"),
        (0, np.ones((4, 4), np.float32)[:, :2], ValueError, "p must be C-contiguous"),
        (1, 1.0, TypeError, "i is an integer, not 1.0, of type float"),
        (1, 2**31, ValueError, "i is an integer from -2147483648 up to 2147483647"),
        (2, -(2**63) - 1, ValueError, "l is an integer from"),
        (3, -1, ValueError, "u is an integer from 0"),
        (4, np.ones(1, np.float32), TypeError, "r is a number, not an array of float32"),
        (5, "1", TypeError, "d is a number, not '1', of type str"),
        (6, np.broadcast_to(np.ones(1), (1,)), ValueError, "the array is read-only"),
    ],
)
def test_wrong_arguments_are_refused(kernels32, place, value, error, message):
    args = [*GOOD[:place], value, *GOOD[place + 1 :]]
    with pytest.raises(error, match=message):
        kernels32.launch("of_each_kind", 1, 32, *args)


def test_a_wrong_number_of_arguments_is_refused(kernels32):
    for args in (GOOD[:-1], [*GOOD, 1]):
        with pytest.raises(TypeError, match=r"takes 7 arguments \(p, i, l, u, r, d, out\), not"):
            kernels32.launch("of_each_kind", 1, 32, *args)


def test_an_unknown_kernel_is_refused(kernels32):
    with pytest.raises(ValueError, match="no kernel 'plcaes'; there are places"):
        kernels32.launch("plcaes", 1, 32)


@pytest.mark.parametrize(
    ("grid", "block"),
    [(1, 0), (1, 33), (1, 2048), (0, 32), (-1, 32), ((1, 0), 32), ((1, 65536), 32)],
)
def test_grids_that_a_gpu_has_not_are_refused(kernels32, grid, block):
    with pytest.raises(EmulationError, match=r"places: a grid of \d+, \d+ blocks of \d+ threads"):
        kernels32.launch("places", grid, block, np.zeros(6, np.int32))


# ---- threads that do not meet


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "half_returns",
            "thread 32: it returns from the kernel, but 32 of the 64 threads of its block wait at"
            " __syncthreads",
        ),
        (
            "half_returns_late",
            "thread 32: it returns from the kernel, but 32 of the 64 threads of its block wait at"
            " __syncthreads",
        ),
        ("two_barriers", "thread 32: it waits at __syncthreads .*, but other threads of its block"),
        (
            "half_a_warp",
            "thread 1: it waits at __shfl_xor_sync .*, but 1 of the 32 threads of its warp have"
            " returned from the kernel",
        ),
        (
            "barrier_against_shuffle",
            r"no thread can go on: 32 threads of its block wait at line \d+;"
            r" 16 threads of its warp 0 wait at line \d+; 16 threads of its warp 1",
        ),
        ("half_a_mask", "with mask 0xffff and offset 1"),
        ("half_a_ballot", "with mask 0xffff"),
    ],
)
def test_threads_that_do_not_meet_are_reported(kernels32, name, message, rng):
    with pytest.raises(EmulationError, match=rf"^{name}, block \(0, 0\).*{message}"):
        kernels32.launch(name, 2, 64, np.zeros(64, np.float32))
    # The next launch is as if nothing had been.
    x, out = rng.integers(0, 9, 64).astype("float32"), np.zeros(1, np.float32)
    kernels32.launch("block_sum", 1, 64, x, out)
    assert out[0] == x.sum()


# ---- the table and the text


def test_parameters_are_read_from_the_text():
    found = parameter_lists(KERNELS)
    assert list(found) == list(SIGNATURES)
    kinds = [(one.type, one.name, one.pointer, one.constant) for one in found["of_each_kind"]]
    assert kinds == [
        ("REAL", "p", True, True),
        ("int", "i", False, False),
        ("long long", "l", False, False),
        ("unsigned long long", "u", False, False),
        ("REAL", "r", False, False),
        ("double", "d", False, False),
        ("double", "out", True, False),
    ]
    assert [one.type for one in found["warp_sum_int64"]] == ["long long", "long long"]


def test_a_table_that_is_not_that_of_the_text_is_refused():
    wrong = {**SIGNATURES, "places": "pi", "absent": "p"}
    del wrong["count"]
    assert differences(KERNELS, wrong) == [
        "absent: in the table, but no kernel",
        "places: 'pi' in the table, 'p' in the source",
        "count: not in the table; its signature is 'ppppp'",
    ]
    with pytest.raises(ValueError, match="absent: in the table, but no kernel"):
        Emulator(source=KERNELS, signatures=wrong)


def test_what_the_compiler_does_not_accept_is_reported():
    source = PRELUDE + "KERNEL wrong(int* out) { *out = threadIdx.x + nowhere; }"
    with pytest.raises(EmulationError, match=r"kernels\.cu:\d+.*'nowhere' was not declared"):
        Emulator(source=source, signatures={"wrong": "p"})
    source = PRELUDE + "KERNEL wrong(int* out) { int unused; *out = 1; }"
    with pytest.raises(EmulationError, match="unused variable 'unused'"):
        Emulator(source=source, signatures={"wrong": "p"})


def test_switching_by_the_system_gives_the_same(monkeypatch, rng):
    monkeypatch.setattr(emulator, "FLAGS", (*emulator.FLAGS, "-DSIMT_UCONTEXT"))
    kernels = Emulator("float64", source=KERNELS, signatures=SIGNATURES)
    x, out = rng.integers(0, 9, (2, 128)).astype(float), np.zeros(2)
    kernels.launch("block_sum", 2, 128, x, out)
    np.testing.assert_array_equal(out, x.sum(axis=1))


def test_nobody_else_can_write_where_libraries_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(emulator.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = emulator.cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(EmulationError, match="other users can write"):
        emulator.cache_folder()
    assert os.path.dirname(folder) == str(tmp_path)


# ---- sanitizers. One source for all, so that each of them compiles once.

DEFECTS = (
    PRELUDE
    + """
KERNEL shift(const float* x, float* y, int n, int too_far) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i + too_far] = x[i];
}

KERNEL shared_array(float* y, int too_far) {
    SHARED(float, values, 64);
    values[threadIdx.x + too_far] = 1;
    __syncthreads();
    y[threadIdx.x] = values[63 - threadIdx.x];
}

KERNEL own_array(float* y, int places) {
    float own[4] = {};
    __syncthreads();
    for (int k = 0; k < places; ++k) own[k] = y[k];
    __syncthreads();
    y[threadIdx.x] = own[threadIdx.x & 3];
}

KERNEL reversed(float* y, int with_barrier) {
    SHARED(float, values, 64);
    values[threadIdx.x] = y[threadIdx.x + blockIdx.x * 64];
    if (with_barrier) __syncthreads();
    y[threadIdx.x + blockIdx.x * 64] = values[63 - threadIdx.x];
}

KERNEL total(float* sum, int atomic) {
    if (atomic)
        atomicAdd(sum, 1.0f);
    else
        *sum += 1;
}

// A shuffle is no barrier for memory, also within a warp.
KERNEL by_shuffle(float* y, int with_barrier) {
    SHARED(float, values, 64);
    values[threadIdx.x] = y[threadIdx.x];
    const float other = __shfl_xor_sync(WARP, y[threadIdx.x], 1);
    if (with_barrier) __syncthreads();
    y[threadIdx.x] = values[threadIdx.x ^ 1] + other;
}

// A warp's threads do not keep step.
KERNEL in_step(float* y, int with_barrier) {
    SHARED(float, values, 32);
    if (threadIdx.x == 0) values[0] = 1;
    if (with_barrier) __syncthreads();
    y[threadIdx.x] = values[0];
}

// Nothing orders blocks, whatever barriers are in them.
KERNEL between_blocks(float* y, int together) {
    __syncthreads();
    if (threadIdx.x == 0) y[together ? 0 : blockIdx.x] = 1;
    __syncthreads();
}

KERNEL used_again(float* y, int with_barrier) {
    SHARED(float, values, 64);
    float sum = 0;
    for (int k = 0; k < 3; ++k) {
        values[threadIdx.x] = y[threadIdx.x] * k;
        __syncthreads();
        sum += values[63 - threadIdx.x];
        if (with_barrier) __syncthreads();
    }
    y[threadIdx.x] = sum;
}

KERNEL overflow(int* x, int by) { x[threadIdx.x] += by; }

KERNEL half_returns(int* x, int divergent) {
    if (divergent && threadIdx.x >= 32) return;
    __syncthreads();
    x[threadIdx.x] = 1;
}
"""
)

OF_DEFECTS = {
    name: "pi"
    for name in [
        "shared_array",
        "own_array",
        "reversed",
        "total",
        "by_shuffle",
        "in_step",
        "between_blocks",
        "used_again",
        "overflow",
        "half_returns",
    ]
} | {"shift": "ppii"}


def watched(sanitizer, *launches):
    if not emulator.has_sanitizer(sanitizer):
        pytest.skip(f"g++ here has no {sanitizer} sanitizer that works")
    return sanitized(launches, sanitizer, source=DEFECTS, signatures=OF_DEFECTS)


def clean(outcome):
    return outcome.returncode == 0 and outcome.stderr == ""


ONES = np.ones(256, np.float32)
SOUND = [
    ("shift", 2, 64, ONES[:100], np.zeros(100, np.float32), 100, 0),
    ("shared_array", 1, 64, np.zeros(64, np.float32), 0),
    ("own_array", 1, 64, np.zeros(64, np.float32), 4),
    ("reversed", 3, 64, np.zeros(192, np.float32), 1),
    ("total", 3, 64, np.zeros(1, np.float32), 1),
    ("by_shuffle", 1, 64, np.zeros(64, np.float32), 1),
    ("in_step", 1, 64, np.zeros(64, np.float32), 1),
    ("between_blocks", 3, 64, np.zeros(3, np.float32), 0),
    ("used_again", 1, 64, np.zeros(64, np.float32), 1),
    ("overflow", 1, 64, np.zeros(64, np.int32), 1),
    ("half_returns", 1, 64, np.zeros(64, np.int32), 0),
]


@pytest.mark.parametrize("sanitizer", emulator.SANITIZERS)
def test_nothing_is_reported_of_sound_kernels(sanitizer):
    assert clean(watched(sanitizer, *SOUND, *SOUND))


@pytest.mark.parametrize(
    ("name", "grid", "args", "what"),
    [
        (
            "shift",
            2,
            (ONES[:100].copy(), np.zeros(100, np.float32), 100, 1),
            "heap-buffer-overflow",
        ),
        ("shared_array", 1, (np.zeros(64, np.float32), 1), "global-buffer-overflow"),
        ("own_array", 1, (np.zeros(64, np.float32), 5), "stack-buffer-overflow"),
    ],
)
def test_writing_out_of_bounds_is_found(name, grid, args, what):
    code, report = watched("address", (name, grid, 64, *args))
    assert code != 0
    assert f"AddressSanitizer: {what}" in report
    assert f"in {name}" in report
    assert "kernels.cu:" in report


@pytest.mark.parametrize(
    ("name", "grid", "args"),
    [
        ("reversed", 1, (np.zeros(64, np.float32), 0)),
        ("total", 1, (np.zeros(1, np.float32), 0)),
        ("by_shuffle", 1, (np.zeros(64, np.float32), 0)),
        ("in_step", 1, (np.zeros(64, np.float32), 0)),
        ("between_blocks", 2, (np.zeros(2, np.float32), 1)),
        ("used_again", 1, (np.zeros(64, np.float32), 0)),
    ],
)
@pytest.mark.parametrize("before", [[], SOUND], ids=["at once", "after other launches"])
def test_races_are_found(name, grid, args, before):
    code, report = watched("thread", *before, (name, grid, 64, *args))
    assert code != 0
    assert "ThreadSanitizer: data race" in report
    assert f"#0 {name}" in report
    assert "'block (0, 0), thread " in report


def test_undefined_arithmetic_is_found():
    x = np.ones(64, np.int32)
    code, report = watched("undefined", ("overflow", 1, 64, x, 2**31 - 1))
    assert code != 0
    assert "signed integer overflow" in report


@pytest.mark.parametrize("sanitizer", emulator.SANITIZERS)
def test_threads_that_do_not_meet_end_a_program(sanitizer):
    code, report = watched(sanitizer, ("half_returns", 1, 64, np.zeros(64, np.int32), 1))
    assert code != 0
    assert "wait at __syncthreads" in report


def test_views_of_an_array_are_the_same_memory_in_a_program():
    # A block reads what another one writes, by two views: a race only if it is one array.
    whole = np.zeros(256, np.float32)
    overlapping = ("shift", 4, 64, whole[:192], whole[64:], 192, 0)
    assert "data race" in watched("thread", overlapping).stderr
    apart = ("shift", 4, 64, whole[:192].copy(), whole[64:], 192, 0)
    assert clean(watched("thread", apart))


def test_a_program_of_ones_own_can_call_kernels():
    main = """
    int main() {
        float x[64] = {1}, y[64] = {};
        run_shift(1, 1, 64, x, y, 64, 0);
        return y[0] == 1 ? 3 : 4;
    }
    """
    if emulator.has_sanitizer("undefined"):
        outcome = run_program(main, "undefined", source=DEFECTS, signatures=OF_DEFECTS)
        assert outcome == (3, "")
    with pytest.raises(ValueError, match="one of address, thread, undefined, not 'memory'"):
        run_program(main, "memory", source=DEFECTS, signatures=OF_DEFECTS)
