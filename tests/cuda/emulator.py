"""Run CUDA C++ kernels on the CPU: compiled by g++ with ``simt.h``, called with NumPy arrays.

``Emulator`` runs them inside Python, which is fast. ``sanitized`` runs the same launches in a
separate program under AddressSanitizer, ThreadSanitizer or UndefinedBehaviorSanitizer, and
``run_program`` runs any program that calls kernels.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xpnet.backends.cuda.kernels import SIGNATURES, source

SOURCE = source()
HEADER = Path(__file__).with_name("simt.h")
COMPILER = "g++"

REALS = {"float32": "float", "float64": "double"}
SANITIZERS = ("address", "thread", "undefined")

FLAGS = (
    "-std=c++20",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-tautological-compare",  # a formula may compare something with itself
    "-Wno-unknown-pragmas",  # `#pragma unroll` is for the GPU's compiler
    "-fvisibility=hidden",  # a kernel must not replace a C library function of the same name
)
"""The flags for both the library and the programs."""

LETTERS = {
    "i": (ctypes.c_int, "int"),
    "l": (ctypes.c_longlong, "long long"),
    "u": (ctypes.c_ulonglong, "unsigned long long"),
    "d": (ctypes.c_double, "double"),
    "p": (ctypes.c_void_p, "const void*"),
    "r": (None, "REAL"),
}
"""Letters of a signature: the ctypes type (for ``r``, that of the network) and the C++ type."""

C_TYPES = {
    "bool": "bool uint8",
    "unsigned char": "bool uint8",
    "signed char": "int8",
    "char": "int8",
    "unsigned short": "uint16",
    "short": "int16",
    "unsigned int": "uint32",
    "int": "int32",
    "unsigned long long": "uint64",
    "long long": "int64",
    "float": "float32",
    "double": "float64",
}
"""The dtypes of arrays that may be passed as pointers to a C++ type."""


class EmulationError(RuntimeError):
    """A kernel would hang a GPU, or cannot be compiled."""


class Parameter(NamedTuple):
    """A parameter of a kernel; ``type`` is its (or the pointed-to) type, without ``const``."""

    type: str
    name: str
    pointer: bool
    constant: bool  # whether it points to constants

    @property
    def letter(self) -> str:
        """The letter in a signature, or ``?`` if there is none."""
        letters = {c_type: letter for letter, (_, c_type) in LETTERS.items()}
        return "p" if self.pointer else letters.get(self.type, "?")


# ---- the source of the kernels


def parameter_lists(text: str) -> dict[str, list[Parameter]]:
    """Return the parameters of each kernel in CUDA C++ source.

    Macros that define kernels are expanded (those with arguments only at the beginning of a line),
    and so are the names that a ``typedef`` defines. All other preprocessing is omitted.
    """
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S).replace("\\\n", " ")
    define = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\(([^)\n]*)\))?[ \t]+([^\n]*)$", re.M)
    macros = [(name, names, body) for name, _, names, body in define.findall(text)]
    text = re.sub(r"^[ \t]*#[^\n]*$", "", text, flags=re.M)
    typedefs = {
        new: " ".join(old.split())
        for old, new in re.findall(r"\btypedef\s+([\w\s]+?)\s+(\w+)\s*;", text)
    }
    # Macros with arguments first, since their bodies may use macros without.
    for name, names, body in sorted(macros, key=lambda macro: not macro[1]):
        if names:
            text = re.sub(
                rf"^{name}\(([^()\n]*)\)",
                lambda call, names=names, body=body: _filled(body, names, call[1]),
                text,
                flags=re.M,
            )
        elif "__global__" in body:
            text = re.sub(rf"\b{name}\b", lambda _, body=body: body, text)
    kernel = (
        r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)'
    )
    return {
        name: [_parameter(one, typedefs) for one in given.split(",") if one.strip()]
        for name, given in re.findall(kernel, text)
    }


def _filled(body: str, names: str, values: str) -> str:
    """Return a macro's body with its arguments filled in."""
    given = dict(zip((name.strip() for name in names.split(",")), values.split(","), strict=True))
    for name, value in given.items():
        body = re.sub(rf"\b{name}\b", value.strip(), body.replace("##", " ## "))
    return re.sub(r"\s*##\s*", "", body)


