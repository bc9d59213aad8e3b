"""A lock on a folder, so that only one training run writes to it."""

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..backends._warnings import warn
from .temporary import fcntl, lock

msvcrt: Any = import_module("msvcrt") if find_spec("msvcrt") else None  # only on Windows

_NAME = ".xpnet-lock"
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_HELD: "WeakSet[FolderLock]" = WeakSet()


class FolderLock:
    """A lock of the operating system on a file in a folder.

    The lock ends with the process, even if the process is killed. A copy of this object, or the
    object in a forked process, does not hold the lock.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._handle = folder / _NAME, -1

    def acquire(self, warns: bool = True) -> None:
        """Lock an existing folder; on a file system without locks, warn if ``warns``.

        Raises
        ------
        FileExistsError
            The folder is locked, by this process or another one.
        """
        folder = self._path.parent
        handle, reason = -1, "the file system has no locks"
        try:
            while handle < 0:
                handle = os.open(self._path, _FLAGS, 0o666)
                locked = _lock(handle)
                if locked and not self._is_current(handle):  # the last holder removed the file
                    os.close(handle)
                    handle = -1
        except OSError as error:
            locked, reason = None, str(error.strerror)
        if locked:
            self._handle = handle
            _HELD.add(self)
            return
        if handle >= 0:
            os.close(handle)
        if locked is False:
            raise FileExistsError(
                f"the folder {folder} is in use: another training run is writing checkpoints "
                "there. Wait until it ends, or give another folder"
            )
        if warns:
            warn(
                f"the folder {folder} cannot be locked ({reason}): make sure that no other "
                "training run writes checkpoints there at the same time"
            )

    def release(self) -> None:
        """Unlock the folder, if this lock is held."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        _HELD.discard(self)
        if fcntl is None:  # Windows removes no open file
            os.close(handle)
        with suppress(OSError):  # before unlocking: later, the file may be another lock's
            os.unlink(self._path)
        if fcntl is not None:
            with suppress(OSError):  # closing is not enough if a forked process has it open, too
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)

    def _is_current(self, handle: int) -> bool:
        """Whether the open file is still the one in the folder."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _forget(self) -> None:
        """Close the file in a forked process, where closing does not unlock it."""
        handle, self._handle = self._handle, -1
        os.close(handle)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_handle": -1}


def _forget_all() -> None:
    for each in list(_HELD):
        each._forget()
    _HELD.clear()


if hasattr(os, "register_at_fork"):  # else a child would keep the lock of a killed parent
    os.register_at_fork(after_in_child=_forget_all)


def _lock(handle: int) -> bool | None:
    """Lock an open file; return False if it is locked already, None without locks."""
    if msvcrt is None:
        return lock(handle)
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    except OSError:
        return None
    return True
