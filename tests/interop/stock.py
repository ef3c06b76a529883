"""Serves an application on servers that are not ours, each in a process of its own.

``python -m tests.interop.stock FD`` is such a process, with ``gevent.pywsgi.WSGIServer``.
"""

import gc
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask, Response, got_request_exception, request
from gunicorn.config import Config

from greenws import Connection, Endpoint, GreenWS
from greenws.server.lifetime import find_servers, find_worker
from tests.interop.app import Echo, echo
from tests.interop.serving import ROOT, STOP_TIMEOUT

APP = "tests.interop.stock:create_app()"
# Later versions of gunicorn would open a socket in the home folder.
OPTIONS = ["--no-control-socket"] if "control_socket_disable" in Config().settings else []


class Hinting(Endpoint):
    """Has gunicorn send an interim response first."""

    def on_open(self, conn: Connection) -> None:
        request.environ["wsgi.early_hints"]([("Link", "</style.css>")])


class Outer:
    """A middleware that adds a header and, like an error tracker, looks at what passes."""

    def __init__(self, app: Flask) -> None:
        self._inner = app.wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Outer", "1")], *rest)

        try:
            return self._inner(environ, start)
        except BaseException as error:
            track(self, error)
            raise


def track(sender: object, exception: BaseException, **extra: object) -> None:
    """What an error tracker sees is an error in the log."""
    print(f"error tracked: {exception!r}", file=sys.stderr, flush=True)


def create_app() -> Flask:
    """Echoes behind a guard, a cookie, an error tracker and a middleware."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "plain", endpoint="index")
    app.add_url_rule("/servers", view_func=lambda: str(len(find_servers(find_worker()))), endpoint="servers")
    app.add_url_rule("/frozen", view_func=lambda: str(gc.get_freeze_count()), endpoint="frozen")
    ws = GreenWS(app)
    ws.route("/event")(Echo)
    ws.route("/blocking")(echo)
    ws.route("/lean", endpoint="lean", request_context=False)(Echo)
    ws.route("/lean-blocking", endpoint="lean-blocking", request_context=False)(echo)
    ws.route("/hinting")(Hinting)

    @app.before_request
    def guard() -> tuple[str, int] | None:
        return ("not you", 401) if "X-Refuse" in request.headers else None

    @app.after_request
    def add_cookie(response: Response) -> Response:
        response.set_cookie("seen", "yes")
        return response

    got_request_exception.connect(track, app)
    app.wsgi_app = Outer(app)  # type: ignore[method-assign]
    return app


@contextmanager
def serve(kind: str, *options: str, app: str = APP, environ: dict[str, str] | None = None) -> Iterator[SimpleNamespace]:
    """Serves an application until the block ends.

    Args:
        kind: a worker class of gunicorn; or "pywsgi".
        options: for gunicorn.
        app: which gunicorn serves.
        environ: added to the environment.

    Yields:
        What has the ``port`` and the ``process``, and the server's logs: ``errors()`` and ``access()``.
    """
    with tempfile.NamedTemporaryFile() as errors, tempfile.NamedTemporaryFile() as access:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            port, fd = listener.getsockname()[1], listener.fileno()
            arguments = ["tests.interop.stock", str(fd)]
            if kind != "pywsgi":
                arguments = ["gunicorn", *OPTIONS, "-k", kind, f"--bind=fd://{fd}", "--access-logfile=-", *options, app]
            process = subprocess.Popen(
                [sys.executable, "-um", *arguments],
                cwd=ROOT,
                env=os.environ | (environ or {}),
                stdout=access,
                stderr=errors,
                pass_fds=[fd],
            )
        with process:
            try:
                yield SimpleNamespace(
                    port=port, process=process, access=Path(access.name).read_text, errors=Path(errors.name).read_text
                )
            finally:
                process.terminate()
                try:
                    process.wait(2 * STOP_TIMEOUT)
                finally:
                    process.kill()


def worker_pid(pid: int) -> int:
    """The process that serves: gunicorn's one worker, or the server itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def main() -> None:
    from gevent import monkey

    monkey.patch_all()

    import signal

    import gevent
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(socket.socket(fileno=int(sys.argv[1])), create_app(), log=sys.stdout)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.serve_forever()


if __name__ == "__main__":
    main()
