"""Frames: JSON texts with their length before them, over a stream between a worker and a host."""

import socket
import struct

_LENGTH = struct.Struct("!Q")


class BadFrame(Exception):
    """What came is no frame, or is too large."""


def send(sock: socket.socket, text: bytes) -> None:
    """Sends one frame.

    Raises:
        OSError: the other end is gone.
    """
    sock.sendall(_LENGTH.pack(len(text)) + text)


class Frames:
    """Takes frames off a stream, whose pieces come as they please."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> None:
        """Takes what was read."""
        self._buffer += piece

    def next(self) -> bytes | None:
        """The next whole frame, if it is there.

        Raises:
            BadFrame: its length is above the limit; nothing of it is kept.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self.max_bytes:
            raise BadFrame(f"a frame of {length} bytes, and at most {self.max_bytes} are taken")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return frame
