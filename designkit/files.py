"""Reading text files and writing any file, such that every failure says what, where and what to do.

Reading refuses what is not plain UTF-8 text of a reasonable size. Writing is atomic and durable: whoever
looks at a path, even after a power cut, sees the whole old file or the whole new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

from designkit.errors import InputRefused, Problem, StorageError

TEMPORARY_PREFIX = ".designkit-"
"""Files that `write_durably` has not finished begin with this; a run may delete those it finds."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_STORAGE_ADVICE = {
    errno.ENOSPC: "free some space there or choose another place with --out; then run the same command again",
    errno.EDQUOT: "free some of your quota there or choose another place with --out; then run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f) or choose another place with --out",
    errno.EACCES: "change its permissions, or choose a folder that you may write to with --out",
    errno.EPERM: "change its permissions, or choose a folder that you may write to with --out",
    errno.EROFS: "choose a folder on a disk that can be written to with --out",
    errno.EIO: "the disk reports a fault: copy what is there to another disk and continue from the copy",
    errno.ENOENT: "create the folder first, or choose another one with --out",
    errno.ENOTDIR: "part of this path is a file: choose another place with --out",
    errno.EISDIR: "a folder stands where a file must go: move it away",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}


def read_text(path: Path, *, max_bytes: int) -> str:
    """The text of a UTF-8 file, with `\\n` as the only line end and without a byte order mark.

    At most `max_bytes` + 1 bytes are read, so that a device or a huge file costs nothing. Raises
    InputRefused when the file is missing, unreadable, too large, not UTF-8, or holds control characters.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise InputRefused(_unreadable(path, error)) from None
    if len(data) > max_bytes:
        raise InputRefused(
            Problem(
                code="file-too-large",
                message=f"the file is larger than {_megabytes(max_bytes)}",
                file=str(path),
                fix="split it into several files, and give them all on the command line",
            )
        )
    return decode_text(data, name=str(path))


def decode_text(data: bytes, *, name: str) -> str:
    """Bytes as `read_text` reads them; `name` is what an error calls their source."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputRefused(
            Problem(
                code="file-encoding",
                message="the file is UTF-16, not UTF-8",
                file=name,
                fix="save it as UTF-8 in your editor",
            )
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With a byte order mark the reported offset counts from behind it.
        offset = error.start + len(data) - len(error.object)
        raise InputRefused(
            Problem(
                code="file-encoding",
                message=f"byte 0x{data[offset]:02x} at offset {offset} is not UTF-8 text",
                file=name,
                line=data.count(b"\n", 0, offset) + 1,
                fix="save the file as UTF-8 in your editor",
            )
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    stranger = find_control_character(text)
    if stranger is not None:
        raise InputRefused(
            Problem(
                code="control-character",
                message=f"control character U+{ord(text[stranger]):04X} at column {_column(text, stranger)}",
                file=name,
                line=text.count("\n", 0, stranger) + 1,
                fix="delete it; only text, line ends and tabs belong in this file",
            )
        )
    return text


def find_control_character(text: str) -> int | None:
    """The offset of the first character that is no text (control characters, half a surrogate pair), if any."""
    match = _NO_TEXT.search(text)
    return match.start() if match else None


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that it is there whole or not at all, and stays there after a power cut.

    A temporary file beside it is written, synced and renamed over `path`, and the folder is synced.
    Raises StorageError, and leaves no temporary file behind then.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from error
    sync_folder(path.parent)


def append_durably(path: Path, line: bytes) -> None:
    """Add `line` to the end of the file at `path` (made if missing) and wait until the disk has it.

    Raises StorageError; what was half written by then is taken back, as far as the disk allows.
    """
    try:
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            length_before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                _truncate(descriptor, length_before)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(path, error) from error
    if is_new:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the folder's list of names; raises StorageError.

    Network file systems that know no such request keep their own promises, and are not an error.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """The StorageError that tells a user what an OSError at an output place means and what to do."""
    reason = (error.strerror or str(error)).lower()
    advice = _STORAGE_ADVICE.get(error.errno or 0, "choose another place with --out")
    return StorageError(Problem(code="storage", message=f"cannot be written: {reason}", file=str(path), fix=advice))


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _truncate(descriptor: int, length: int) -> None:
    # The first error is the one to report; readers skip an unfinished last line.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, length)


def _unreadable(path: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(
            code="file-missing", message="there is no such file", file=str(path), fix="check the path for typing slips"
        )
    if isinstance(error, IsADirectoryError):
        return Problem(
            code="file-is-folder", message="this is a folder, not a file", file=str(path), fix="name a file inside it"
        )
    reason = (error.strerror or str(error)).lower()
    return Problem(
        code="file-unreadable",
        message=f"the file cannot be read: {reason}",
        file=str(path),
        fix="check its permissions and that its disk is there",
    )


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:g} MB" if num_bytes >= 100_000 else f"{num_bytes} bytes"


def _column(text: str, offset: int) -> int:
    return offset - (text.rfind("\n", 0, offset) + 1) + 1
