"""Low-level operations for compiled kernels: pointers, calls by address, atomics, bits.

Kernels are compiled separately and share only memory. They get typed pointers, and find everything
else by offset or address.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic, overload

_X86 = llvmlite.binding.get_process_triple().split("-")[0] in ("x86_64", "i386", "i686", "amd64")


INLINED = {"forceinline": True, "error_model": "numpy"}
"""Options for helper functions, since a loop that calls a function is not vectorized."""


@intrinsic
def at(typing_context, memory, offset):
    """Return the pointer ``memory + offset``, with the offset in elements."""

    def generate(context, builder, signature, arguments):
        item = context.get_data_type(memory.dtype)
        return builder.gep(arguments[0], [arguments[1]], source_etype=item)

    return memory(memory, types.int64), generate


@intrinsic
def pointer(typing_context, address, like):
    """Return an address as a pointer of the type of ``like``."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(like))

    return like(types.int64, like), generate


def _pointer_to(kind):
    """Return an intrinsic that casts an address to a pointer to elements of a type."""
    result = types.CPointer(kind)

    @intrinsic
    def pointer_to(typing_context, address):
        """Cast an address to a pointer."""

        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(result))

        return result(types.int64), generate

    return pointer_to


pointer_to_float64 = _pointer_to(types.float64)
pointer_to_int32 = _pointer_to(types.int32)
pointer_to_int64 = _pointer_to(types.int64)


@intrinsic
def number(typing_context, memory, value):
    """Return ``value``, cast to the element type of ``memory``."""
    target = memory.dtype

    def generate(context, builder, signature, arguments):
        return context.cast(builder, arguments[1], value, target)

    return target(memory, value), generate


@intrinsic
def float64_of(typing_context, bits):
    """Return the float64 with these 64 bits, as records of integers store it."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _float32_of(typing_context, bits):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def call(typing_context, address, record, state, memory, data):
    """Call a kernel by its address."""

    def generate(context, builder, signature, arguments):
        whole = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [whole] * 4)
        target = builder.inttoptr(arguments[0], function.as_pointer())
        builder.call(target, arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def call_gemm(typing_context, address, arguments_13):
    """Call BLAS's gemm by its address, with 13 addresses as its arguments."""

    def generate(context, builder, signature, arguments):
        whole = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [whole] * 13)
        target = builder.inttoptr(arguments[0], function.as_pointer())
        values = [builder.extract_value(arguments[1], k) for k in range(13)]
        builder.call(target, values)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, 13)), generate


@intrinsic
def call_plain(typing_context, address):
    """Call a C function without arguments by its address."""

    def generate(context, builder, signature, arguments):
        function = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def publish(typing_context, address, value):
    """Write an int64 with release order: threads that observe it see all earlier writes."""

    def generate(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store_atomic(arguments[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def observe(typing_context, address):
    """Read an int64 with acquire order: later reads see everything that was written before it."""

    def generate(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "acquire", 8, typ=ir.IntType(64))

    return types.int64(types.int64), generate


@intrinsic
def relax(typing_context):
    """Hint to the processor that the thread is spinning in a loop."""

    def generate(context, builder, signature, arguments):
        if _X86:
            function = ir.FunctionType(ir.VoidType(), [])
            pause = builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=function)
            builder.call(pause, [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def cycles(typing_context):
    """Return the processor's cycle counter."""

    def generate(context, builder, signature, arguments):
        function = ir.FunctionType(ir.IntType(64), [])
        read = builder.module.declare_intrinsic("llvm.readcyclecounter", fnty=function)
        return builder.call(read, [])

    return types.int64(), generate


@contextmanager
def while_fits(builder: Any, counter: Any, step: int, limit: Any) -> Iterator[Any]:
    """Build ``while counter + step <= limit: ...; counter += step`` around the block."""
    head, body, end = (builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    value = builder.load(counter, typ=ir.IntType(64))
    after = builder.add(value, ir.IntType(64)(step))
    builder.cbranch(builder.icmp_signed("<=", after, limit), body, end)
    builder.position_at_end(body)
    yield value
    builder.store(after, counter)
    builder.branch(head)
    builder.position_at_end(end)


@njit(**INLINED)
def vector(memory, offset, n):
    """Return ``n`` elements of the memory, from ``offset`` on, as an array."""
    return carray(at(memory, offset), (n,))


@njit(**INLINED)
def matrix(memory, offset, rows, stride):
    """Return rows of the memory as an array; they are ``stride`` elements apart."""
    return carray(at(memory, offset), (rows, stride))


# ---- elementwise functions, written so that the compiler can vectorize them


def exp(x):
    """Return e to the power of x."""
    return math.exp(x)


@overload(exp, jit_options=INLINED)
def _overload_exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)
    log2_e, half = np.float32(1.44269504088896341), np.float32(0.5)
    high, low = np.float32(0.693359375), np.float32(-2.12194440e-4)  # ln 2 in two parts
    least, most = np.float32(-110.0), np.float32(90.0)
    c5, c4, c3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519e-3)
    c2, c1, c0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001e-1)
    one = np.float32(1.0)

    def float32_exp(x):
        # The polynomial of Cephes' expf (Moshier), on |r| <= ln(2) / 2, times 2^n made from bits.
        # The comparisons leave NaN unchanged.
        x = least if x < least else x
        x = most if x > most else x
        n = np.float32(math.floor(x * log2_e + half))
        r = x - n * high - n * low
        p = ((((c5 * r + c4) * r + c3) * r + c2) * r + c1) * r + c0
        p = p * r * r + r + one
        whole = np.int32(n)
        first = np.int32(whole >> np.int32(1))  # two factors, since 2^n itself may be out of range
        second = np.int32(whole - first)
        p *= _float32_of(np.int32(np.int32(first + np.int32(127)) << np.int32(23)))
        return p * _float32_of(np.int32(np.int32(second + np.int32(127)) << np.int32(23)))

    return float32_exp


def tanh(x):
    """Return the hyperbolic tangent of x."""
    return math.tanh(x)


@overload(tanh, jit_options=INLINED)
def _overload_tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)
    c4, c3 = np.float32(-5.70498872745e-3), np.float32(2.06390887954e-2)
    c2, c1, c0 = (
        np.float32(-5.37397155531e-2),
        np.float32(1.33314422036e-1),
        np.float32(-3.33332819422e-1),
    )
    zero, limit, one, two = np.float32(0), np.float32(0.625), np.float32(1.0), np.float32(2.0)

    def float32_tanh(x):
        # Cephes' tanhf (Moshier): a polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel.
        z = x * x
        near = ((((c4 * z + c3) * z + c2) * z + c1) * z + c0) * z * x + x
        size = abs(x)
        far = one - two / (exp(size + size) + one)
        far = -far if x < zero else far
        return near if size < limit else far

    return float32_tanh
