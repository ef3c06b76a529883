"""What each of the ``SocketOptions`` does, measured: it prints the table of docs/sockets.md.

Run it by ``python -m benchmarks.sockets``. Everything goes over the loopback interface. What needs a peer that vanishes
runs in a network of its own, whose loopback interface is switched off; that takes Linux, root, ``unshare`` and ``ip``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
from gevent import socket, ssl

import greenws
from benchmarks.certificate import make_certificate
from greenws import SocketOptions
from greenws.client.dial import dial
from greenws.client.names import Names
from greenws.net.options import prepare_to_connect, prepare_to_listen
from greenws.protocol.handshake import accept_key

ROUNDS = 30
DEFAULTS = SocketOptions()


@contextmanager
def serve(script: Callable[[socket.socket], object], options: SocketOptions = DEFAULTS) -> Iterator[int]:
    """A server that runs a script for each connection; its port."""
    listener = socket.socket()
    prepare_to_listen(listener, options)
    listener.bind(("127.0.0.1", 0))
    listener.listen(options.backlog)

    def take() -> None:
        while True:
            greenlets.append(gevent.spawn(script, listener.accept()[0]))

    greenlets = [gevent.spawn(take)]
    try:
        yield listener.getsockname()[1]
    finally:
        gevent.killall(greenlets)
        listener.close()


def milliseconds(
    action: Callable[[], object], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Returns the median time of an action."""
    times = []
    for _ in range(rounds):
        begin = clock()
        action()
        times.append(clock() - begin)
    return statistics.median(times) * 1000


def nodelay() -> tuple[str, str]:
    """Two small writes and an answer, as a header and its payload are."""

    def answer(sock: socket.socket) -> None:
        while sock.recv(1) and sock.recv(1):
            sock.sendall(b"x")

    found = []
    with serve(answer) as port:
        for is_on in (False, True):
            sock = dial("127.0.0.1", port, SocketOptions(nodelay=is_on), Names())

            def ask(sock: socket.socket = sock) -> None:
                sock.sendall(b"a")
                sock.sendall(b"b")
                sock.recv(1)

            found.append(f"{milliseconds(ask):.2f} ms an exchange of two writes and an answer")
            sock.close()
    return found[0], found[1]


def fast_open() -> tuple[str, str]:
    """In a network of its own, where a server may take data with a SYN: many systems do not let it."""
    off, _, on = in_a_network_of_its_own("fast_open").partition("; ")
    return off, on


def open_fast() -> None:
    """Sends a first byte with a connection of its own and waits for an answer. Prints how it went, off and on."""
    found = []
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")
    with serve(lambda sock: (sock.recv(1), sock.sendall(b"x")), SocketOptions(fast_open=True)) as port:
        for is_on in (False, True):
            options = SocketOptions(fast_open=is_on)

            def ask(options: SocketOptions = options) -> None:
                sock = dial("127.0.0.1", port, options, Names())
                sock.sendall(b"a")
                sock.recv(1)
                sock.close()

            ask()  # fetches the cookie
            before = netstat("TCPFastOpenActive")
            for _ in range(300):
                ask()
            found.append(f"of 300 first bytes {netstat('TCPFastOpenActive') - before} went with the SYN")
    print("; ".join(found))


def netstat(name: str) -> int:
    """Returns one of the kernel's TCP counters."""
    names, values = Path("/proc/net/netstat").read_text().splitlines()[:2]
    return int(dict(zip(names.split(), values.split(), strict=True))[name])


def tls_resumption() -> tuple[str, str]:
    """Connects again and again, over TLS."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        trusting = ssl.create_default_context(cafile=certificate.root)
    found = []
    with serve(lambda sock: accept(context.wrap_socket(sock, server_side=True))) as port:
        for is_on in (False, True):
            options = SocketOptions(tls_resumption=is_on)

            def connect(options: SocketOptions = options) -> None:
                greenws.connect(f"wss://localhost:{port}/", ssl=trusting, socket_options=options).abort()

            connect()
            took = milliseconds(connect, 200, time.process_time)
            found.append(f"{took:.2f} ms of CPU for a connection, client and server together")
    return found[0], found[1]


def accept(sock: socket.socket) -> None:
    """Does a server's handshake, then waits for the end."""
    head = sock.recv(4096).decode()
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    lines = ["HTTP/1.1 101 x", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_key(key)}"]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    sock.recv(1)
    sock.close()


def buffers() -> tuple[str, str]:
    """How much the kernel takes for a peer that reads nothing."""
    found = []
    for size in (None, 16384):
        options = SocketOptions(send_buffer=size, receive_buffer=size)
        with serve(lambda sock: gevent.sleep(10), options) as port:
            sock = dial("127.0.0.1", port, options, Names())
            sock.setblocking(False)
            taken = 0
            try:
                while True:
                    taken += sock.send(bytes(65536))
            except BlockingIOError:
                pass
            sock.close()
        found.append(f"{taken // 1024} KiB taken for a peer that reads nothing")
    return found[0], found[1]