def _parameter(text: str, typedefs: Mapping[str, str]) -> Parameter:
    words = re.findall(r"\w+|\*", re.sub(r"\b__restrict__\b", " ", text))
    *words, name = words
    c_type = " ".join(word for word in words if word not in ("const", "*"))
    return Parameter(typedefs.get(c_type, c_type), name, "*" in words, "const" in words)


def differences(text: str, signatures: Mapping[str, str]) -> list[str]:
    """Return the differences between a table of signatures and the kernels in the source."""
    kernels = parameter_lists(text)
    found = [f"{name}: in the table, but no kernel" for name in signatures if name not in kernels]
    for name, parameters in kernels.items():
        wanted = "".join(parameter.letter for parameter in parameters)
        if name not in signatures:
            found.append(f"{name}: not in the table; its signature is {wanted!r}")
        elif signatures[name] != wanted:
            found.append(f"{name}: {signatures[name]!r} in the table, {wanted!r} in the source")
    return found


# ---- compiling


@cache
def compiler_version() -> str:
    """Return the compiler's version text, or "" if there is no usable compiler."""
    if not sys.platform.startswith("linux") or shutil.which(COMPILER) is None:
        return ""
    command = [COMPILER, "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cache_folder() -> Path:
    """Return the folder for compiled code, to which no other user can write."""
    folder = Path(tempfile.gettempdir()) / f"xpnet-cuda-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
        raise EmulationError(f"{folder}: other users can write to this folder: remove it")
    return folder


def _compiled(source: str, code: str, flags: Sequence[str], result: str) -> Path:
    """Compile the kernels, followed by ``code``, with g++; return the path of the result.

    The same input is compiled only once, even if several processes need it at the same time.
    """
    if not compiler_version():
        raise EmulationError("no g++ on this machine")
    flags = (*FLAGS, *flags)
    parts = (compiler_version(), HEADER.read_text(encoding="utf-8"), source, code, *flags)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    final = cache_folder() / key
    if (final / result).exists():
        return final / result
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        folder = Path(name)
        (folder / "kernels.cu").write_text(source, encoding="utf-8")
        (folder / "code.cpp").write_text(f'#include "kernels.cu"\n{code}', encoding="utf-8")
        command = [COMPILER, *flags, "-include", str(HEADER), "code.cpp", "-o", result]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True
        )
        if done.returncode:
            raise EmulationError(f"{' '.join(command)}\n{done.stderr}")
        try:
            folder.rename(final)
        except OSError:  # another process was faster
            if not (final / result).exists():
                raise
    return final / result


def _callers(signatures: Mapping[str, str], *, program: bool) -> str:
    """Return a C++ function for each kernel: run_<name>(gx, gy, block, arguments...)."""
    lines = []
    for name, signature in signatures.items():
        types = [LETTERS[letter][1] for letter in signature]
        parameters = "".join(f", {c_type} a{k}" for k, c_type in enumerate(types))
        values = ", ".join(
            f"simt::Pointer{{a{k}}}" if letter == "p" else f"a{k}"
            for k, letter in enumerate(signature)
        )
        call = f'simt::launch("{name}", gx, gy, block, [=] {{ {name}({values}); }})'
        lines.append(
            'extern "C" __attribute__((visibility("default"))) '
            f"{'void' if program else 'const char*'} "
            f"run_{name}(unsigned gx, unsigned gy, unsigned block{parameters}) "
            f"{{ {f'simt::must({call})' if program else f'return {call}'}; }}"
        )
    return "\n".join(lines)


# ---- calling


def _grid(grid: int | tuple[int, int]) -> tuple[int, int]:
    x, y = grid if isinstance(grid, tuple) else (grid, 1)
    return x, y


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return f"{value!r}, of type {type(value).__name__}"


