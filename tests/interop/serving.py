"""Serves an application in a process of its own, for clients that do not run on gevent.

``serve`` is for the tests. ``python -m tests.interop.serving MODULE:FACTORY PORT`` is that process.
It prints its port and serves until its standard input ends; so it never outlives who started it, however that ended.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT = 5  # seconds


@contextmanager
def serve(factory: str, port: int = 0, **settings: object) -> Iterator[SimpleNamespace]:
    """Serves what ``factory`` (``module:function``) makes, on 127.0.0.1.

    Args:
        factory: makes the application.
        port: 0 is any free one.
        settings: of GreenWS, for an application that reads its environment.

    Yields:
        What has the ``port``, the ``pid``, the ``url`` of a WebSocket route (``server.url("/echo")``), and the ``log``.
    """
    environ = os.environ | {f"FLASK_GREENWS_{name.upper()}": json.dumps(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "tests.interop.serving", factory, str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.NamedTemporaryFile() as log:
        read_log = Path(log.name).read_text  # by its name, for to move within ``log`` would move the server, too

        with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log, **pipes) as process:
            try:
                line = process.stdout.readline()
                assert line, f"the server did not start:\n{read_log()}"
                yield SimpleNamespace(
                    port=int(line), pid=process.pid, url=f"ws://127.0.0.1:{int(line)}".__add__, log=read_log
                )
            finally:
                process.stdin.close()
                try:
                    process.wait(STOP_TIMEOUT)
                finally:
                    process.kill()
        assert process.returncode == 0, read_log()


def main() -> None:
    from gevent import monkey

    monkey.patch_all()

    import signal
    from importlib import import_module

    from gevent.os import tp_read

    from greenws.server import WSGIServer

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us beside the tests, which then stop us
    module, _, factory = sys.argv[1].partition(":")
    app = getattr(import_module(module), factory)()
    server = WSGIServer(("127.0.0.1", int(sys.argv[2])), app, log=None)
    server.start()
    print(server.server_port, flush=True)
    while tp_read(sys.stdin.fileno(), 1):
        pass
    server.stop(1)


if __name__ == "__main__":
    main()
