"""The files of docs/deploy: HAProxy runs with ours, the others are read by those they are for."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.interop.gunicorns import is_open, wait_for
from tests.interop.serving import ROOT
from tests.interop.stock import serve
from tests.interop.test_stock import HELLO, Peer
from tests.wire import CLOSE, TEXT, frame

FILES = ROOT / "docs" / "deploy"
pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=25)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def through_haproxy(tmp_path: Path) -> Iterator[int]:
    """The port of a HAProxy with our file, in front of two servers, of which one is down."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    port, down = free_port(), free_port()
    with serve("greenws.server.gunicorn.GreenWorker") as server:
        urlopen(f"http://127.0.0.1:{server.port}/", timeout=25).close()  # a worker that begins would be taken for down
        text = (FILES / "haproxy.cfg").read_text()
        for ours, theirs in (
            ("bind :80\n", f"bind 127.0.0.1:{port}\n"),
            ("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
            ("127.0.0.1:8001", f"127.0.0.1:{down}"),
            ("GET /ready", "GET /"),  # the page that the tests' application has
        ):
            assert ours in text
            text = text.replace(ours, theirs)
        file = tmp_path / "haproxy.cfg"
        file.write_text(text)
        run("haproxy", "-c", "-f", str(file))
        with subprocess.Popen(
            ["haproxy", "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as proxy:
            try:
                wait_for(lambda: is_open(port))
                yield port
            finally:
                proxy.kill()


def test_an_echo_through_haproxy(through_haproxy: int) -> None:
    for _ in range(4):  # whichever server it is meant for
        with Peer(through_haproxy, early=frame(TEXT, b"hello")) as peer:
            status, headers = peer.head()
            assert status == 101
            assert "X-Outer: 1".lower() in headers.lower()
            peer.until(HELLO)
            peer.send(frame(TEXT, b"hello"))
            peer.until(HELLO)
            peer.send(frame(CLOSE, b"\x03\xe8"))
            assert peer.rest() == b"\x88\x02\x03\xe8"


def test_a_refusal_through_haproxy_is_the_applications(through_haproxy: int) -> None:
    with Peer(through_haproxy, headers=b"X-Refuse: yes\r\n") as peer:
        assert peer.head()[0] == 401


def test_haproxy_reads_its_file() -> None:
    run("haproxy", "-c", "-f", str(FILES / "haproxy.cfg"))


def test_nginx_reads_its_file(tmp_path: Path) -> None:
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} "
        f"http {{ access_log off; include {FILES}/nginx.conf; }}"
    )
    run("nginx", "-t", "-q", "-c", str(whole))


def test_systemd_reads_its_unit(tmp_path: Path) -> None:
    text = (FILES / "greenws.service").read_text()
    command = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert command is not None
    unit = tmp_path / "greenws.service"  # the program must exist
    unit.write_text(text.replace(command[1], "/bin/true"))
    run("systemd-analyze", "verify", str(unit))


def test_the_graces_of_kubernetes_and_systemd_have_room_for_gunicorns() -> None:
    manifest, unit = (FILES / "kubernetes.yaml").read_text(), (FILES / "greenws.service").read_text()
    image = (FILES / "Containerfile").read_text()
    grace = int(re.findall(r"terminationGracePeriodSeconds: (\d+)", manifest)[0])
    wait = int(re.findall(r'\["sleep", "(\d+)"\]', manifest)[0])
    assert grace > wait + int(re.findall(r"--graceful-timeout=(\d+)", image)[0])
    stop = int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0])
    assert stop > int(re.findall(r"--graceful-timeout (\d+)", unit)[0])


def test_the_manifest_is_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    kinds = [part["kind"] for part in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())]
    assert kinds == ["Deployment", "Service"]
