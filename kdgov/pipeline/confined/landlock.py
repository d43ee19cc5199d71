"""Landlock: the Linux kernel's own way for a process to give up rights that no code it runs later gets back.

Used here so that a process reads no file below some folders and writes only below others; a process so confined also reads neither memory
nor environment of any process outside, whoever owns it, and sends none of them a signal (https://docs.kernel.org/userspace-api/landlock.html).
Names of files stay visible, and the network is not touched.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES, _DROP_FROM_BOUND = 38, 24
_CAPABILITIES = 0x20080522
_GIVEN_UP = (5, 16, 17, 18, 19, 21, 22, 27, 38, 39, 40)
"""kill, sys_module, sys_rawio, sys_chroot, sys_ptrace, sys_admin, sys_boot, mknod, perfmon, bpf, checkpoint_restore."""
_WRITE_FILE, _READ_FILE = 1 << 1, 1 << 2
_CHANGES = sum(1 << bit for bit in range(4, 13))
"""Removing and making of every kind of file."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_NO_SOCKET, _NO_SIGNAL = 1, 2


def is_available() -> bool:
    """Whether this kernel can confine a process."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and _version() > 0


def confine(*, hidden: Sequence[Path], writable: Sequence[Path]) -> bool:
    """Confine this process, and all that it starts, for good; False where the kernel cannot.

    Args:
        hidden: files and folders that are not read any more.
        writable: files and folders below which is still written; what does not exist is left out.

    Raises:
        OSError: if the kernel can and refuses.
    """
    if not is_available():
        return False
    version = _version()
    writing = _WRITE_FILE | _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    scoped = _NO_SOCKET | _NO_SIGNAL if version >= 6 else 0
    attributes = struct.pack("=QQQ", writing | _READ_FILE, 0, scoped)[: 24 if version >= 6 else 8]
    rules = _called(_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in _readable(Path("/"), tuple({path.resolve() for path in hidden})):
            _allow(rules, path, _READ_FILE)
        for path in writable:
            _allow(rules, path.resolve(), writing)
        _give_up_privileges()
        _called(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return True


def _readable(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """Everything but what is hidden: whole folders where nothing below is, else their parts. A link leads to what has a rule of its own."""
    inside = tuple(path for path in hidden if folder in path.parents)
    if not inside:
        yield folder
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.is_symlink() or path in hidden:
                continue
            yield from _readable(path, inside) if entry.is_dir() else (path,)


def _allow(rules: int, path: Path, rights: int) -> None:
    with suppress(OSError):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            kept = rights if stat.S_ISDIR(os.fstat(opened).st_mode) else rights & _OF_FILES
            _called(_ADD, rules, _PATH_BENEATH, ctypes.c_char_p(struct.pack("=Qi", kept, opened)), 0)
        finally:
            os.close(opened)


def _give_up_privileges() -> None:
    """Root alone holds what reads memory and devices past any confinement (CAP_PERFMON suffices for another's environment)."""
    library = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES, 0), 8)
    held = ctypes.create_string_buffer(24)
    if library.capget(header, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    words = struct.unpack("=6I", held.raw)
    given_up = sum(1 << number for number in _GIVEN_UP)
    masks = [~given_up & 0xFFFFFFFF] * 3 + [~(given_up >> 32) & 0xFFFFFFFF] * 3
    kept = ctypes.create_string_buffer(struct.pack("=6I", *(word & mask for word, mask in zip(words, masks, strict=True))), 24)
    for number in _GIVEN_UP:
        # Refused where nothing is held anyway.
        library.prctl(_DROP_FROM_BOUND, number, 0, 0, 0)
    if library.capset(header, kept) != 0 or library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "privileges cannot be given up")


def _version() -> int:
    try:
        return _called(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def _called(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
