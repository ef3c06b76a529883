"""gunicorn with our worker, in processes of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from tests.interop.serving import ROOT

APP = "tests.interop.stock:create_app()"
START_TIMEOUT = 20  # seconds


@contextmanager
def run(
    *options: str,
    command: tuple[str, ...] = ("-c", "from greenws.cli import main; main()", "run"),
    app: str = APP,
    **environ: str,
) -> Iterator[SimpleNamespace]:
    """Runs ``greenws run`` until the block ends.

    Args:
        options: further ones, of gunicorn, too.
        command: what Python is given in place of it.
        app: what is served.
        environ: for the processes.

    Yields:
        What has the ``port``, the ``process``, the ``workers`` (their ids), and the ``log``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile() as log:
        arguments = [*command, f"--bind=127.0.0.1:{port}", *options, app]
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdout=log, stderr=log, env=os.environ | environ
        )
        read = Path(log.name).read_text

        def workers() -> list[int]:
            return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]

        with process:
            try:
                wait_for(lambda: is_open(port) or process.poll() is not None)
                assert process.poll() is None, read()
                yield SimpleNamespace(port=port, process=process, workers=workers, log=read)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                finally:
                    process.kill()


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: object, timeout: float = START_TIMEOUT) -> None:
    """Waits until it holds."""
    until = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)
