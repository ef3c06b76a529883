"""A pool whose upstream resets, stalls, says goodbye and answers late, for as long as one likes.

``python -m tests.client.faults 50000`` runs so many leases and says what was left behind. A short run is a test.
"""

from __future__ import annotations

import gc
import random
import struct
import sys
import time
from collections import Counter
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from greenws.client.pool import ConnectionPool
from greenws.errors import ConnectionClosed, OperationTimeout
from greenws.protocol.frames import encode_frame
from greenws.protocol.handshake import accept_key

USERS = 40
ANSWER = 0.05  # seconds that a user waits for an answer
FAULTS = {"answer": 90, "reset": 2, "stall": 2, "half-open": 2, "goodbye": 2, "late": 2}  # in a hundred questions


class Faulty:
    """An upstream that answers each question with itself, or does what ``FAULTS`` says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.server = StreamServer(("127.0.0.1", 0), self.serve, spawn=200)
        self.server.start()
        self.url = f"ws://127.0.0.1:{self.server.server_port}/"

    def serve(self, sock: Any, address: Any) -> None:
        try:
            self._talk(sock)
        except OSError:
            pass  # the pool has gone first
        finally:
            sock.close()

    def _talk(self, sock: Any) -> None:
        reader = sock.makefile("rb")
        key = ""
        while line := reader.readline().strip().decode():
            name, _, value = line.partition(": ")
            key = value if name.lower() == "sec-websocket-key" else key
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
        )
        while head := reader.read(2):
            mask = reader.read(4)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(reader.read(head[1] & 0x7F)))
            opcode = head[0] & 0x0F
            if opcode == 9:
                sock.sendall(encode_frame(10, payload))
            elif opcode == 8:
                sock.sendall(encode_frame(8, payload))
                return
            elif opcode == 1 and not self._answer(sock, payload):
                return

    def _answer(self, sock: Any, payload: bytes) -> bool:
        """Answers in one way or another. Returns whether the connection goes on."""
        fault = self.random.choices(list(FAULTS), list(FAULTS.values()))[0]
        if fault == "answer":
            sock.sendall(encode_frame(1, payload))
        elif fault == "late":
            gevent.sleep(ANSWER * 1.5)
            sock.sendall(encode_frame(1, payload))
        elif fault == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif fault == "goodbye":
            sock.sendall(encode_frame(8, b"\x03\xf5"))  # 1013
            return False
        elif fault == "half-open":
            while sock.recv(4096):  # hears everything and says nothing, not even to a ping
                pass
            return False
        return True  # a stall: no answer to this one


def run(cycles: int, seed: int = 1, check_after: float = 0.02) -> Counter[str]:
    """Leases so often, by many users at once. Returns what came of it; a wrong answer is an AssertionError."""
    upstream = Faulty(seed)
    found: Counter[str] = Counter()
    left = iter(range(cycles))

    def use(pool: ConnectionPool) -> None:
        for number in left:
            question = f"question {number}"
            try:
                with pool.lease(timeout=30) as conn:
                    conn.send(question)
                    answer = conn.receive(timeout=ANSWER)
                    assert answer == question, f"{question!r} got the answer {answer!r}"
                    found["answered"] += 1
            except ConnectionClosed:
                found["closed"] += 1
            except OperationTimeout:
                found["too late"] += 1
            if number % 10 == 0:
                with gevent.Timeout(0.001, False), pool.lease(timeout=30):  # a user who gives up at any moment
                    gevent.sleep(1)

    try:
        options: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.2}
        with ConnectionPool(upstream.url, max_size=USERS // 2, check_after=check_after, **options) as pool:
            gevent.joinall([gevent.spawn(use, pool) for _ in range(USERS)], raise_error=True)
            stats = pool.stats
            assert stats.leased == stats.waiting == 0
            assert stats.leases >= cycles * 0.9  # the others found nothing in time
            found["opened"], found["lost"] = stats.opened, stats.lost
        assert pool.stats.size == 0
    finally:
        upstream.server.stop(1)
    return found


def _memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def main() -> None:
    from tests.leaks import Snapshot, warm_up

    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    warm_up()
    run(2000)
    gc.collect()
    gevent.idle()
    before, memory, begin = Snapshot(), _memory(), time.monotonic()
    found = run(cycles, seed=2)
    seconds = time.monotonic() - begin
    gevent.sleep(1)
    gc.collect()
    gevent.idle()
    gc.collect()
    leaks = before.leaks()
    print(f"{cycles:,} leases in {seconds:.0f} s: {dict(found)}")
    print(f"memory: {memory} KB before, {_memory()} KB after")
    print("left behind: " + ("nothing" if not leaks else "\n  ".join(leaks)))
    sys.exit(bool(leaks))


if __name__ == "__main__":
    main()
