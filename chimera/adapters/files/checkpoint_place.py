"""Checkpoints in a folder: one file a tenant, one checkpoint a line."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from chimera.adapters.files.durable import locked, sync_folder
from chimera.errors import AuditContradicted, AuditUnavailable, CheckpointConflict
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.ports import checkpoint_place as port

_SUFFIX = ".jsonl"
# Longer than any checkpoint.
_TAIL_BYTES = 4096


class CheckpointPlace(port.CheckpointPlace):
    """Best on another machine's disk, where nobody who can write to the database can write."""

    readable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def append(self, checkpoint: Checkpoint) -> None:  # noqa: D102  see the port
        path = self._path(checkpoint.tenant_id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(path, os.O_RDWR | os.O_CREAT) as descriptor:
                last, end = _last(descriptor, path)
                if last is not None and last.digest == checkpoint.digest:
                    return
                if last is not None and (checkpoint.previous, checkpoint.number) != (last.digest, last.number + 1):
                    raise CheckpointConflict(
                        f"{path} ends with checkpoint {last.number}, which {checkpoint.number} does not follow"
                    )
                # What a loss of power left of a line that was never confirmed.
                os.ftruncate(descriptor, end)
                os.pwrite(descriptor, f"{checkpoint.text}\n".encode(), end)
                os.fsync(descriptor)
            sync_folder(self._folder)
        except OSError as exc:
            raise self._unavailable("written", path, exc) from exc

    def last(self, tenant_id: str) -> Checkpoint | None:  # noqa: D102
        path = self._path(tenant_id)
        try:
            with locked(path, os.O_RDONLY, shared=True) as descriptor:
                return _last(descriptor, path)[0]
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unavailable("read", path, exc) from exc

    def read(self, tenant_id: str) -> Iterator[Checkpoint]:  # noqa: D102
        path = self._path(tenant_id)
        if path.exists():
            yield from read_checkpoints(path)

    def tenants(self) -> set[str]:  # noqa: D102
        try:
            return {path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}")}
        except OSError as exc:
            raise self._unavailable("read", self._folder, exc) from exc

    def check(self) -> None:  # noqa: D102
        probe = self._folder / f".probe.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe.write_text("can this be written?\n")
            probe.unlink()
            for path in self._folder.glob(f"*{_SUFFIX}"):
                os.close(os.open(path, os.O_RDWR))
        except OSError as exc:
            raise self._unavailable("written", self._folder, exc) from exc

    def _path(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}{_SUFFIX}"

    def _unavailable(self, done: str, path: Path, exc: OSError) -> AuditUnavailable:
        return AuditUnavailable(
            f"checkpoints cannot be {done} at {path} ({exc.strerror}): mend that, or name another place in "
            "CHIMERA_CHECKPOINTS"
        )


def read_checkpoints(path: Path) -> Iterator[Checkpoint]:
    """The checkpoints of a file, one a line; half a line at its end was never confirmed, and is left out.

    Raises:
        AuditUnavailable: it cannot be read.
        AuditContradicted: a line of it is no checkpoint.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith("\n"):
                    yield _parsed(line, f"{path}, line {number}")
    except OSError as exc:
        raise AuditUnavailable(f"the checkpoints in {path} cannot be read ({exc.strerror})") from exc


def _last(descriptor: int, path: Path) -> tuple[Checkpoint | None, int]:
    """The last whole line's checkpoint, and where that line ends."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - 2 * _TAIL_BYTES)
    lines, newline, rest = os.pread(descriptor, size - start, start).rpartition(b"\n")
    end = size - len(rest)
    if not newline:
        if start > 0:
            raise AuditContradicted(f"{path} does not end with a checkpoint: bring the file back as it was")
        return None, 0
    text = lines.rpartition(b"\n")[2].decode("utf-8", "replace")
    return _parsed(text, f"the last line of {path}"), end


def _parsed(text: str, where: str) -> Checkpoint:
    try:
        return parse_checkpoint(text)
    except ValidationError:
        raise AuditContradicted(f"{where}: this is no checkpoint; bring the file back as it was") from None
