"""Compile by Numba, with a cache on disk whose files are checked before use.

Numba's own cache does not detect damage: a truncated file raises an error at every call, and a
modified file may crash the process. Each process also numbers its files independently, so two
processes may write different functions to the same file name. The cache here stores a checksum and
the key in each file. A file that fails these checks is replaced; if files cannot be written, there
is no cache.

The checksum does not protect against other users who can write to the folder: Numba's files are
pickles, which may run any code when read. Only the folder's permissions protect against that.
"""

import hashlib
import pickle
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def compiled_function(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """Return a Numba dispatcher of a function, compiled for a signature or read from the cache.

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
    """Compile a function like ``numba.cfunc``, or read it from the cache.

    The result's ``address`` is valid for as long as the result lives.
    """
    of_numba: Any = import_module("numba.core.ccallback")
    signatures: Any = import_module("numba.core.sigutils")
    pair = signatures.normalize_signature(signature)
    callback = of_numba.CFunc(function, pair, locals={}, options=options)
    callback._cache = _cache_of(function)
    callback.compile()
    return callback


def _cache_of(function: Callable[..., Any]) -> Any:
    """Return the cache for a function, or an empty one if no folder can be written."""
    caching: Any = import_module("numba.core.caching")
    try:
        return _cache_class()(function)
    except (OSError, RuntimeError):  # Numba's "cannot cache function"
        return caching.NullCache()


@cache
def _cache_class() -> Any:
    """Return the cache class, defined here so that importing this module does not need Numba."""
    caching: Any = import_module("numba.core.caching")

    class CheckedFile(caching.IndexDataCacheFile):  # type: ignore[misc]
        """The cache files of one function."""

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
                return None  # not usable here; the function is compiled and the file replaced

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)
            except Exception:
                return  # e.g. the disk is full

    return CheckedCache


@cache
def _sources() -> bytes:
    """Return a hash of this folder's files, whose functions a kernel may call."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).digest()


def _read(path: str) -> Any:
    """Return the object in a cache file, or None if it is missing, unreadable or damaged."""
    content = intact_content(path)
    try:
        return None if content is None else pickle.loads(content)
    except Exception:  # e.g. it refers to something that this version of Numba lacks
        return None


def intact_content(path: str) -> bytes | None:
    """Return a file's content without its checksum, or None if it is missing or damaged."""
    try:
        with open(path, "rb") as file:
            written = file.read()
    except OSError:
        return None
    checksum, content = written[:_CHECKSUM], written[_CHECKSUM:]
    return content if hashlib.sha256(content).digest() == checksum else None


_CHECKSUM = hashlib.sha256().digest_size
