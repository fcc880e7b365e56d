"""Checkpoints sent to a web address: one POST each, JSON."""

import http
import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import ValidationError

from chimera.errors import AuditUnavailable, CheckpointConflict
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.ports import checkpoint_place as port

TIMEOUT_SECONDS = 5.0
# Longer than any checkpoint.
MAX_BYTES = 4096
# Answers of a receiver that keeps none, or does not say what it keeps.
_HAS_NONE = {204, 404, 405, 501}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is meant for one address is not sent to another."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


class CheckpointPlace(port.CheckpointPlace):
    """A receiver answers 2xx once it keeps the checkpoint, also when it is told the last one again; and 409 to one that
    does not follow the last that it keeps, by `number` and `previous`. To a GET with `?tenant=` it answers 200 and the
    last that it keeps, or 404; one that cannot is never asked what it keeps.
    """

    readable = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        # Without user, password and query, which may be secrets.
        self.name = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        self._opener = urllib.request.build_opener(_NoRedirects)

    def append(self, checkpoint: Checkpoint) -> None:  # noqa: D102  see the port
        code, _ = self._ask(self._url, checkpoint.text.encode())
        if code == http.HTTPStatus.CONFLICT:
            raise CheckpointConflict(
                f"{self.name} keeps other checkpoints than those that checkpoint {checkpoint.number} of tenant "
                f"{checkpoint.tenant_id!r} follows"
            )
        if code >= 300:
            raise self._unavailable(f"it answered {code}")

    def last(self, tenant_id: str) -> Checkpoint | None:  # noqa: D102
        parts = urlsplit(self._url)
        query = "&".join(filter(None, [parts.query, urlencode({"tenant": tenant_id})]))
        code, text = self._ask(urlunsplit(parts._replace(query=query)))
        if code in _HAS_NONE:
            return None
        if code != http.HTTPStatus.OK:
            raise self._unavailable(f"it answered {code}")
        try:
            return parse_checkpoint(text)
        except ValidationError:
            return None  # a receiver that answers a GET with something of its own

    def read(self, tenant_id: str) -> Iterator[Checkpoint]:  # noqa: D102
        if kept := self.last(tenant_id):
            yield kept

    def tenants(self) -> set[str]:  # noqa: D102
        return set()

    def check(self) -> None:  # noqa: D102
        try:
            socket.create_connection((self._host, self._port), TIMEOUT_SECONDS).close()
        except OSError as exc:
            raise self._unavailable(exc.strerror or type(exc).__name__) from None

    def _ask(self, url: str, data: bytes | None = None) -> tuple[int, str]:
        """The answer's code and text; a POST where there is data."""
        request = urllib.request.Request(  # noqa: S310  the scheme is looked at where the place is made
            url,
            data=data,
            headers={"Content-Type": "application/json", "User-Agent": "chimera-checkpoints"},
            method="POST" if data else "GET",
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read(MAX_BYTES).decode("utf-8", "replace")
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code, ""
        except (OSError, http.client.HTTPException) as exc:
            raise self._unavailable(str(getattr(exc, "reason", None) or type(exc).__name__)) from None

    def _unavailable(self, why: str) -> AuditUnavailable:
        return AuditUnavailable(
            f"checkpoints cannot be sent to {self.name} ({why}): mend that, or name another place in "
            "CHIMERA_CHECKPOINTS"
        )