def backlog() -> tuple[str, str]:
    """How many of 1,000 that come while the server is busy are connected at once."""
    found = []
    for size in (128, 4096):
        listener = socket.socket()
        prepare_to_listen(listener, SocketOptions())
        listener.bind(("127.0.0.1", 0))
        listener.listen(size)
        clients = []
        for _ in range(1000):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            clients.append(client)
        gevent.sleep(0.2)
        connected = sum(1 for client in clients if is_connected(client))
        found.append(f"{size}: {connected} of 1,000 connected while the server does not accept")
        for client in [*clients, listener]:
            client.close()
    return found[0], found[1]


def is_connected(sock: socket.socket) -> bool:
    """Whether a socket has a peer."""
    try:
        return bool(sock.getpeername())
    except OSError:
        return False


def reuse_address() -> tuple[str, str]:
    """Listens on the port of a server that has just ended, with a connection that it closed."""
    found = []
    for is_on in (False, True):
        options = SocketOptions(reuse_address=is_on)
        with serve(lambda sock: sock.close(), options) as port:
            client = dial("127.0.0.1", port, SocketOptions(), Names())
            client.recv(1)
            client.close()
        again = socket.socket()
        prepare_to_listen(again, options)
        try:
            again.bind(("127.0.0.1", port))
            found.append("a restarted server can listen at once")
        except OSError as error:
            found.append(f"a restarted server: {error.strerror}")
        again.close()
    return found[0], found[1]


def reuse_port() -> tuple[str, str]:
    """Two sockets that listen on one port, 1,000 connections."""
    counts = [0, 0]
    options = SocketOptions(reuse_port=True)
    listeners = [socket.socket(), socket.socket()]
    port = 0
    for index, listener in enumerate(listeners):
        prepare_to_listen(listener, options)
        listener.bind(("127.0.0.1", port))
        port = listener.getsockname()[1]
        listener.listen(4096)
        listener.setblocking(False)
        del index
    clients = [dial("127.0.0.1", port, SocketOptions(), Names()) for _ in range(1000)]
    for index, listener in enumerate(listeners):
        try:
            while True:
                listener.accept()[0].close()
                counts[index] += 1
        except BlockingIOError:
            pass
    for sock in [*clients, *listeners]:
        sock.close()
    return "a second process cannot listen", f"1,000 connections over two listeners: {counts[0]} and {counts[1]}"


def vanish(what: str) -> None:
    """How long until a peer that is gone is noticed. Prints seconds."""
    options = SocketOptions(user_timeout=2) if what == "user_timeout" else SocketOptions()
    if what == "keepalive":
        options = SocketOptions(keepalive_idle=2, keepalive_interval=1, keepalive_count=3)
    with serve(lambda sock: gevent.sleep(100)) as port:
        sock = socket.socket()
        prepare_to_connect(sock, options)
        sock.connect(("127.0.0.1", port))
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        begin = time.monotonic()
        if what != "keepalive":
            sock.sendall(b"x")
        try:
            with gevent.Timeout(30, False):
                sock.recv(1)
            print("not within 30 s")
        except OSError as error:
            print(f"{time.monotonic() - begin:.1f} s ({error.strerror})")


def in_a_network_of_its_own(what: str) -> str:
    """Runs this file with an argument there and returns what it printed."""
    command = ["unshare", "-n", sys.executable, "-m", "benchmarks.sockets", what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    return done.stdout.strip() or f"not measured: {done.stderr.strip().splitlines()[-1]}"


def user_timeout() -> tuple[str, str]:
    """A peer that is gone, behind a send."""
    return tuple(
        f"a peer that is gone is noticed behind a send: {in_a_network_of_its_own(what)}"
        for what in ("none", "user_timeout")
    )


def keepalive() -> tuple[str, str]:
    """A peer that is gone, and nothing is sent."""
    return (
        "never noticed without a send or a ping",
        f"2 s, 1 s, 3: noticed after {in_a_network_of_its_own('keepalive')}",
    )


def main() -> None:
    """Prints the table."""
    if len(sys.argv) > 1:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if sys.argv[1] == "fast_open":
            open_fast()
        else:
            vanish(sys.argv[1])
        return
    print("| option | off, or as the system has it | on |\n|---|---|---|")
    for measure in (
        nodelay,
        keepalive,
        user_timeout,
        buffers,
        fast_open,
        tls_resumption,
        backlog,
        reuse_address,
        reuse_port,
    ):
        off, on = measure()
        print(f"| `{measure.__name__}` | {off} | {on} |", flush=True)


if __name__ == "__main__":
    main()
