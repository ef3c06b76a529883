"""nginx in front of a server of the tests, with the file that docs/deploy has for everybody."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONF = Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf"
START_TIMEOUT = 5.0  # seconds

# What a machine's own nginx.conf has around the file: all that it would write goes into one folder.
AROUND = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/greenws.conf;
}}
"""


def find() -> str:
    path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        pytest.skip("there is no nginx (Debian: apt-get install nginx-light)")
    return path


def replace(text: str, old: str, new: str) -> str:
    assert old in text, f"{CONF.name} has no {old!r}"
    return text.replace(old, new)


@contextmanager
def in_front_of(port: int) -> Iterator[int]:
    """Yields the port of an nginx that passes on to ``port``."""
    program = find()
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        text = replace(CONF.read_text(encoding="utf-8"), "listen 80;", f"listen 127.0.0.1:{own};")
        text = replace(text, "server 127.0.0.1:8000;", f"server 127.0.0.1:{port};")
        Path(folder, "greenws.conf").write_text(text, encoding="utf-8")
        Path(folder, "nginx.conf").write_text(AROUND.format(folder=folder), encoding="utf-8")
        errors = Path(folder, "errors")
        with errors.open("wb") as log:
            command = [program, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"]
            process = subprocess.Popen(command, stderr=log)
        try:
            wait_for(own, process, errors)
            yield own
        finally:
            process.terminate()
            process.wait(START_TIMEOUT)
        assert process.returncode == 0, errors.read_text()


def wait_for(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < until, errors.read_text()
            time.sleep(0.01)
        else:
            return
