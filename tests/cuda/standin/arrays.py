"""Arrays on the device, which behave and raise like CuPy's; reading numbers is explicit."""

from typing import Any, NamedTuple

import numpy as np

from . import queues
from .calls import WAITING, compute, new, opened, selected
from .devices import Device, Stream
from .host import HostValues
from .memory import Memory, Pointer


class Flags(NamedTuple):
    """The memory layout of an array."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool

    @property
    def forc(self) -> bool:
        return self.c_contiguous or self.f_contiguous

    @property
    def fnc(self) -> bool:
        return self.f_contiguous and not self.c_contiguous


class Array:
    """An array on the device, created by the functions of the stand-in."""

    __slots__ = ("__weakref__", "_a", "_memory")
    __array_priority__ = 100
    __array_ufunc__ = None  # NumPy's operators defer to the operators here, which raise
    __hash__ = None

    _a: np.ndarray
    _memory: Memory

    def __new__(cls, shape: Any, dtype: Any = float, order: str = "C") -> Any:
        return new(cls, shape, dtype, order)

    @classmethod
    def _of(cls, raw: np.ndarray, memory: Memory) -> Any:
        array = object.__new__(cls)
        array._a, array._memory = raw, memory
        return array

    # ---- metadata, which the host knows

    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    device = property(lambda self: Device(self._memory.device))
    data = property(lambda self: Pointer(self._memory, self._a.ctypes.data))

    @property
    def flags(self) -> Flags:
        flags = self._a.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, False)

    def __len__(self) -> int:
        return len(self._a)

    # ---- conversions that wait for the device

    def get(
        self,
        stream: Stream | None = None,
        order: str = "C",
        out: np.ndarray | None = None,
        blocking: bool = True,
    ) -> np.ndarray:
        queues.wait(queues.current_queue() if stream is None else stream.queue, "get")
        if out is None:
            return np.array(self._a, order=order)
        out[...] = self._a
        return out

    def item(self, *index: Any) -> Any:
        return self.get().item(*index)

    def tolist(self) -> Any:
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.get(),)

    # ---- operations that raise

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *arguments: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was given an array of the device")

    # ---- copies and casts

    def set(self, values: np.ndarray, stream: Stream | None = None) -> None:
        queues.refuse_while_capturing("a copy from the host")
        queues.counts["from host"] += 1
        if not isinstance(values, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != values.dtype:
            raise TypeError(f"{values.dtype} array cannot be set to {self.dtype} array")
        if self.shape != values.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {values.shape}")
        if not self.flags.forc:
            raise RuntimeError("Cannot set to non-contiguous array")
        queue = queues.current_queue() if stream is None else stream.queue
        place, order = self._a, "C" if self.flags.c_contiguous else "F"
        sent = np.asarray(values, order=order)
        # A reordered copy made here is read at once, since nothing else can change it.
        copied = HostValues(sent) if sent is values else None
        now = sent.ravel(order).view(np.uint8) if copied is None else None

        def work() -> None:
            given = now if copied is None else copied.read()
            place.ravel(order)[...] = given.view(place.dtype)

        queue.put(work)

    def copy(self, order: str = "C") -> Any:
        return compute(type(self), np.array, self, order=order)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        with self.device:
            return self.copy()

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: str | None = None,
        subok: Any = None,
        copy: bool = True,
    ) -> Any:
        if not copy and self.dtype == dtype:
            return self
        return compute(type(self), _cast, self, np.dtype(dtype), order)

    def view(self, dtype: Any = None) -> Any:
        return type(self)._of(self._a.view(self.dtype if dtype is None else dtype), self._memory)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._memory.device

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the stand-in has nothing that another library could take as a GPU's")

    # ---- indexing

    def __getitem__(self, key: Any) -> Any:
        inputs: list[Any] = []
        raw = opened(key, inputs, indexing=True)
        masks = [each for each in (raw if isinstance(raw, tuple) else (raw,)) if _is_mask(each)]
        kind, base = type(self), self
        return compute(kind, lambda x: x[selected(x, raw)], base, waits=bool(masks))

    def __setitem__(self, key: Any, value: Any) -> None:
        inputs: list[Any] = []
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        raw = opened(key, inputs, indexing=True)
        place, values = opened(self, inputs), opened(value, inputs, indexing=True)

        def work() -> None:
            with np.errstate(all="ignore"):
                place[selected(place, raw)] = values

        queues.current_queue().launch(work)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    @property
    def T(self) -> Any:
        return self.transpose()

    def fill(self, value: Any) -> None:
        self[...] = value

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        self[...] = compute(type(self), np.sort, self, axis=axis)


def _unpickled(values: np.ndarray) -> Any:
    """Return an unpickled array."""
    import cupy

    return cupy.array(values)


def _cast(x: np.ndarray, dtype: np.dtype, order: Any) -> np.ndarray:
    return x.astype(dtype, order=order)


def _is_mask(each: Any) -> bool:
    if isinstance(each, list):
        return bool(each) and all(isinstance(one, bool) for one in each)
    return isinstance(each, np.ndarray) and each.dtype == bool


# ---- methods and operators based on NumPy's functions


def _method(name: str) -> Any:
    def method(self: Array, *args: Any, **kwargs: Any) -> Any:
        function = getattr(np.ndarray, name)
        return compute(type(self), function, self, *args, waits=name in WAITING, **kwargs)

    return method


for _name in (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "compress",
    "conj", "conjugate", "cumprod", "cumsum", "diagonal", "dot", "flatten", "max", "mean", "min",
    "nonzero", "prod", "ravel", "repeat", "reshape", "round", "searchsorted", "squeeze", "std",
    "sum", "swapaxes", "take", "trace", "transpose", "var",
):  # fmt: skip
    setattr(Array, _name, _method(_name))

for _name, _function in {"real": np.real, "imag": np.imag}.items():
    setattr(Array, _name, property(lambda self, f=_function: compute(type(self), f, self)))


def _operator(function: Any, swapped: bool = False, in_place: bool = False) -> Any:
    def operator(self: Array, other: Any) -> Any:
        if not isinstance(other, Array | bool | int | float | complex | np.generic | np.ndarray):
            return NotImplemented
        pair = (other, self) if swapped else (self, other)
        out = {"out": self} if in_place else {}
        return compute(type(self), function, *pair, **out)

    return operator


for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "matmul": np.matmul,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift,
    "rshift": np.right_shift,
}.items():  # fmt: skip
    setattr(Array, f"__{_name}__", _operator(_function))
    setattr(Array, f"__r{_name}__", _operator(_function, swapped=True))
    setattr(Array, f"__i{_name}__", _operator(_function, in_place=True))

for _name, _function in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
    "ne": np.not_equal,
}.items():  # fmt: skip
    setattr(Array, f"__{_name}__", _operator(_function))

for _name, _function in {
    "neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert,
}.items():  # fmt: skip
    setattr(Array, f"__{_name}__", lambda self, f=_function: compute(type(self), f, self))


class ndarray(Array):
    """CuPy's array."""

    __slots__ = ()


class Seen(Array):
    """An array that NumPy may read, for tests where a CPU network uses a machine's arrays.

    It is not a ``cupy.ndarray``, so that xpnet does not treat it as CuPy's.
    """

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        queues.finish()
        return np.array(self._a, dtype)
