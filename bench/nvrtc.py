"""Compile CUDA C++ to machine code by NVRTC, which needs neither a GPU nor a driver.

NVRTC comes with the wheel ``nvidia-cuda-nvrtc`` or with a CUDA toolkit.
"""

import ctypes
import ctypes.util
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""The architectures from Turing, the oldest that CUDA 13 supports, to Blackwell."""

REALS = ("float", "double")

OPTIONS = ("--std=c++17", "--ptxas-options=-v")


class CompilationError(Exception):
    """The source does not compile, or NVRTC does not work; the message says why."""


class Compiled(NamedTuple):
    """Machine code, and the compiler's log."""

    cubin: bytes
    log: str


class Resources(NamedTuple):
    """The resources that a kernel uses: registers per thread, and memory in bytes."""

    kernel: str
    real: str
    architecture: str
    registers: int
    stack: int  # per thread: arrays that are not in registers
    spill_stores: int
    spill_loads: int
    shared: int  # per block


def find_library() -> str | None:
    """Return the path or name of the newest libnvrtc, or None if it is not installed."""
    spec = find_spec("nvidia")
    found = [
        path
        for folder in (spec.submodule_search_locations or () if spec else ())
        for path in Path(folder).glob("*/lib/libnvrtc.so.[0-9][0-9]")
    ]
    if found:
        return str(max(found, key=lambda path: path.name))
    return ctypes.util.find_library("nvrtc")


@cache
def _library() -> ctypes.CDLL:
    name = find_library()
    if name is None:
        raise CompilationError("libnvrtc is not installed: pip install nvidia-cuda-nvrtc")
    # NVRTC loads its builtins by file name only. In some wheels it does not search its own folder,
    # but it uses builtins that are already loaded.
    for builtins in Path(name).parent.glob("libnvrtc-builtins.so.[0-9]*"):
        ctypes.CDLL(str(builtins))
    library = ctypes.CDLL(name)
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def _call(function: str, *arguments: object) -> None:
    code = getattr(_library(), function)(*arguments)
    if code:
        raise CompilationError(f"{function}: {_library().nvrtcGetErrorString(code).decode()}")


def version() -> tuple[int, int]:
    """Return NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def supported() -> list[str]:
    """Return the architectures for which this NVRTC compiles, as ``sm_...``."""
    n = ctypes.c_int()
    _call("nvrtcGetNumSupportedArchs", ctypes.byref(n))
    numbers = (ctypes.c_int * n.value)()
    _call("nvrtcGetSupportedArchs", numbers)
    return [f"sm_{number}" for number in numbers]


def _text(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
    memory = ctypes.create_string_buffer(size.value)
    _call(f"nvrtcGet{what}", program, memory)
    return memory.raw


def compile_cubin(source: str, arch: str, options: Sequence[str] = OPTIONS) -> Compiled:
    """Compile a source to the machine code of an architecture such as ``sm_90``.

    Raises
    ------
    CompilationError
        The source does not compile or causes a warning, and the message has the compiler's log. Or
        NVRTC is not installed.
    """
    program = ctypes.c_void_p()
    _call(
        "nvrtcCreateProgram",
        ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None,
    )  # fmt: skip
    try:
        given = [f"--gpu-architecture={arch}".encode(), *(option.encode() for option in options)]
        code = _library().nvrtcCompileProgram(
            program, len(given), (ctypes.c_char_p * len(given))(*given)
        )
        log = _text(program, "ProgramLog").rstrip(b"\0").decode()
        # The log is searched because NVRTC 13.0 has no option to turn warnings into errors.
        if code or re.search(r"\bwarning\b", log):
            raise CompilationError(log or _library().nvrtcGetErrorString(code).decode())
        return Compiled(_text(program, "CUBIN"), log)
    finally:
        _call("nvrtcDestroyProgram", ctypes.byref(program))


_ENTRY = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)' for '(?P<architecture>\w+)'\n"
    r"(?P<rest>(?:(?!.*Compiling entry function).*\n?)*)"
)
_STACK = (
    r"Function properties for {kernel}\n"
    r".*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)


def resources_in(log: str, real: str) -> list[Resources]:
    """Return the resources of each kernel, read from the log of ``--ptxas-options=-v``."""
    rows = []
    for entry in _ENTRY.finditer(log):
        registers = re.search(r"Used (\d+) registers", entry["rest"])
        stack = re.search(_STACK.format(kernel=entry["kernel"]), entry["rest"])
        if registers is None or stack is None:
            raise CompilationError(f"the compiler's log has an unknown format:\n{entry[0]}")
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        rows.append(
            Resources(
                entry["kernel"], real, entry["architecture"], int(registers[1]),
                *(int(number) for number in stack.groups()), int(shared[1]) if shared else 0,
            )
        )  # fmt: skip
    return rows


@cache
def compiled(source: str, real: str, arch: str) -> Compiled:
    """Return the source compiled for one floating-point type; results are cached."""
    return compile_cubin(source, arch, (*OPTIONS, f"-DREAL={real}"))


def resources(
    source: str,
    reals: Iterable[str] = REALS,
    architectures: Iterable[str] = ARCHITECTURES,
) -> list[Resources]:
    """Return the resources of each kernel in the source, for each type and architecture."""
    pairs = [(real, arch) for real in reals for arch in architectures]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda pair: compiled(source, *pair), pairs)
        return [
            row
            for (real, _), one in zip(pairs, made, strict=True)
            for row in resources_in(one.log, real)
        ]


def as_markdown(rows: Iterable[Resources]) -> str:
    """Return a table with a row for each kernel and a column for each type and architecture.

    A cell has the number of registers, followed by the bytes spilled (stored and loaded) and the
    bytes of the stack, if there are any.
    """
    rows = list(rows)
    columns = list(dict.fromkeys((row.real, row.architecture) for row in rows))
    cells = {(row.kernel, row.real, row.architecture): row for row in rows}
    lines = [
        ["kernel", "shared memory", *(f"{real}, {arch}" for real, arch in columns)],
        ["---", *["---:"] * (len(columns) + 1)],
    ]
    for kernel in dict.fromkeys(row.kernel for row in rows):
        own = [cells.get((kernel, *column)) for column in columns]
        shared = sorted({row.shared for row in own if row})
        lines.append([f"`{kernel}`", " or ".join(map(str, shared)), *map(_cell, own)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: Resources | None) -> str:
    if row is None:
        return ""
    spilled = f", spills {row.spill_stores}+{row.spill_loads}"
    return (
        f"{row.registers}"
        f"{spilled if row.spill_stores or row.spill_loads else ''}"
        f"{f', stack {row.stack}' if row.stack else ''}"
    )
