"""CuPy's functions by name, based on NumPy's and applied to device arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import queues
from .arrays import Array
from .calls import WAITING, compute, new, opened

LACKING = {
    "asmatrix", "base_repr", "binary_repr", "block", "bmat", "busday_count", "busday_offset",
    "common_type", "datetime_as_string", "datetime_data", "einsum_path", "frompyfunc", "fromregex",
    "geomspace", "get_include", "getbufsize", "geterr", "geterrcall", "histogram_bin_edges", "info",
    "insert", "is_busday", "isnat", "matvec", "nanpercentile", "nanquantile", "nested_iters",
    "polyder", "polydiv", "polyint", "setbufsize", "seterr", "seterrcall", "show_config",
    "show_runtime", "spacing", "test", "unstack", "vecdot", "vecmat",
}  # fmt: skip
"""NumPy's functions that CuPy 14 lacks."""

ON_THE_HOST = {
    "broadcast_shapes", "can_cast", "dtype", "finfo", "iinfo", "isdtype", "isscalar", "issubdtype",
    "min_scalar_type", "ndim", "promote_types", "result_type", "shape", "size",
}  # fmt: skip
"""Functions that use only shapes and dtypes."""


def namespace(kind: type) -> dict[str, Any]:
    """Return CuPy's functions and constants by name; they create arrays of class ``kind``."""
    found: dict[str, Any] = {}
    for name in dir(np):
        value = getattr(np, name)
        if name.startswith("_") or name in LACKING:
            continue
        if isinstance(value, type):
            if issubclass(value, np.generic | np.dtype | np.finfo | np.iinfo):
                found[name] = value
        elif isinstance(value, int | float) or value is None:
            found[name] = value
        elif callable(value):
            found[name] = _function(kind, name, value)
    found |= _made_here(kind)
    found["ndarray"] = kind
    return found


def _function(kind: type, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a version of a NumPy function for device arrays."""
    if name in ON_THE_HOST:

        def call(*args: Any, **kwargs: Any) -> Any:
            inputs: list[Any] = []
            return function(*opened(args, inputs), **kwargs)
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return compute(kind, function, *args, waits=name in WAITING, **kwargs)

    call.__name__ = name
    # Some libraries inspect the signature, e.g. of `unique`.
    call.__wrapped__ = function
    return call


def submodule(kind: type, module: Any) -> dict[str, Any]:
    """Return the functions of a submodule of NumPy, such as ``numpy.linalg``, by name."""
    return {
        name: _function(kind, name, value)
        if callable(value) and not isinstance(value, type)
        else value
        for name, value in vars(module).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, type))
    }


def _made_here(kind: type) -> dict[str, Any]:
    """Return the functions that create arrays, or whose arguments differ from NumPy's."""

    def empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
        return new(kind, shape, dtype, order)

    def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
        if dtype is None:
            dtype = (
                fill_value.dtype if hasattr(fill_value, "dtype") else np.asarray(fill_value).dtype
            )
        made = new(kind, shape, dtype, order)
        value, place = opened(fill_value, []), made._a
        queues.current_queue().put(lambda: np.copyto(place, value, casting="unsafe"))
        return made

    def zeros(shape: Any, dtype: Any = float, order: str = "C") -> Any:
        return full(shape, 0, float if dtype is None else dtype, order)

    def ones(shape: Any, dtype: Any = float, order: str = "C") -> Any:
        return full(shape, 1, float if dtype is None else dtype, order)

    def like(make: Callable[..., Any]) -> Callable[..., Any]:
        def call(
            x: Any, *value: Any, dtype: Any = None, order: str = "K", shape: Any = None
        ) -> Any:
            shape = x.shape if shape is None else shape
            order = "F" if order in "KAF" and x.flags.fnc else "C"
            return make(shape, *value, dtype=x.dtype if dtype is None else dtype, order=order)

        return call

    def array(
        values: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", ndmin: int = 0
    ) -> Any:
        if isinstance(values, list | tuple) and any(isinstance(each, Array) for each in values):
            return compute(kind, np.stack, [array(each, dtype) for each in values])
        if isinstance(values, Array):
            return _from_device(values, dtype, copy, order)
        queues.refuse_while_capturing("a copy from the host")
        queues.counts["from host"] += 1
        return _with_values(np.array(values, dtype, order=order, ndmin=ndmin))

    def _with_values(host: np.ndarray) -> Any:
        made = new(kind, host.shape, host.dtype, "F" if _is_fortran(host) else "C")
        place = made._a
        queues.current_queue().put(lambda: np.copyto(place, host))
        return made

    def _from_device(values: Any, dtype: Any, copy: bool | None, order: str) -> Any:
        here = values._memory.device == queues.current_device()
        right = {"C": values.flags.c_contiguous, "F": values.flags.f_contiguous}.get(order, True)
        if here and not copy and right and dtype in (None, values.dtype):
            return values
        if here:
            return compute(
                kind, np.array, values, dtype=values.dtype if dtype is None else dtype, order=order
            )
        with values.device:  # wait for the other device to compute it
            queues.current_queue().host_waits()
        made = new(kind, values.shape, values.dtype if dtype is None else dtype)
        place, source = made._a, values._a
        queues.current_queue().launch(lambda: np.copyto(place, source, casting="unsafe"))
        return made

    def asarray(values: Any, dtype: Any = None, order: str = "K", **options: Any) -> Any:
        return array(values, dtype, copy=False, order=order)

    def ascontiguousarray(values: Any, dtype: Any = None) -> Any:
        return array(values, dtype, copy=False, order="C")

    def asfortranarray(values: Any, dtype: Any = None) -> Any:
        return array(values, dtype, copy=False, order="F")

    def asnumpy(values: Any, stream: Any = None, order: str = "C", out: Any = None) -> Any:
        return values.get(stream, order, out) if isinstance(values, Array) else np.asarray(values)

    def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = None) -> None:
        place, values = opened(dst, []), opened(src, [])
        if not np.can_cast(getattr(values, "dtype", place.dtype), place.dtype, casting):
            raise TypeError(f"cannot copy {values.dtype} to {place.dtype} by the rule {casting!r}")
        chosen = True if where is None else opened(where, [])
        queues.current_queue().launch(lambda: np.copyto(place, values, "unsafe", chosen))

    def take(x: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
        # Indices wrap around without an error, as in CuPy.
        options = {} if out is None else {"out": out}
        return compute(kind, np.take, x, indices, axis=axis, mode="wrap", **options)

    def of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: _with_values(function(*args, **kwargs))

    def from_dlpack(x: Any, **options: Any) -> Any:
        if isinstance(x, Array):
            return x.view()
        raise BufferError("the stand-in takes no other library's array for one on a GPU")

    def get_array_module(*args: Any) -> Any:
        import cupy

        return cupy if any(isinstance(each, Array) for each in args) else np

    return {
        "array": array, "asarray": asarray, "asanyarray": asarray, "asnumpy": asnumpy,
        "ascontiguousarray": ascontiguousarray, "asfortranarray": asfortranarray,
        "empty": empty, "zeros": zeros, "ones": ones, "full": full,
        "empty_like": like(empty), "zeros_like": like(zeros), "ones_like": like(ones),
        "full_like": like(full), "copyto": copyto, "take": take, "from_dlpack": from_dlpack,
        "get_array_module": get_array_module, "newaxis": None,
        **{
            name: of_numbers(getattr(np, name))
            for name in ("arange", "eye", "identity", "linspace", "logspace", "tri")
        },
    }  # fmt: skip


def _is_fortran(x: np.ndarray) -> bool:
    return x.flags.f_contiguous and not x.flags.c_contiguous
