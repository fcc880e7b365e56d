"""Landlock: what a process and its children may do with files from now on. Linux since 5.13; needs no privilege."""

import ctypes
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from chimera.adapters.host import limits

_LIBC = ctypes.CDLL(None, use_errno=True)
# Numbers and bits of linux/landlock.h.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _DEVICES = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
# What may be allowed of something that is no folder.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICES
_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_BITS_NOW = 16
# Abstract sockets and signals: not to processes outside of the domain.
_SCOPES = 3
SIGNALS_SINCE = 6

LIST = _READ_DIR
WRITE = _WRITE_FILE | _TRUNCATE | _DEVICES
READ = _EXECUTE | _READ_FILE | _READ_DIR


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none, or it is switched off."""
    return max(0, int(_LIBC.syscall(_CREATE, None, 0, _VERSION)))


def everything() -> int:
    """All rights that this kernel knows."""
    return (1 << _BITS.get(version(), _BITS_NOW)) - 1


def restrict(rules: Iterable[tuple[str, int]]) -> None:
    """Allows this process, and all it starts from now on, what the rules say and nothing else, for good.

    With the second generation of scopes (6.12) it signals no process that is not restricted in the same way or further.

    Args:
        rules: paths, with the rights to what is beneath them; those that are not there are left out.

    Raises:
        OSError: the kernel refuses.
    """
    known, all_rights = version(), everything()
    ruleset = _Ruleset(files=all_rights, scoped=_SCOPES if known >= SIGNALS_SINCE else 0)
    size = 8 if known < 4 else 16 if known < SIGNALS_SINCE else 24
    handle = _checked(_LIBC.syscall(_CREATE, ctypes.byref(ruleset), size, 0))
    try:
        for path, rights in rules:
            with suppress(FileNotFoundError, PermissionError, NotADirectoryError):
                _add(handle, path, rights & all_rights)
        limits.gain_no_privileges()  # without which it is not allowed
        _checked(_LIBC.syscall(_RESTRICT, handle, 0))
    finally:
        os.close(handle)


def _add(handle: int, path: str, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_FILES
        rule = _Rule(allowed=rights, folder=beneath)
        _checked(_LIBC.syscall(_ADD, handle, _BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(beneath)


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


# What has a key in it, by its name.
_KEYS = (".key", ".pem", ".p12", ".pfx")


def readable(folder: Path, secret: frozenset[Path]) -> Iterator[tuple[str, int]]:
    """Rules by which all beneath a folder can be read but what is secret.

    That is what is named so, what is hidden (`.env`, `.git`), what is called a key, and, where others may look into the
    folder, what they may not (mode 0600, 0700).
    """
    yield from _readable(folder, secret, others_may_look=_others_may(folder.stat()))


def _readable(folder: Path, secret: frozenset[Path], *, others_may_look: bool) -> Iterator[tuple[str, int]]:
    yield str(folder), LIST
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name.endswith(_KEYS) or path in secret:
            continue
        if others_may_look and not _others_may(entry.stat(follow_symlinks=False)):
            continue
        if entry.is_dir(follow_symlinks=False) and _has_secrets(path, secret):
            yield from _readable(path, secret, others_may_look=others_may_look)
        else:
            yield str(path), READ


def _others_may(status: os.stat_result) -> bool:
    return bool(status.st_mode & 0o077)


def _has_secrets(folder: Path, secret: frozenset[Path]) -> bool:
    return any(path.is_relative_to(folder) for path in secret)
