"""Reading reviews from a folder or an archive with the layout of the Large Movie Review data set.

Archives may come from untrusted sources. A crafted archive must not take unlimited time or memory,
and a damaged one must not silently lose reviews. So content that Python's tarfile silently skips is
refused here.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn, Self, cast

from ..data.decompressing import DamagedFileError, Decompressed, decompressed

Group = tuple[str, str]
"""The part and the label of a review: the last two folders of its path."""

GROUPS = [(part, label) for part in ("train", "test") for label in ("neg", "pos")]

_MAX_EXTENDED = 2048
"""Maximum bytes of a header with a long name or other fields.

Before Python 3.11.10, tarfile takes time proportional to the square of this number.
"""
_LONGEST_NAME = 255  # the limit on all common systems
_BLOCK = 512


class Limits(NamedTuple):
    """Limits on the size of a source, beyond which it is refused.

    The archive of the data set has about 350 MB in 100,000 files. The reviews that are read have 65
    MB, the longest 14 KB, with about 100,000 different words. By default the limits are several
    times as high.
    """

    max_bytes: int

    @property
    def text(self) -> int:
        """Maximum bytes of all reviews together; by default 256 MiB."""
        return self.max_bytes // 4

    @property
    def review(self) -> int:
        """Maximum bytes of one review; by default 1 MiB."""
        return self.max_bytes // 1024

    @property
    def words(self) -> int:
        """Maximum number of different words; by default 4,194,304."""
        return self.max_bytes // 256

    @property
    def headers(self) -> int:
        """Maximum number of headers in an archive; by default 524,288."""
        return self.max_bytes // 2048

    @property
    def extended(self) -> int:
        """Maximum bytes of all headers with long names or other fields; by default 32 MiB."""
        return self.max_bytes // 32

    def check(self, source: Path, what: str, found: int, most: int) -> None:
        """Raise an error if ``found`` exceeds the limit ``most``."""
        if found > most:
            raise DamagedFileError(
                f"{source} has at least {found:,} {what}, but max_bytes={self.max_bytes:,} allows "
                f"{most:,}: give a larger max_bytes= to read it anyway"
            )


def reviews(source: Path, limits: Limits) -> Iterator[tuple[Group, str, bytes]]:
    """Yield group, file name and content of each review, in the order of the source.

    Raises
    ------
    DamagedFileError
        The source is damaged or exceeds a limit.
    """
    if source.is_dir():
        for part, label in GROUPS:
            for file in (source / part / label).glob("*.txt"):
                if is_review(file.name):
                    yield (part, label), file.name, _read_file(file, limits)
        return
    with decompressed(source, limits.max_bytes) as content:
        try:
            yield from _members(source, content, limits)
        except DamagedFileError:
            raise
        except OSError as error:
            if error.errno is not None:  # from the disk, not about the archive
                raise
            raise _no_archive(source, error) from error
        except (tarfile.TarError, ValueError, LookupError, RecursionError) as error:
            raise _no_archive(source, error) from error


def is_review(name: str) -> bool:
    """Whether a file of this name is a review; names that begin with a dot are hidden files."""
    return name.endswith(".txt") and not name.startswith(".")


def _read_file(file: Path, limits: Limits) -> bytes:
    if not file.is_file():  # reading a pipe or a device might never end
        raise DamagedFileError(f"{file} is not a file: expected a review")
    with file.open("rb") as stream:
        content = stream.read(limits.review + 1)
    limits.check(file, "bytes", len(content), limits.review)
    return content


def _no_archive(source: Path, error: Exception) -> DamagedFileError:
    return DamagedFileError(f"{source} is not a .tar.gz archive, or is damaged ({error})")


def _members(
    source: Path, content: Decompressed, limits: Limits
) -> Iterator[tuple[Group, str, bytes]]:
    """Yield the reviews of an archive, which is read once, as a stream."""
    member_class = _member_class(source, limits)
    with tarfile.open(fileobj=cast(Any, content), mode="r|", tarinfo=member_class) as archive:
        while (member := archive.next()) is not None:
            cast(Any, archive).members.clear()  # it would keep all headers in memory
            _check_size(member, limits)
            parts = PurePosixPath(member.name).parts
            if parts[-3:-1] not in GROUPS or not is_review(parts[-1]):
                continue
            if not member.isfile() or len(parts[-1]) > _LONGEST_NAME:
                raise tarfile.ReadError(
                    f"{member.name[-80:]!r} is a link or not a plain file: pack the files "
                    "themselves, with tar --hard-dereference --dereference"
                )
            limits.check(source, "bytes in a review", member.size, limits.review)
            file: Any = archive.extractfile(member)
            yield (parts[-3], parts[-2]), parts[-1], file.read()
        _check_end(cast(Any, archive).fileobj)


def _check_size(member: tarfile.TarInfo, limits: Limits) -> None:
    """Refuse invalid sizes in extended fields, which tarfile reads as 0 if they are not numbers."""
    written = member.pax_headers.get("size", "0")
    if not (written.isascii() and written.isdigit()) or not 0 <= member.size <= limits.max_bytes:
        raise _absurd(member.name, written if written != "0" else member.size)


def _absurd(name: str, size: object) -> tarfile.ReadError:
    return tarfile.ReadError(f"{name[:80]!r} of {str(size)[:40]} bytes")


def _check_end(stream: Any) -> None:
    """Refuse data after the end of the archive; reading on makes gzip compare its checksum."""
    while block := stream.read(1 << 16):
        if block.count(0) < len(block):
            raise tarfile.ReadError("data follow the end of the archive")


def _member_class(source: Path, limits: Limits) -> type[tarfile.TarInfo]:
    """Return a class of headers that refuses features which the data set's archive does not use.

    Its methods see each header before tarfile reads or skips the content that follows.
    """
    n_headers = n_extended = n_global = 0

    class Member(tarfile.TarInfo):
        """A header of an archive."""

        @classmethod
        def frombuf(cls, buf: Any, *arguments: Any) -> Self:
            """Read a header; raise ReadError for a damaged one, which would end the archive."""
            nonlocal n_headers, n_extended, n_global
            try:
                member = super().frombuf(buf, *arguments)
            except tarfile.HeaderError as error:
                if len(buf) == _BLOCK and not any(buf):  # the end of the archive
                    raise
                raise tarfile.ReadError(f"a damaged header: {error}") from error
            n_headers += 1
            limits.check(source, "headers", n_headers, limits.headers)
            if member.type == tarfile.GNUTYPE_SPARSE:
                member._refuse_sparse()
            is_file = member.type in tarfile.REGULAR_TYPES
            if not 0 <= member.size <= (limits.max_bytes if is_file else _MAX_EXTENDED):
                raise _absurd(member.name, member.size)
            if not is_file:
                n_extended += member.size
                limits.check(source, "bytes of extended headers", n_extended, limits.extended)
            if member.type == tarfile.XGLTYPE:  # applied by tarfile to all later members
                n_global += member.size
                if n_global > _MAX_EXTENDED:
                    raise tarfile.ReadError(f"global headers of {n_global} bytes")
            return member

        def _refuse_sparse(self, *_: Any) -> NoReturn:
            """Refuse a sparse file, whose map of holes may have any length."""
            raise tarfile.ReadError(f"{self.name[:80]!r} is a sparse file")

        # tarfile calls these methods for sparse files that extended fields describe.
        _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

    return Member
