"""Compilation by Numba, with a cache on disk whose files are checked before they are used.

Numba's own cache does not notice damage: a truncated file raises an error at every call, and an
altered one may crash the process. Each process also numbers its files on its own, so two processes
may write different functions under one name. The cache here writes a checksum and the key into each
file. A file that fails these checks is replaced; if no file can be written, there is no cache.

This does not protect against others who can write to the folder: Numba's files are pickles, and
reading one may run any code. Only the folder's permissions protect it.
"""

import hashlib
import pickle
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def compiled_function(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """Return a Numba dispatcher of a function, compiled for a signature or taken from the cache.

    Parameters
    ----------
    function : callable
    signature : Numba signature
    **options
        As for ``numba.njit``.
    """
    numba: Any = import_module("numba")
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = _cache_of(function)
    dispatcher.compile(signature)
    return dispatcher


def compiled_callback(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """Compile a function as ``numba.cfunc`` does, or take it from the cache.

    The machine code is at its attribute ``address`` for as long as the object lives.
    """
    of_numba: Any = import_module("numba.core.ccallback")
    signatures: Any = import_module("numba.core.sigutils")
    pair = signatures.normalize_signature(signature)
    callback = of_numba.CFunc(function, pair, locals={}, options=options)
    callback._cache = _cache_of(function)
    callback.compile()
    return callback


def _cache_of(function: Callable[..., Any]) -> Any:
    """Return the cache for a function, or one that keeps nothing if no folder can be written."""
    caching: Any = import_module("numba.core.caching")
    try:
        return _classes()(function)
    except (OSError, RuntimeError):  # Numba's "cannot cache function"
        return caching.NullCache()


@cache
def _classes() -> Any:
    """Return the class of the caches; made here, so that importing this file needs no Numba."""
    caching: Any = import_module("numba.core.caching")

    class CheckedFile(caching.IndexDataCacheFile):  # type: ignore[misc]
        """The files of one function."""

        def save(self, key: Any, data: Any) -> None:
            super().save(key, (key, data))

        def load(self, key: Any) -> Any:
            name = self._load_index().get(key)
            found = None if name is None else _read(self._data_path(name))
            return found[1] if found is not None and found[0] == key else None

        def _load_index(self) -> dict[Any, str]:
            found = _read(self._index_path)
            return found[1] if found is not None and found[0] == self._made_from() else {}

        def _save_index(self, overloads: dict[Any, str]) -> None:
            self._write(self._index_path, (self._made_from(), overloads))

        def _save_data(self, name: str, data: Any) -> None:
            self._write(self._data_path(name), data)

        def _made_from(self) -> tuple[Any, ...]:
            return self._version, self._source_stamp, _sources()

        def _write(self, path: str, content: Any) -> None:
            written = self._dump(content)
            with self._open_for_write(path) as file:
                file.write(hashlib.sha256(written).digest() + written)

    class CheckedCache(caching.FunctionCache):  # type: ignore[misc]
        """A cache whose errors never make compilation fail."""

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__(function)
            stamp = self._impl.locator.get_source_stamp()
            self._cache_file = CheckedFile(self._cache_path, self._impl.filename_base, stamp)

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception:
                return None  # not usable here: the function is compiled, and the file replaced

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)
            except Exception:
                return  # e.g. the disk is full

    return CheckedCache


@cache
def _sources() -> bytes:
    """Return a hash of this folder's files, from which a kernel may take functions."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).digest()


def _read(path: str) -> Any:
    """Return what a file of the cache holds; None if it is missing, unreadable or damaged."""
    content = intact_content(path)
    try:
        return None if content is None else pickle.loads(content)
    except Exception:  # it names something that this Numba does not have
        return None


def intact_content(path: str) -> bytes | None:
    """Return the content of a file without its checksum; None if it does not fit or is missing."""
    try:
        with open(path, "rb") as file:
            written = file.read()
    except OSError:
        return None
    checksum, content = written[:_CHECKSUM], written[_CHECKSUM:]
    return content if hashlib.sha256(content).digest() == checksum else None


_CHECKSUM = hashlib.sha256().digest_size
