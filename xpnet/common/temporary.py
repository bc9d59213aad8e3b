"""Temporary files that replace another file in the same folder.

Each has a unique name, so that several can be written at the same time. A process that is killed
leaves its temporary files behind; the next process that writes the same target removes them.
"""

import errno
import io
import math
import os
import platform
import re
import secrets
import stat
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # missing on Windows

OLD = 24 * 3600.0
"""Seconds after which a file counts as left over, if no lock shows whether it is in use."""

_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL  # fails if the name exists, even as a link
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_TRIES = 100
_NAME = re.compile(r"\.xpnet-[0-9a-f]{16}-([0-9a-f]{8})-[0-9a-f]{16}\.part")


class TemporaryFile:
    """A new file that will replace another file in its folder.

    It is locked while it is open, to show that it is in use.

    Parameters
    ----------
    target : Path
        The file to replace. Temporary files for this target left behind by killed processes are
        removed.
    mode : int
        The permissions of the new file, before the umask is applied.

    Attributes
    ----------
    file : binary file
        Open for writing.
    """

    def __init__(self, target: Path, mode: int) -> None:
        prefix = _prefix(target)
        self._handle, self._path = _opened(target.parent, prefix + f"-{_machine()}-", mode)
        try:
            _remove_leftovers(target.parent, prefix, os.fstat(self._handle).st_mtime)
            self._raw = _Raw(self._handle, "w", closefd=False)
            self.file = io.BufferedWriter(self._raw)
        except BaseException:
            self.close()
            raise

    @property
    def failure(self) -> OSError | None:
        """The error of the last failed write, even if the writing code has suppressed it."""
        return self._raw.failure

    def sync(self) -> None:
        """Wait until everything that was written is on the disk."""
        if not self.file.closed:
            self.file.flush()
        if self.failure is not None:
            raise self.failure
        _sync(self._handle)

    def copy_permissions(self, old: os.stat_result) -> None:
        """Copy the permissions of another file and, where the system allows it, its owner."""
        if not hasattr(os, "fchown"):  # Windows
            return
        mine, mode = os.fstat(self._handle), stat.S_IMODE(old.st_mode)
        if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
            try:
                os.fchown(self._handle, old.st_uid, old.st_gid)
            except OSError:
                mode &= 0o777  # setuid would run it with the rights of the wrong user
                with suppress(OSError):
                    os.fchown(self._handle, -1, old.st_gid)
        with suppress(OSError):  # some file systems have no permissions
            os.fchmod(self._handle, mode)

    def move_to(self, target: Path) -> None:
        """Rename the file to ``target``, and wait until the new name is on the disk."""
        if fcntl is None:  # Windows moves no open file
            self._close()
        os.replace(self._path, target)
        sync_folder(target.parent)

    def close(self) -> None:
        """Close the file; remove it unless it was moved."""
        # Unlinked while it is locked: after that, another process may remove it as a leftover.
        if fcntl is None:
            self._close()
        with suppress(OSError):
            os.unlink(self._path)
        self._close()

    def _close(self) -> None:
        if self._handle >= 0:
            if hasattr(self, "file"):
                with suppress(OSError):  # its buffer may hold data that could not be written
                    self.file.close()
            handle, self._handle = self._handle, -1
            with suppress(OSError):
                os.close(handle)


class _Raw(io.FileIO):
    """A raw file that keeps the error of a failed write."""

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system supports it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders; elsewhere, reading it may be forbidden
        return
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # not supported
            raise


def _opened(folder: Path, prefix: str, mode: int) -> tuple[int, Path]:
    """Create a file with an unused name, and lock it."""
    for _ in range(_TRIES):
        path = folder / f"{prefix}{secrets.token_hex(8)}.part"
        try:
            handle = os.open(path, _FLAGS, mode)
        except FileExistsError:
            continue
        # Before it was locked, another process may have removed it as a leftover.
        if lock(handle) is not False and os.fstat(handle).st_nlink:
            return handle, path
        with suppress(OSError):
            os.unlink(path)
        os.close(handle)
    raise FileExistsError(errno.EEXIST, f"{_TRIES} temporary files could not be made")


def lock(handle: int) -> bool | None:
    """Lock an open file; return False if another process has the lock, None without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _prefix(target: Path) -> str:
    """Return the start of a target's temporary names; short, even if the target's name is long."""
    return f".xpnet-{sha256(os.fsencode(target.name)).hexdigest()[:16]}"


@cache
def _machine() -> str:
    """Return an id of this boot of this machine, since locks work only between its processes."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        name = os.fsencode(platform.node())
    return sha256(name).hexdigest()[:8]


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left, for any target."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (name := _NAME.fullmatch(entry.name)) is not None:
                with suppress(OSError):
                    _remove_if_left(Path(entry.path), name[1], -math.inf)


def _remove_leftovers(folder: Path, prefix: str, now: float) -> None:
    """Remove the temporary files that processes which have ended left for a target.

    ``now`` is the time of the file system's clock, which may be that of another machine.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(f"{prefix}-") and entry.name.endswith(".part"):
                with suppress(OSError):
                    _remove_if_left(Path(entry.path), entry.name.split("-")[2], now)


def _remove_if_left(path: Path, machine: str, now: float) -> None:
    # The name may belong to a pipe or a link: do not wait for a pipe, or follow a link.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return
    handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return
        locked = lock(handle)
        if locked is False:
            return
        if (locked and machine == _machine()) or now - status.st_mtime > OLD:
            if fcntl is None:
                os.close(handle)
                handle = -1
            os.unlink(path)
    finally:
        if handle >= 0:
            os.close(handle)
