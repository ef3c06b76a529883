"""The servers that are compared, and how each is started. A server that cannot run here says why."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
BUILT = ROOT / ".cache" / "bench"
GOCODE = Path("/usr/share/gocode/src/github.com")

ECHO = ("echo-100", "echo-1000", "pipelined", "binary")
ALL = (*ECHO, "handshake", "fanout-1000", "fanout-10000", "idle", "storm")


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        key, name: for programs, and for people.
        command: {port} is put in; {python} is ours, {gin} and {floor} are built.
        works: what it takes part in, by key.
        echo, fanout: the paths of its routes.
        modules: what must be installed.
        is_ours: whether it is GreenWS.
        environ: what its environment has beside ours.
    """

    key: str
    name: str
    command: str
    works: tuple[str, ...] = ALL
    echo: str = "/echo"
    fanout: str = "/fanout"
    modules: tuple[str, ...] = ()
    is_ours: bool = False
    environ: dict[str, str] = field(default_factory=dict)

    def arguments(self, port: int) -> list[str]:
        """The command to start it on a port."""
        built = {name: BUILT / name for name in ("gin", "floor")}
        return self.command.format(port=port, python=sys.executable, peers=PEERS, **built).split()


OWN = "{python} -m benchmarks.peers.greenws_own {port}"
GUNICORN = (
    "{python} -m gunicorn -k gevent --no-control-socket --log-level critical "
    "--worker-connections 20000 --backlog 4096 -b 127.0.0.1:{port} "
)
GO = {"GOMAXPROCS": "1"}
NODE = {"NODE_PATH": str(BUILT / "node_modules")}

SERVERS = (
    Server("greenws-event", "GreenWS, event style", OWN, (*ECHO, "idle"), "/event", is_ours=True),
    Server("greenws-lean", "GreenWS, lean", OWN, ALL, "/lean", is_ours=True),
    Server("greenws-blocking", "GreenWS, blocking style", OWN, (*ECHO, "idle"), "/blocking", is_ours=True),
    Server(
        "greenws-flask",
        "GreenWS, through Flask, session read",
        OWN + " user",
        ("handshake-user",),
        "/event",
        is_ours=True,
    ),
    Server(
        "greenws-visits",
        "GreenWS, through Flask, session written",
        OWN + " visits",
        ("handshake-user",),
        "/event",
        is_ours=True,
    ),
    Server("greenws-bare", "GreenWS, no app context", OWN + " bare", ("echo-100",), "/event", is_ours=True),
    Server("greenws-teardown", "GreenWS, with a teardown", OWN + " teardown", ("echo-100",), "/event", is_ours=True),
    Server(
        "greenws-deflate", "GreenWS, deflate negotiated", OWN + " deflate", ("idle-deflate",), "/event", is_ours=True
    ),
    Server("greenws-pings", "GreenWS, event style", OWN + " pings", ("pings",), "/event", is_ours=True),
    Server(
        "greenws-gunicorn",
        "GreenWS on stock gunicorn, event style",
        GUNICORN + "benchmarks.peers.greenws_app:app",
        ("echo-100", "handshake", "idle"),
        "/event",
        is_ours=True,
    ),
    Server("picows", "picows on uvloop", "{python} {peers}/picows_server.py {port}", modules=("picows", "uvloop")),
    Server(
        "picows-pings",
        "picows on uvloop",
        "{python} {peers}/picows_server.py {port} pings",
        ("pings",),
        modules=("picows", "uvloop"),
    ),
    Server("gin", "Gin and gorilla/websocket", "{gin} {port}", (*ALL, "handshake-user"), environ=GO),
    Server("gin-pings", "Gin and gorilla/websocket", "{gin} {port} pings", ("pings",), environ=GO),
    Server("ws", "ws on Node.js", "node {peers}/ws_server.cjs {port}", environ=NODE),
    Server(
        "websockets",
        "websockets on uvloop",
        "{python} {peers}/websockets_server.py {port}",
        modules=("websockets", "uvloop"),
    ),
    Server("aiohttp", "aiohttp on uvloop", "{python} {peers}/aiohttp_server.py {port}", modules=("aiohttp", "uvloop")),
    Server("uvicorn", "uvicorn on uvloop", "{python} {peers}/uvicorn_server.py {port}", modules=("uvicorn", "uvloop")),
    Server(
        "gevent-websocket",
        "gevent-websocket",
        "{python} {peers}/gevent_websocket_server.py {port}",
        modules=("geventwebsocket",),
    ),
    Server(
        "flask-sock",
        "Flask-Sock on gevent's server",
        "{python} {peers}/flask_sock_app.py {port}",
        modules=("flask_sock",),
    ),
    Server(
        "flask-sock-user",
        "Flask-Sock, session read",
        "{python} {peers}/flask_sock_app.py {port} user",
        ("handshake-user",),
        modules=("flask_sock",),
    ),
    Server(
        "flask-sock-visits",
        "Flask-Sock, session written",
        "{python} {peers}/flask_sock_app.py {port} visits",
        ("handshake-user",),
        modules=("flask_sock",),
    ),
    Server(
        "flask-sock-gunicorn",
        "Flask-Sock on gunicorn -k gevent",
        GUNICORN + "benchmarks.peers.flask_sock_app:create_app()",
        ("echo-100", "handshake", "idle"),
        modules=("flask_sock",),
    ),
    Server(
        "floor",
        "the system calls alone, in C",
        "{floor} {port}",
        ("echo-100", "echo-1000", "pipelined", "handshake", "fanout-1000", "fanout-10000", "storm"),
    ),
    Server("floor-pings", "the system calls alone, in C", "{floor} {port} pings", ("pings",)),
)


def missing(server: Server) -> str | None:
    """Builds what a server needs. Returns why it cannot run here, or None."""
    absent = [name for name in server.modules if importlib.util.find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} is not installed"
    if server.command.startswith("{gin}"):
        return _build_gin()
    if server.command.startswith("{floor}"):
        return _build_floor()
    if server.command.startswith("node"):
        return _install_ws()
    return None


def _build_gin() -> str | None:
    if shutil.which("go") is None or not (GOCODE / "gin-gonic/gin").is_dir() or not (GOCODE / "gorilla").is_dir():
        return "apt-get install golang-go golang-github-gin-gonic-gin-dev golang-github-gorilla-websocket-dev"
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    return _build(PEERS / "gin" / "main.go", BUILT / "gin", ["go", "build"], environ)


def _build_floor() -> str | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return "apt-get install gcc libc6-dev"
    return _build(PEERS / "floor.c", BUILT / "floor", [compiler, "-O3"], dict(os.environ))


def _build(source: Path, target: Path, command: list[str], environ: dict[str, str]) -> str | None:
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return None
    BUILT.mkdir(parents=True, exist_ok=True)
    built = subprocess.run([*command, "-o", target, source], env=environ, capture_output=True, text=True)
    return None if built.returncode == 0 else f"{command[0]} failed: {built.stderr.strip()[:200]}"


def _install_ws() -> str | None:
    if shutil.which("npm") is None:
        return "Node.js with npm is not installed"
    if (BUILT / "node_modules" / "ws").is_dir():
        return None
    BUILT.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", BUILT, "ws@8", "bufferutil@4"]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else f"npm install failed: {done.stderr.strip()[:200]}"
