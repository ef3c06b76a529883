"""``greenws run`` and our worker in gunicorn's process model: how it ends, reloads and listens."""

import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.interop.gunicorns import run, wait_for
from tests.interop.stock import serve
from tests.interop.test_stock import HELLO, Peer
from tests.wire import CLOSE, TEXT, frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="workers are found in /proc"),
]


def is_told(peer: Peer, code: int) -> None:
    """The peer gets this Close, and after its answer the end."""
    peer.until(b"\x88\x02" + code.to_bytes(2, "big"))
    peer.send(frame(CLOSE, code.to_bytes(2, "big")))
    assert peer.rest() == b""


def peers(stack: ExitStack, port: int, count: int = 10, **options: object) -> list[Peer]:
    found = [stack.enter_context(Peer(port, **options)) for _ in range(count)]
    for peer in found:
        assert peer.head()[0] == 101
    return found


def sockets_of(pid: int) -> int:
    return sum(file.is_socket() for file in Path(f"/proc/{pid}/fd").iterdir())


def test_term_tells_everybody_1001_and_closes_the_listener_first() -> None:
    with run("--workers=2") as server, ExitStack() as stack:
        found = peers(stack, server.port)
        server.process.send_signal(signal.SIGTERM)
        for peer in found:
            is_told(peer, 1001)
        assert server.process.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        assert "Traceback" not in server.log()


def test_collections_pass_over_what_the_application_is_made_of() -> None:
    with run() as server, urlopen(f"http://127.0.0.1:{server.port}/frozen", timeout=10) as answer:
        assert int(answer.read()) > 10_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["int", "quit"])
def test_a_quick_end_is_told_too(number: int) -> None:
    with run() as server, ExitStack() as stack:
        found = peers(stack, server.port)
        server.process.send_signal(number)
        for peer in found:
            is_told(peer, 1001)
        server.process.wait(10)
        assert "Traceback" not in server.log()


def test_hup_tells_the_old_1012_while_the_new_serve() -> None:
    with run("--workers=2") as server, ExitStack() as stack:
        wait_for(lambda: len(server.workers()) == 2)
        found, old = peers(stack, server.port), set(server.workers())
        server.process.send_signal(signal.SIGHUP)
        for peer in found:
            is_told(peer, 1012)
        wait_for(lambda: not old & set(server.workers()))
        (peer,) = peers(stack, server.port, 1, early=frame(TEXT, b"hello"))
        peer.until(HELLO)
        server.process.send_signal(signal.SIGTERM)
        is_told(peer, 1001)


def test_hup_under_a_stock_worker_tells_1012() -> None:
    with serve("gevent") as server, ExitStack() as stack:
        found = peers(stack, server.port)
        server.process.send_signal(signal.SIGHUP)
        for peer in found:
            is_told(peer, 1012)


@pytest.mark.parametrize("kind", ["ours", "gevent"])
def test_after_max_requests_upgrades_too_a_worker_is_replaced(kind: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(
            run("--max-requests=10") if kind == "ours" else serve("gevent", "--max-requests=10")
        )
        for peer in peers(stack, server.port, 10):
            is_told(peer, 1012)
        (peer,) = peers(stack, server.port, 1, early=frame(TEXT, b"hello"))
        peer.until(HELLO)


def test_kill_9_of_one_worker_leaves_those_of_the_other() -> None:
    with run("--workers=2") as server, ExitStack() as stack:
        found: list[Peer] = []

        def both_have_some() -> bool:  # a worker that is there may not accept yet
            found.extend(peers(stack, server.port, 1))
            return len(server.workers()) == 2 and all(sockets_of(worker) > 10 for worker in server.workers())

        wait_for(both_have_some)
        victim = server.workers()[0]
        subprocess.run(["kill", "-9", str(victim)], check=True)
        wait_for(lambda: len(server.workers()) == 2 and victim not in server.workers())
        peers(stack, server.port, 5)
        lost = 0
        for peer in found:
            try:
                peer.send(frame(TEXT, b"hello"))
                peer.until(HELLO)
            except (AssertionError, OSError):
                lost += 1
        assert 0 < lost < len(found)


def test_several_addresses_a_unix_socket_a_shared_port_and_a_preloaded_application(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with run(f"--bind=unix:{path}", "--preload", "--workers=2", "--access-log") as server, ExitStack() as stack:
        (peer,) = peers(stack, server.port, 1, early=frame(TEXT, b"hello"))
        peer.until(HELLO)
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.settimeout(10)
        local.connect(str(path))
        peer.socket.close()
        peer.socket = local
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.head()[0] == 200
        assert '"GET /event HTTP/1.1" 101' in server.log()


def test_a_configuration_file_and_a_port_of_each_worker(tmp_path: Path) -> None:
    file = tmp_path / "conf.py"
    file.write_text("workers = 2\nreuse_port = True\n")
    with run(f"--config={file}") as server, ExitStack() as stack:
        wait_for(lambda: len(server.workers()) == 2)
        found = peers(stack, server.port, 40)
        server.process.send_signal(signal.SIGHUP)
        for peer in found:
            is_told(peer, 1012)


def make_certificate(folder: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {folder}/key -out {folder}/certificate"
    )
    subprocess.run(command.split(), check=True, capture_output=True)


def test_hup_reads_the_certificate_again(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with run(f"--certfile={tmp_path}/certificate", f"--keyfile={tmp_path}/key") as server, ExitStack() as stack:
        first = (tmp_path / "certificate").read_text()
        (peer,) = peers(stack, server.port, 1, certificate=tmp_path / "certificate")
        old = set(server.workers())
        make_certificate(tmp_path)
        server.process.send_signal(signal.SIGHUP)
        is_told(peer, 1012)
        wait_for(lambda: not old & set(server.workers()))
        assert ssl.get_server_certificate(("127.0.0.1", server.port)) != first
        (peer,) = peers(stack, server.port, 1, certificate=tmp_path / "certificate", early=frame(TEXT, b"hello"))
        peer.until(HELLO)
