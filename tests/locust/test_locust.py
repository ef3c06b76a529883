"""What is done to locust itself: where it listens, its web UI, several processes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.locust.running import ENVIRON, run_locust, run_python

LOCUSTFILE = """
from locust import constant, task
from greenws.locust import WebSocketUser

class User(WebSocketUser):
    path = "/echo"
    wait_time = constant(0.1)

    @task
    def echo(self):
        self.request("hello")
"""

DEFAULTS = """
import json, os
import greenws.locust
from locust.argument_parser import get_parser

def hosts(*arguments, **environ):
    os.environ.update(environ)
    found = get_parser(default_config_files=[]).parse_args(list(arguments))
    return [found.web_host, found.master_bind_host]

print(json.dumps({
    "defaults": hosts(),
    "options": hosts("--web-host", "*", "--master-bind-host", "0.0.0.0"),
    "environment": hosts(LOCUST_WEB_HOST="10.0.0.1", LOCUST_MASTER_BIND_HOST="*"),
}))
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(50)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file.py").write_text(LOCUSTFILE)
    return tmp_path / "file.py"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_listens_on_loopback_unless_told(tmp_path: Path) -> None:
    assert run_python(DEFAULTS, tmp_path) == {
        "defaults": ["127.0.0.1", "127.0.0.1"],
        "options": ["*", "0.0.0.0"],
        "environment": ["10.0.0.1", "*"],
    }


def test_what_the_users_hold_is_not_looked_through_again(tmp_path: Path) -> None:
    source = "import gc, greenws.locust, locust; locust.events.spawning_complete.fire(user_count=1)"
    assert run_python(f"{source}; print(gc.get_freeze_count())", tmp_path) > 10_000


DELAYS = """
import json
from greenws.locust import WebSocketUser
from locust.env import Environment

class User(WebSocketUser):
    first_delay = 2.0

print(json.dumps([User(Environment()).delay_before_reconnect(code) for code in (None, 1006, 1012)]))
"""


def test_by_default_a_user_comes_back_as_a_good_client_does(tmp_path: Path) -> None:
    failed, lost, restarted = run_python(DELAYS, tmp_path)
    assert 0 <= failed <= 2
    assert 0 <= lost <= 2
    assert restarted >= 5  # what IANA's registry says of 1012


@pytest.fixture
def web(host: str, file: Path) -> Iterator[str]:
    """locust with its web UI, while a test runs."""
    port = free_port()
    command = [sys.executable, "-m", "locust", "-f", str(file), "--host", host, "--web-port", str(port)]
    command += ["-u", "5", "-r", "5", "--autostart", "--web-base-path", "/base"]
    with (file.parent / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=file.parent, env=ENVIRON, stdin=subprocess.DEVNULL, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/base"
        wait_for_open_connections(url)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


def rows(url: str) -> dict[str, str]:
    (table,) = json.loads(get(f"{url}/stats/requests"))["extended_stats"]
    assert table["key"] == "connections"
    return {row["figure"]: row["value"] for row in table["data"]}


def wait_for_open_connections(url: str) -> None:
    until = time.monotonic() + 25
    while time.monotonic() < until:
        try:
            if rows(url)["open now"] == "5":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("no connections were shown as open")


def test_web_ui_shows_connections(web: str) -> None:
    found = rows(web)
    assert found["most open at once"] == "5"
    assert found["opened"] == "5"
    assert found["dropped"] == "0"
    assert {"reconnects", "messages sent a second", "messages received a second"} <= set(found)
    arguments = re.search(r"window.templateArgs = (.*)", get(f"{web}/"))
    assert arguments
    shown = json.loads(arguments[1])
    assert shown["extended_tabs"] == [{"title": "Connections", "key": "connections"}]
    assert [table["key"] for table in shown["extended_tables"]] == ["connections"]
    until = time.monotonic() + 10
    while len(lines := get(f"{web}/connections/csv").splitlines()) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert lines[0].startswith("seconds,at,open,")
    assert len(lines) >= 2
    with pytest.raises(OSError, match="refused"):
        get(web.replace("127.0.0.1", "127.0.0.2") + "/")  # it listens nowhere else


@pytest.mark.parametrize("processes", [1, 2])
def test_without_a_host_the_run_ends_with_one_error(file: Path, tmp_path: Path, processes: int) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "-u", "20", "-r", "20"]
    if processes > 1:
        port = str(free_port())
        command += ["--processes", str(processes), "--master-bind-port", port, "--master-port", port]
    result = subprocess.run(
        command, cwd=tmp_path, env=ENVIRON, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert 1 <= result.stderr.count("ERROR/greenws.locust: there is no host: give --host") <= processes
    assert "Traceback" not in result.stderr


def test_workers_are_added_up(host: str, file: Path, tmp_path: Path) -> None:
    port = str(free_port())
    options = ("--processes", "2", "--master-bind-port", port, "--master-port", port, "-u", "6", "-r", "6", "-t", "5s")
    run = run_locust(file, host, tmp_path / "run", *options, "--min-open", "6", "--max-fail-ratio", "0")
    assert run.code == 0, run.log
    total = run.connections["total"]
    assert total["opened"] == run.count("WS", "connect") == 6
    assert run.connections["most_open"] == 6
    assert total["dropped"] == 0
    assert total["sent"] >= total["received"] > 6
    assert run.count("WSC", "request") > 6
