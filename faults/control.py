"""An honest client beside a fault, in a process of its own: an echo every 20 ms on one connection, each timed."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time

from faults.peers import REQUEST, TEXT, masked, percentile

PAUSE = 0.02  # seconds between two echoes


class Control:
    """Starts it, and has its verdict when ``stop`` was called."""

    def __init__(self, port: int, path: str = "/echo") -> None:
        command = [sys.executable, "-m", "faults.control", str(port), path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it is connected
        self.times: list[float] = []
        self.error = ""

    def stop(self) -> None:
        """Ends it."""
        said, _ = self._process.communicate("", timeout=30)
        self.times, self.error = json.loads(said)

    @property
    def verdict(self) -> str:
        """What it saw, in words."""
        return self.error or f"p99 {1000 * percentile(self.times, 0.99):.0f} ms of {len(self.times)}"


def main(port: int, path: str) -> None:
    """Asks and times until the standard input ends."""
    times: list[float] = []
    error = ""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(REQUEST % path.encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 101")
        sys.stdout.write("\n")
        sys.stdout.flush()
        try:
            while not select.select([sys.stdin], [], [], PAUSE)[0]:
                begin = time.monotonic()
                sock.sendall(masked(TEXT, b"hello"))
                data = b""
                while b"hello" not in data:
                    more = sock.recv(65536)
                    if not more:
                        raise ConnectionError("closed")
                    data += more
                times.append(time.monotonic() - begin)
        except OSError as lost:
            error = f"{type(lost).__name__} {lost}"
    sys.stdin.read()
    sys.stdout.write(json.dumps([times, error]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
