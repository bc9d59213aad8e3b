"""The text of the CUDA kernels: that it compiles for every GPU, as what it is called with."""

import pytest

from bench import nvrtc, written
from tests.cuda.emulator import differences
from xpnet.backends.cuda.kernels import SIGNATURES, Kernel, source

needs_nvrtc = pytest.mark.skipif(
    nvrtc.find_library() is None, reason="compiling kernels needs libnvrtc: nvidia-cuda-nvrtc"
)

TEXT = source()

TINY = """
extern "C" __global__ void tiny(REAL* x, int n) {
    __shared__ REAL values[64];
    values[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = values[n - threadIdx.x];
}
"""

# Sixty numbers at the same time do not fit into 32 registers.
GREEDY = """
extern "C" __global__ void greedy(REAL* x) {
    REAL own[60];
    for (int k = 0; k < 60; ++k) own[k] = x[k * blockDim.x + threadIdx.x];
    __syncthreads();
    for (int j = 0; j < 60; ++j)
        for (int k = 0; k < 60; ++k) own[k] += own[(k + 1) % 60] * own[j];
    for (int k = 0; k < 60; ++k) x[k * blockDim.x + threadIdx.x] = own[k];
}
"""


def test_the_table_is_that_of_the_text():
    assert differences(TEXT, SIGNATURES) == []


def test_the_text_is_ascii():
    """CuPy writes it with the locale's encoding, which on Windows has no Greek letters."""
    assert [line for line in TEXT.splitlines() if not line.isascii()] == []


@pytest.fixture(scope="module")
def table():
    """What each kernel takes on each GPU; all is compiled here, once."""
    known = [arch for arch in nvrtc.ARCHITECTURES if arch in nvrtc.supported()]
    return nvrtc.resources(TEXT, architectures=known)


@needs_nvrtc
@pytest.mark.parametrize("real", nvrtc.REALS)
@pytest.mark.parametrize("arch", nvrtc.ARCHITECTURES)
def test_kernels_compile_without_a_warning_and_spill_nothing(table, real, arch):
    if arch not in nvrtc.supported():
        pytest.skip("this NVRTC does not compile for all GPUs")
    rows = [row for row in table if (row.real, row.architecture) == (real, arch)]
    assert sorted(row.kernel for row in rows) == sorted(SIGNATURES)
    assert [row for row in rows if row.spill_stores or row.spill_loads] == []
    code = nvrtc.compiled(TEXT, real, arch).cubin
    assert code.startswith(b"\x7fELF")
    assert [name for name in SIGNATURES if f".text.{name}\0".encode() not in code] == []


ENDS = [("float", nvrtc.ARCHITECTURES[0]), ("double", nvrtc.ARCHITECTURES[-1])]
"""What is compiled at once; the others take a minute."""


@needs_nvrtc
@pytest.mark.parametrize(
    ("real", "arch"),
    [
        pytest.param(real, arch, marks=[] if (real, arch) in ENDS else pytest.mark.slow)
        for real in nvrtc.REALS
        for arch in nvrtc.ARCHITECTURES
    ],
)
def test_written_kernels_compile_without_a_warning_and_spill_nothing(real, arch):
    if arch not in nvrtc.supported():
        pytest.skip("this NVRTC does not compile for all GPUs")
    dtype = {"float": "float32", "double": "float64"}[real]
    kernels = [kernel for kind in written.KINDS for kernel in written.kernels(kind, dtype)]
    text = written.text_of(tuple(kernels))
    assert text.isascii()
    rows = nvrtc.resources(text, [real], [arch])
    assert sorted(row.kernel for row in rows) == sorted(kernel.name for kernel in kernels)
    assert [row for row in rows if row.spill_stores or row.spill_loads] == []


@needs_nvrtc
@pytest.mark.parametrize("real", nvrtc.REALS)
def test_functions_are_those_of_the_type(real):
    """Those of double take many times as long."""
    names = ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "sinh", "cosh", "sin", "cos", "erf"]
    sizes = [f"sizeof({name}(x)) == sizeof(REAL)" for name in (*names, "fabs")]
    check = " && ".join([*sizes, "sizeof(pow(x, x)) == sizeof(REAL)"])
    kernel = Kernel(
        "one", "rp", f'KERNEL one(REAL x, REAL* y) {{ static_assert({check}, ""); *y = x; }}'
    )
    assert nvrtc.compiled(source(kernel), real, "sm_90").cubin


@needs_nvrtc
def test_a_typo_is_reported_with_its_line():
    lines = TEXT.splitlines()
    line = next(n for n, text in enumerate(lines) if "__syncthreads();" in text)
    lines[line] = lines[line].replace("__syncthreads", "__synctreads")
    with pytest.raises(nvrtc.CompilationError) as caught:
        nvrtc.compiled("\n".join(lines), "float", "sm_90")
    assert f'kernels.cu({line + 1}): error: identifier "__synctreads"' in str(caught.value)


@needs_nvrtc
def test_a_warning_is_an_error():
    with pytest.raises(nvrtc.CompilationError, match=r"\(3\).*\"unused\" was declared but never"):
        nvrtc.compiled(TINY.replace("{\n", "{\n    int unused;\n", 1), "float", "sm_90")


@needs_nvrtc
def test_an_unknown_architecture_is_an_error():
    with pytest.raises(nvrtc.CompilationError, match="gpu-architecture"):
        nvrtc.compile_cubin(TINY, "sm_1")


@needs_nvrtc
def test_resources_are_those_that_the_compiler_tells():
    rows = nvrtc.resources(TINY + TINY.replace("tiny", "small"), architectures=["sm_90"])
    assert sorted((row.kernel, row.real) for row in rows) == [
        ("small", "double"), ("small", "float"), ("tiny", "double"), ("tiny", "float"),
    ]  # fmt: skip
    for row in rows:
        assert row.shared == (256 if row.real == "float" else 512)
        assert 4 <= row.registers <= 32
        assert row.stack == row.spill_stores == row.spill_loads == 0


@needs_nvrtc
def test_spilled_registers_are_seen():
    log = nvrtc.compile_cubin(
        GREEDY, "sm_90", (*nvrtc.OPTIONS, "-DREAL=float", "--maxrregcount=32")
    ).log
    (row,) = nvrtc.resources_in(log, "float")
    assert row.registers <= 32
    assert row.spill_stores > 0
    assert row.spill_loads > 0
    assert "spills" in nvrtc.as_markdown([row])


def test_resources_as_a_table():
    rows = [
        nvrtc.Resources("one", "float", "sm_80", 20, 0, 0, 0, 128),
        nvrtc.Resources("one", "double", "sm_80", 40, 16, 8, 12, 256),
        nvrtc.Resources("two", "float", "sm_80", 10, 0, 0, 0, 0),
    ]
    assert nvrtc.as_markdown(rows) == (
        "| kernel | shared memory | float, sm_80 | double, sm_80 |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| `one` | 128 or 256 | 20 | 40, spills 8+12, stack 16 |\n"
        "| `two` | 0 | 10 |  |\n"
    )
