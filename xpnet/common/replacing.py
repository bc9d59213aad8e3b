"""Replacing a file completely or not at all, even if the process is killed."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from .temporary import TemporaryFile

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ADVICE = {
    errno.EFBIG: ("no file may be that large here", "give a path on another disk"),
    errno.ELOOP: ("it is a symbolic link that leads back to itself", "remove the link"),
    errno.ENAMETOOLONG: ("its name is too long for this disk", "give a shorter one"),
    errno.ENOTDIR: ("what should be its folder is a file", "give another path"),
}
"""What is wrong and what to do, by error number."""

_PROBE = bytes(4096)


class NotAPlainFileError(OSError):
    """The path belongs to a folder, a device, a pipe or a socket, which are not replaced."""


class _FolderError(NotAPlainFileError, IsADirectoryError):
    """The path belongs to a folder."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file for writing that replaces ``path`` when the block ends.

    Even if the process is killed or the power fails, ``path`` has either its old or its new
    content, complete. An exception in the block leaves the old file as it was. If several processes
    or threads write to a path at the same time, it gets the content of one of them.

    The new file gets the old one's permissions and, where the system allows it, its owner; without
    an old file, the permissions that the umask allows. A symbolic link stays, and the file that it
    points to is replaced. Hard links to the old file keep the old content.

    Parameters
    ----------
    path : str or path-like
        Resolved before the block begins, so the block may change the current folder.

    Yields
    ------
    binary file
        A temporary file in the folder of ``path``, open for writing.

    Raises
    ------
    NotAPlainFileError
        ``path`` is a folder (the error is an ``IsADirectoryError``, too), a device, a pipe or a
        socket.
    PermissionError
        The existing file, or its folder, may not be written.
    FileNotFoundError
        The folder does not exist.
    OSError
        The file cannot be written, or the disk is full. The message names ``path``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "note.txt")
    ...     with replacing(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_bytes()
    b'whole'
    """
    target = _target(path)
    with _explained(path):
        old = _status(target)
        # Nobody who cannot read the old file may read the new one.
        temporary = TemporaryFile(target, 0o666 if old is None else 0o600)
    try:
        try:
            yield cast(BinaryIO, temporary.file)
        except Exception as error:
            if temporary.failure is None:
                raise
            raise _explanation(path, temporary.failure) from error
        with _explained(path):
            old = _status(target) or old
            if old is not None:
                temporary.copy_permissions(old)
            temporary.sync()
            temporary.move_to(target)
    finally:
        temporary.close()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise the error that :func:`replacing` would raise, before there is anything to write.

    The file at ``path`` does not change. A small file is written to its folder and removed again,
    because permissions alone do not show full disks, quotas and read-only disks.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    OSError
        As :func:`replacing`.

    Examples
    --------
    >>> check_writable("none/net.safetensors")
    Traceback (most recent call last):
        ...
    FileNotFoundError: none/net.safetensors could not be written: there is no folder none: make \
it first, or give another path
    """
    target = _target(path)
    with _explained(path):
        temporary = TemporaryFile(target, 0o600)
        try:
            temporary.file.write(_PROBE)
            temporary.sync()
        finally:
            temporary.close()


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the path with links resolved; refuse what :func:`replacing` cannot replace."""
    with _explained(path):
        if os.fspath(path).endswith(("/", os.sep)):
            raise _FolderError("it ends in a slash, like the path of a folder: give a file")
        old = _status(Path(path))
        target = Path(os.path.realpath(path))
        if old is None and not target.parent.is_dir():
            # As the user wrote it, unless a link leads to another folder.
            folder = target.parent if os.path.islink(path) else Path(path).parent
            raise FileNotFoundError(
                f"there is no folder {folder}: make it first, or give another path"
            )
        if old is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file there is write-protected")
    return target


def _status(path: Path) -> os.stat_result | None:
    """Return the status of the file at a path, or None if there is no file; refuse others."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise _FolderError("it is a folder: give the path of a file in it")
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
        raise NotAPlainFileError(f"it is {kind}: give the path of a file")
    return status


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Replace an OSError by one whose message names the path and says what to do."""
    try:
        yield
    except OSError as error:
        raise _explanation(path, error) from error


def _explanation(path: str | os.PathLike[str], error: OSError) -> OSError:
    reason, advice = error.strerror, "check the disk for errors, or give another path"
    if error.errno is None:  # raised in this module, with advice
        reason, advice = str(error), ""
    elif error.errno in _FULL:
        folder = os.path.dirname(os.path.realpath(path))
        reason, advice = "the disk is full", f"free space in {folder}, or give another path"
    elif error.errno in _DENIED:
        advice = "allow writing to it and to its folder, or give another path"
    elif error.errno in _ADVICE:
        reason, advice = _ADVICE[error.errno]
    message = f"{os.fspath(path)} could not be written: {reason}"
    explained = type(error)(f"{message}: {advice}" if advice else message)
    explained.errno = error.errno  # without a strerror, str() gives the message alone
    return explained
