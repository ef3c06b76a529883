"""An application in processes of its own, which end with us. Linux only."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import gevent
from gevent import socket
from gevent.subprocess import DEVNULL, Popen, TimeoutExpired

from greenws.errors import LoadFailed

START_TIMEOUT = 60.0  # seconds until it must answer
STOP_TIMEOUT = 15.0  # seconds in which it may end by itself
LOOK = 0.05  # seconds between two attempts
QUESTION = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
# The kernel sends it TERM when we die, even by KILL (PR_SET_PDEATHSIG is 1, see prctl(2)).
PROGRAM = "import ctypes; ctypes.CDLL(None).prctl(1, 15); from greenws.cli import main; main()"


@contextmanager
def serve(application: str, *options: str, workers: int = 1, chdir: str | None = None) -> Iterator[tuple[int, int]]:
    """Runs an application by ``greenws run``, on a free port of 127.0.0.1, until the block ends, in whichever way.

    Blocks the greenlet until it answers, and at the end until it has ended.

    Args:
        application: as ``greenws run`` takes it.
        options: further ones for gunicorn.
        workers: processes that serve.
        chdir: the folder of the application.

    Yields:
        The process and the port.

    Raises:
        LoadFailed: it does not start; with its last words.
    """
    with socket.socket() as place, tempfile.TemporaryFile() as log:
        # Bound and not listening: it keeps the port for those who share it, and gets none of their connections.
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        ours = [f"--bind=127.0.0.1:{port}", f"--workers={workers}", "--reuse-port", "--log-level=warning"]
        ours += [f"--chdir={chdir}"] if chdir else []
        command = [sys.executable, "-c", PROGRAM, "run", application, *ours, *options]
        # In a session of its own: Ctrl+C is for us, and we end it.
        process = Popen(command, stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(process, port, log)
            yield process.pid, port
        finally:
            _end(process)


def _wait_for(process: Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Waits until something is answered, an error included."""
    until = time.monotonic() + START_TIMEOUT
    while not _is_answering(port):
        if process.poll() is not None:
            raise LoadFailed(f"the application did not start: {_last_words(log)}")
        if time.monotonic() > until:
            raise LoadFailed(f"the application did not answer within {START_TIMEOUT:.0f} s: {_last_words(log)}")
        gevent.sleep(LOOK)


def _is_answering(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_TIMEOUT) as sock:
            sock.sendall(QUESTION)
            return bool(sock.recv(1))
    except OSError:
        return False


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").strip().splitlines()[-15:])


def _end(process: Popen[bytes]) -> None:
    """Ends it in good order, or after a while in any."""
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT)
    except TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()