def _integer(value: object, letter: str, what: str) -> int:
    if not isinstance(value, Integral):
        raise TypeError(f"{what} is an integer, not {_kind(value)}")
    bits = 32 if letter == "i" else 64
    low, high = (0, 2**bits) if letter in "up" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not low <= value < high:
        raise ValueError(f"{what} is an integer from {low} up to {high - 1}, not {value}")
    return int(value)


def _checked(name: str, parameters: Sequence[Parameter], real: str, args: Sequence) -> list:
    """Return the arguments of a launch as numbers, arrays, or None for null pointers.

    Raises
    ------
    TypeError
        The number of arguments is wrong, or an argument has the wrong type.
    ValueError
        An array is not C-contiguous, or is written to but read-only, or a number is too large.

    """
    if len(args) != len(parameters):
        wanted = ", ".join(parameter.name for parameter in parameters)
        raise TypeError(f"{name} takes {len(parameters)} arguments ({wanted}), not {len(args)}")
    checked: list = []
    for parameter, value in zip(parameters, args, strict=True):
        what = f"{name}: {parameter.name}"
        if not parameter.pointer:
            if parameter.letter in "rd":
                if not isinstance(value, Real):
                    raise TypeError(f"{what} is a number, not {_kind(value)}")
                checked.append(float(value))
            else:
                checked.append(_integer(value, parameter.letter, what))
        elif isinstance(value, np.ndarray):
            c_type = REALS[real] if parameter.type == "REAL" else parameter.type
            dtypes = C_TYPES.get(c_type, value.dtype.name).split()  # to a structure: anything
            if value.dtype.name not in dtypes or not value.dtype.isnative:
                raise TypeError(f"{what} is an array of {dtypes[-1]}, not {_kind(value)}")
            if not value.flags.c_contiguous:
                raise ValueError(f"{what} must be C-contiguous")
            if not (parameter.constant or value.flags.writeable):
                raise ValueError(f"{what} is written by the kernel, but the array is read-only")
            checked.append(value)
        elif value is None:
            checked.append(None)
        elif isinstance(value, Integral) and not isinstance(value, bool):
            checked.append(_integer(value, "p", what))
        else:
            raise TypeError(f"{what} is an array, None or an address, not {_kind(value)}")
    return checked


class Emulator:
    """The kernels in a source, to launch on the CPU from one thread at a time.

    Parameters
    ----------
    real
        The dtype of ``REAL``: ``"float32"`` or ``"float64"``.
    source
        The source code of the kernels.
    signatures
        The letters of each kernel's arguments, as in ``xpnet.backends.cuda.kernels``.

    Raises
    ------
    EmulationError
        g++ is missing or does not compile the source.
    ValueError
        The table of signatures and the source differ.

    """

    def __init__(
        self,
        real: str = "float32",
        *,
        source: str = SOURCE,
        signatures: Mapping[str, str] = SIGNATURES,
    ) -> None:
        self.real = real
        self.parameters = _agreed(source, signatures)
        c_real = REALS[real]
        path = _compiled(
            source,
            _callers(signatures, program=False),
            [f"-DREAL={c_real}", "-fPIC", "-shared"],
            "kernels.so",
        )
        library = ctypes.CDLL(str(path))
        real_type = ctypes.c_float if real == "float32" else ctypes.c_double
        self._callers = {name: getattr(library, f"run_{name}") for name in signatures}
        for name, signature in signatures.items():
            types = [LETTERS[letter][0] or real_type for letter in signature]
            self._callers[name].argtypes = [ctypes.c_uint] * 3 + types
            self._callers[name].restype = ctypes.c_char_p

    def launch(self, name: str, grid: int | tuple[int, int], block: int, *args) -> None:
        """Run a kernel to completion.

        Parameters
        ----------
        name
            The name of the kernel.
        grid
            The number of blocks, in x or in x and y.
        block
            The number of threads per block, a multiple of 32.
        *args
            The kernel's arguments: numbers, and for pointers a C-contiguous array of the pointed-to
            type, None, or an address.

        Raises
        ------
        TypeError, ValueError
            The arguments do not match the kernel's parameters.
        EmulationError
            Threads met at different barriers, or not all of them reached a barrier.

        """
        if name not in self.parameters:
            raise ValueError(f"no kernel {name!r}; there are {', '.join(self.parameters)}")
        values = [
            value.ctypes.data if isinstance(value, np.ndarray) else value
            for value in _checked(name, self.parameters[name], self.real, args)
        ]
        sizes = [_integer(size, "i", "a size of the grid") for size in (*_grid(grid), block)]
        error = self._callers[name](*sizes, *values)
        if error is not None:
            raise EmulationError(error.decode())


