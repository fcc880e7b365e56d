import socket
import threading
import time
from collections.abc import Iterator

import pytest

from chimera.chaos.proxy import LOOPBACK, Link


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers with what it is sent; its port."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    end, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(end,), daemon=True).start()

        def answer(end: socket.socket) -> None:
            with end:
                try:
                    while data := end.recv(65_536):
                        end.sendall(data)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    link = Link(echo).start()
    yield link
    link.stop()


@pytest.fixture
def client(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, link.port), timeout=5) as client:
        assert said(client, b"hello") == b"hello"
        yield client


def said(client: socket.socket, text: bytes) -> bytes:
    """The answer to a text, to its last byte."""
    client.sendall(text)
    answer = b""
    while len(answer) < len(text) and (data := client.recv(65_536)):
        answer += data
    return answer


def test_much_passes_whole_and_in_order(client: socket.socket) -> None:
    text = b"".join(number.to_bytes(4, "big") for number in range(100_000))
    answers = []
    reader = threading.Thread(target=lambda: answers.append(received(client, len(text))))
    reader.start()
    client.sendall(text)
    reader.join(10)
    assert answers == [text]


def received(client: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        answer += client.recv(65_536)
    return answer


def test_a_slow_link_takes_its_time_each_way(link: Link, client: socket.socket) -> None:
    link.slow(0.1)
    began = time.monotonic()
    assert said(client, b"slow") == b"slow"
    assert 0.2 <= time.monotonic() - began < 2
    link.heal()
    began = time.monotonic()
    assert said(client, b"quick") == b"quick"
    assert time.monotonic() - began < 0.1


def test_a_cut_resets_every_connection_and_lets_new_ones_through(link: Link, client: socket.socket) -> None:
    assert link.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection((LOOPBACK, link.port), timeout=5) as again:
        assert said(again, b"again") == b"again"


@pytest.mark.parametrize("kept", [0, 3])
def test_a_dropped_reply_ends_its_connection_after_some_bytes(link: Link, client: socket.socket, kept: int) -> None:
    link.drop_reply(kept)
    client.sendall(b"the work is done")
    answer: list[bytes] = []
    with pytest.raises(ConnectionResetError):
        read_on(client, answer)
    assert b"".join(answer) == b"the"[:kept]
    with socket.create_connection((LOOPBACK, link.port), timeout=5) as again:
        assert said(again, b"again") == b"again"


def test_what_is_sent_into_a_partition_arrives_after_it(link: Link, client: socket.socket) -> None:
    link.part()
    client.sendall(b"late")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    link.heal()
    client.settimeout(5)
    assert client.recv(100) == b"late"


def test_nobody_connects_through_a_partition(link: Link, client: socket.socket) -> None:
    link.part()
    time.sleep(0.05)
    with socket.socket() as newcomer:
        newcomer.settimeout(0.3)
        with pytest.raises(TimeoutError):
            newcomer.connect((LOOPBACK, link.port))
    link.heal()
    with socket.create_connection((LOOPBACK, link.port), timeout=5) as again:
        assert said(again, b"again") == b"again"
    assert said(client, b"still here") == b"still here"


def test_a_server_that_is_down_resets_whoever_connects() -> None:
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        link = Link(unused.getsockname()[1]).start()

    def connect() -> None:
        with socket.create_connection((LOOPBACK, link.port), timeout=5) as client:
            client.recv(1)

    try:
        with pytest.raises(ConnectionResetError):
            connect()
    finally:
        link.stop()


def read_on(client: socket.socket, answer: list[bytes]) -> None:
    while True:
        answer.append(client.recv(100))
