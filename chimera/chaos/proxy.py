"""A TCP link that can be slow, cut, or gone for a while, as a network's can."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 65_536
_BACKLOG = 128
# Close with a reset: whatever was not delivered is gone, and the other side learns it at once.
_RESET = struct.pack("ii", 1, 0)


class Link:
    """A listening port of this machine, and the server behind it; every connection goes through here.

    All methods may be called from any thread and return when the change is in force.
    """

    def __init__(self, target_port: int) -> None:
        self._target = (LOOPBACK, target_port)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link-{self.port}", daemon=True)
        self._passable = asyncio.Event()
        self._delay_seconds = 0.0
        # Bytes of the next reply that still arrive; None while no reply is to be dropped.
        self._reply_bytes: int | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._fillers: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> Self:
        """Begins to take connections."""
        self._thread.start()
        self._do(self._open)
        return self

    def stop(self) -> None:
        """Ends every connection and the port."""
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def slow(self, seconds: float) -> None:
        """Delays every chunk by these seconds, each way."""
        self._do(lambda: setattr(self, "_delay_seconds", seconds))

    def cut(self) -> int:
        """Resets every connection, and returns how many there were; new ones go through."""
        return int(self._do(self._reset_all))

    def drop_reply(self, after_bytes: int = 0) -> None:
        """Cuts the server's next reply after this number of bytes, with its connection: it did what it was asked."""
        self._do(lambda: setattr(self, "_reply_bytes", after_bytes))

    def part(self) -> None:
        """Nothing passes any more, and nobody is told: what is sent waits, who connects gets no answer."""
        self._do(self._part)

    def heal(self) -> None:
        """Undoes all of the above; what waited arrives now."""
        self._do(self._heal)

    def _do(self, change: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return change()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _open(self) -> None:
        self._passable.set()
        self._accepting = self._spawn(self._accept())

    def _part(self) -> None:
        if not self._passable.is_set():
            return
        self._passable.clear()
        if self._accepting is not None:
            self._accepting.cancel()
        # With its queue full the kernel drops what else wants to connect, as a lost packet would be.
        self._listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, self.port))
            self._fillers.append(filler)

    def _heal(self) -> None:
        self._delay_seconds, self._reply_bytes = 0.0, None
        if self._passable.is_set():
            return
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._listener.listen(_BACKLOG)
        self._open()

    def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._reset_all()
        for filler in self._fillers:
            filler.close()
        self._listener.close()

    def _reset_all(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            if end.fileno() < 0:
                continue
            self._loop.remove_reader(end.fileno())
            self._loop.remove_writer(end.fileno())
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self._spawn(self._connect(client))

    async def _connect(self, client: socket.socket) -> None:
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, server)
        self._pairs.add(pair)
        try:
            await self._loop.sock_connect(server, self._target)
        except OSError:
            self._reset(pair)  # the server is down: so is whoever connects through here
            return
        self._spawn(self._pump(pair, client, server, reply=False))
        self._spawn(self._pump(pair, server, client, reply=True))

    async def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket, *, reply: bool
    ) -> None:
        try:
            while data := await self._loop.sock_recv(source, _CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                await self._passable.wait()
                if reply and self._reply_bytes is not None:
                    kept, self._reply_bytes = data[: self._reply_bytes], None
                    await self._loop.sock_sendall(sink, kept)
                    break
                await self._loop.sock_sendall(sink, data)
            await self._passable.wait()
        except OSError:
            pass
        # One end has gone: the other learns it when the link lets it.
        self._reset(pair)