def _agreed(source: str, signatures: Mapping[str, str]) -> dict[str, list[Parameter]]:
    if found := differences(source, signatures):
        raise ValueError("; ".join(found))
    return parameter_lists(source)


# ---- sanitizers


class Outcome(NamedTuple):
    """The exit status of a program, and its standard error."""

    returncode: int
    stderr: str


@cache
def has_sanitizer(sanitizer: str) -> bool:
    """Return whether programs with a sanitizer can be compiled and run on this machine."""
    if not compiler_version():
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [COMPILER, "-x", "c++", "-", f"-fsanitize={sanitizer}", "-o", f"{folder}/empty"]
        made = subprocess.run(command, input=b"int main() {}", capture_output=True)
        return made.returncode == 0 and _run([f"{folder}/empty"], 60) == (0, "")


def run_program(
    main: str,
    sanitizer: str,
    *arguments: str,
    real: str = "float32",
    source: str = SOURCE,
    signatures: Mapping[str, str] = SIGNATURES,
    timeout: float = 120,
) -> Outcome:
    """Compile and run a program that calls kernels, with a sanitizer.

    Parameters
    ----------
    main
        Its C++ source, with ``int main()``. It can call ``run_<name>(grid_x, grid_y, block,
        arguments...)`` for each kernel, and use everything that ``simt.h`` includes.
    sanitizer
        ``"address"``, ``"thread"`` or ``"undefined"``.
    *arguments
        Arguments of the program.
    real, source, signatures
        As for `Emulator`.
    timeout
        In seconds.

    Returns
    -------
    Outcome
        The returncode is 0 if the sanitizer found nothing and ``main`` returned 0.

    """
    if sanitizer not in SANITIZERS:
        raise ValueError(f"sanitizer is one of {', '.join(SANITIZERS)}, not {sanitizer!r}")
    flags = [f"-DREAL={REALS[real]}", "-g", f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer"]
    if sanitizer == "undefined":
        flags.append("-fno-sanitize-recover=all")
    code = f"{_callers(signatures, program=True)}\n{main}"
    command = [str(_compiled(source, code, flags, "program")), *arguments]
    return _run(command, timeout)


def _run(command: Sequence[str], timeout: float) -> Outcome:
    # Leaks do not matter here, and detecting them needs permissions that containers do not have.
    # ThreadSanitizer would wait a second for fibers that have not ended.
    options = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "atexit_sleep_ms=0"}
    # Older ThreadSanitizers fail if the kernel randomizes addresses, which setarch -R turns off.
    for prefix in ([], ["setarch", "-R"] if shutil.which("setarch") else []):
        done = subprocess.run(
            [*prefix, *command],
            env=os.environ | options,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if "unexpected memory mapping" not in done.stderr:
            break
    return Outcome(done.returncode, done.stderr)


def sanitized(
    launches: Sequence[tuple],
    sanitizer: str,
    *,
    real: str = "float32",
    source: str = SOURCE,
    signatures: Mapping[str, str] = SIGNATURES,
    timeout: float = 120,
) -> Outcome:
    """Run launches in a separate program with a sanitizer; the arrays here do not change.

    Parameters
    ----------
    launches
        The arguments of `Emulator.launch` for each: name, grid, block, arguments. Repeated arrays,
        and views of the same array, share memory in the program too.
    sanitizer, real, source, signatures, timeout
        As for `run_program`. The program is compiled once for all launches of a source.

    """
    parameters = _agreed(source, signatures)
    buffers: dict[int, tuple[int, np.ndarray]] = {}
    calls = []
    for name, grid, block, *args in launches:
        words = [list(signatures).index(name), *_grid(grid), block]
        values = _checked(name, parameters[name], real, args)
        for parameter, value in zip(parameters[name], values, strict=True):
            if isinstance(value, np.ndarray):
                owner = value
                while isinstance(owner.base, np.ndarray):
                    owner = owner.base
                if not owner.flags.forc:
                    raise ValueError(f"{name}: {parameter.name} is a view of an array with gaps")
                number, _ = buffers.setdefault(id(owner), (len(buffers), owner))
                words += [number, value.ctypes.data - owner.ctypes.data]
            elif value is None:
                words += [-1, 0]
            elif parameter.pointer:
                raise TypeError(f"{name}: {parameter.name} is an address, of no use elsewhere")
            elif isinstance(value, float):
                words.append(int(np.float64(value).view(np.int64)))
            else:
                words.append(value)
        calls.append(np.array([word % 2**64 for word in words], np.uint64).tobytes())
    owners = [owner for _, owner in buffers.values()]
    with tempfile.NamedTemporaryFile(suffix=".launches") as file:
        file.write(np.array([len(owners), *(owner.nbytes for owner in owners)], np.uint64))
        for owner in owners:
            file.write(owner.tobytes(order="A"))
        file.write(np.uint64(len(calls)).tobytes())
        file.write(b"".join(calls))
        file.flush()
        return run_program(
            _replay(signatures),
            sanitizer,
            file.name,
            real=real,
            source=source,
            signatures=signatures,
            timeout=timeout,
        )


def _replay(signatures: Mapping[str, str]) -> str:
    """Return a program that reads and runs the launches that `sanitized` has written."""
    cases = []
    for number, (name, signature) in enumerate(signatures.items()):
        reads = {"p": "pointer", "r": "real", "d": "real"}
        values = "".join(
            f" const auto a{k} = replay::{reads.get(letter, 'word')}();"
            for k, letter in enumerate(signature)
        )
        passed = "".join(
            f", {'' if letter == 'p' else f'({LETTERS[letter][1]})'}a{k}"
            for k, letter in enumerate(signature)
        )
        call = f"run_{name}(gx, gy, block{passed});"
        cases.append(f"            case {number}: {{{values} {call} break; }}")
    return _REPLAY.replace("CASES", "\n".join(cases))


_REPLAY = """
namespace replay {

static FILE* file;
static std::vector<char*> buffers;

static void bytes(void* memory, std::size_t size) {
    if (size && std::fread(memory, size, 1, file) != 1) {
        std::fprintf(stderr, "the file of launches ends early\\n");
        std::exit(2);
    }
}
static long long word() {
    long long value;
    bytes(&value, sizeof value);
    return value;
}
[[maybe_unused]] static double real() {
    double value;
    bytes(&value, sizeof value);
    return value;
}
[[maybe_unused]] static const void* pointer() {
    const long long buffer = word(), offset = word();
    return buffer < 0 ? nullptr : buffers[buffer] + offset;
}

}  // namespace replay

int main(int, char** arguments) {
    replay::file = std::fopen(arguments[1], "rb");
    std::vector<long long> sizes(replay::word());
    for (auto& size : sizes) size = replay::word();
    for (const auto size : sizes) {
        // Separate allocations, so that AddressSanitizer knows where each ends.
        replay::buffers.push_back(static_cast<char*>(std::malloc(size)));
        replay::bytes(replay::buffers.back(), size);
    }
    for (long long left = replay::word(); left; --left) {
        const long long kernel = replay::word();
        const unsigned gx = replay::word(), gy = replay::word(), block = replay::word();
        switch (kernel) {
CASES
        }
    }
    return 0;
}
"""
