"""Keys in a folder: the private one that signs (PEM), and a JSON list of the public ones; both mode 0600."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter, ValidationError

from chimera.adapters.files.durable import locked, replace
from chimera.errors import AuditUnavailable, Conflict, InvalidInput
from chimera.models.audit.checkpoint import Checkpoint, UnsignedCheckpoint, sign
from chimera.models.audit.export import ExportHeader, sign_header
from chimera.models.audit.trust import TrustedKey, key_id_of, new_key, trust_fault
from chimera.ports import key_ring as port
from chimera.ports.clock import Clock

SIGNING_KEY = "signing.pem"
PUBLIC_KEYS = "keys.json"
_KEYS = TypeAdapter(tuple[TrustedKey, ...])
_ROTATE = "`chimera audit key rotate --lost` makes a new one"


class KeyRing(port.KeyRing):
    """Signs with the private key, as long as it is the present one of the public keys."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def trusted(self) -> tuple[TrustedKey, ...]:  # noqa: D102  see the port
        path = self._path(PUBLIC_KEYS)
        try:
            return parse_keys(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise AuditUnavailable(
                f"the public keys in {path} cannot be read ({exc.strerror}): bring the file back, or make the first "
                "key with `chimera audit key new`"
            ) from exc
        except ValueError as exc:
            raise AuditUnavailable(f"{path} is not a list of public keys: bring the file back ({exc})") from None

    def sign(self, draft: UnsignedCheckpoint) -> Checkpoint:  # noqa: D102
        with self._signing() as (private, _):
            return sign(draft, private, self._clock.now())

    def sign_header(self, draft: ExportHeader) -> ExportHeader:  # noqa: D102
        with self._signing() as (private, keys):
            return sign_header(draft.model_copy(update={"keys": keys}), private, self._clock.now())

    def check(self) -> TrustedKey:
        """The present key, if it could sign now; raises as `sign`."""
        keys = self.trusted()
        key_id = key_id_of(self._private(keys).public_key().public_bytes_raw().hex())
        return next(key for key in keys if key.key_id == key_id)

    def exists(self) -> bool:
        """Whether there is a key, or a file in the place of one."""
        return any(self._path(name).exists() for name in (SIGNING_KEY, PUBLIC_KEYS))

    def create(self) -> TrustedKey:
        """Makes the first key.

        Raises:
            Conflict: there is one already, or a file is in its place.
        """
        paths = [self._path(name) for name in (SIGNING_KEY, PUBLIC_KEYS)]
        for path in paths:
            if path.exists():
                raise Conflict(f"{path} exists already: `chimera audit key rotate` replaces the key")
        paths[0].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._make(())

    def rotate(self, *, lost: bool = False) -> TrustedKey:
        """Makes a new key, which the one before announces; that one is retired, and its private side is gone.

        Args:
            lost: the private key is lost or not to be trusted: the new one is not announced by it, and whoever
                verifies has to be told of the new one.

        Raises:
            AuditUnavailable: the keys cannot be read.
        """
        self.trusted()
        with locked(self._path(PUBLIC_KEYS), os.O_RDONLY):
            keys = self.trusted()
            return self._make(keys, None if lost else self._private(keys))

    @contextmanager
    def _signing(self) -> Iterator[tuple[Ed25519PrivateKey, tuple[TrustedKey, ...]]]:
        """The present key with all public ones: whoever rotates waits for what is being signed."""
        self.trusted()  # says what is wrong with the file, if anything is
        # What is signed is dated with the lock held.
        with locked(self._path(PUBLIC_KEYS), os.O_RDONLY, shared=True):
            keys = self.trusted()
            yield self._private(keys), keys

    def _make(self, keys: tuple[TrustedKey, ...], before: Ed25519PrivateKey | None = None) -> TrustedKey:
        private, at = Ed25519PrivateKey.generate(), self._clock.now()
        made = new_key(private, at, before)
        retired = [key if key.retired_at else key.model_copy(update={"retired_at": at}) for key in keys]
        # The public side first: if this breaks off in between, signing says that the key is not the present one, and
        # `rotate --lost` mends it.
        replace(self._path(PUBLIC_KEYS), keys_text((*retired, made)))
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace(self._path(SIGNING_KEY), pem.decode())
        return made

    def _private(self, keys: tuple[TrustedKey, ...]) -> Ed25519PrivateKey:
        """The private side of the present key."""
        path = self._path(SIGNING_KEY)
        try:
            if path.stat().st_mode & 0o077:
                raise AuditUnavailable(f"the signing key {path} can be read by others: chmod 600 {path}")
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as exc:
            raise AuditUnavailable(
                f"the signing key {path} cannot be read ({exc.strerror}): bring it back, or if it is lost {_ROTATE}"
            ) from exc
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditUnavailable(f"{path} holds no Ed25519 private key: bring it back, or if it is lost {_ROTATE}")
        key_id = key_id_of(key.public_key().public_bytes_raw().hex())
        known = {trusted.key_id: trusted for trusted in keys}.get(key_id)
        if known is None or known.retired_at is not None:
            what = "is not in" if known is None else "is a retired one in"
            raise AuditUnavailable(
                f"the key {key_id} of {path} {what} {PUBLIC_KEYS} beside it: bring back the present key, or if it is "
                f"lost {_ROTATE}"
            )
        return key

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise AuditUnavailable(
                "CHIMERA_AUDIT_KEYS is not set: name the folder of the keys that sign checkpoints (`chimera audit key "
                "new` makes the first)"
            )
        return self._folder / name


def keys_text(keys: tuple[TrustedKey, ...]) -> str:
    """The keys as a file keeps them: a JSON list, oldest first."""
    return _KEYS.dump_json(keys, indent=2).decode() + "\n"


def parse_keys(text: str) -> tuple[TrustedKey, ...]:
    """Keys from a JSON list.

    Raises:
        NoKeys: the text is none, or one key's announcement by another is not that; the message says where.
    """
    try:
        keys = tuple(sorted(_KEYS.validate_json(text), key=lambda key: key.created_at))
    except ValidationError as exc:
        fault = exc.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise NoKeys(f"key {where}: {fault['msg']}" if where else fault["msg"]) from None
    if fault_of_all := trust_fault(keys):
        raise NoKeys(fault_of_all)
    return keys


class NoKeys(InvalidInput, ValueError):
    """These are no public keys."""
