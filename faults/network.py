"""A network that fails without a word: peers in a namespace of their own, behind a pair of virtual interfaces."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from faults.control import Control
from faults.peers import TEXT, Crowd, masked
from faults.servers import descriptors, serve

NAMESPACE, HERE, THERE = "greenws-faults", "greenws0", "10.213.7.1"
CLONE_NEWNET = 0x40000000  # setns(2)
INTERVAL, TIMEOUT = 5, 5  # seconds, of the heartbeat


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


@contextmanager
def namespace() -> Iterator[None]:
    """Makes the namespace. Needs root."""
    with ExitStack() as stack:
        for left in (f"netns del {NAMESPACE}", f"link del {HERE}"):  # by a run that was killed
            subprocess.run(f"ip {left}".split(), check=False, stderr=subprocess.DEVNULL)
        _run(f"ip netns add {NAMESPACE}")
        stack.callback(_run, f"ip netns del {NAMESPACE}")
        _run(f"ip link add {HERE} type veth peer name greenws1 netns {NAMESPACE}")
        stack.callback(_run, f"ip link del {HERE}")  # the namespace lives on with what its sockets have to say
        _run(f"ip addr add {THERE}/24 dev {HERE}")
        _run(f"ip link set {HERE} up")
        _run(f"ip -n {NAMESPACE} addr add 10.213.7.2/24 dev greenws1")
        _run(f"ip -n {NAMESPACE} link set greenws1 up")
        yield


@contextmanager
def inside() -> Iterator[None]:
    """This thread's new sockets are in the namespace until the block ends."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{NAMESPACE}") as there:
        if setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            yield
        finally:
            setns(home.fileno(), CLONE_NEWNET)


def dead_peers(dead: int = 1000, alive: int = 9000) -> Iterator[tuple[str, str, bool]]:
    """F7: the cable of some of many is pulled."""
    heartbeat = {"FLASK_GREENWS_PING_INTERVAL": str(INTERVAL), "FLASK_GREENWS_PING_TIMEOUT": str(TIMEOUT)}
    with namespace(), serve(host="0.0.0.0", **heartbeat) as server:
        (worker,) = server.workers
        living = Crowd(server.port).connect(alive)
        far = Crowd(server.port, host=THERE)
        with inside():
            far.connect(dead, beside=living)
        yield "connected", f"{living.open:,} here and {far.open:,} there", (living.open, far.open) == (alive, dead)
        control, before, begin = Control(server.port), descriptors(worker), time.monotonic()
        _run(f"ip link set {HERE} down")
        living.run(INTERVAL + TIMEOUT + 10, lambda: descriptors(worker) <= before - dead)
        took = time.monotonic() - begin
        control.stop()
        left = descriptors(worker) - before + dead
        yield "descriptors of the dead", f"{left} left after {took:.1f} s", left <= 0 and took <= INTERVAL + TIMEOUT + 1
        yield "living ones that were ended", str(dict(living.ends) or 0), not living.ends
        yield "control", control.verdict, not control.error
        living.close()
        far.close()


def lossy(percent: float, seconds: float = 600.0, count: int = 1000) -> Iterator[tuple[str, str, bool]]:
    """F7b: so many of a hundred packets are lost, both ways, while some talk; pings as by default."""
    with namespace(), serve(host="0.0.0.0") as server:
        crowd = Crowd(server.port, host=THERE)
        with inside():
            crowd.connect(count)
        rule = f"INPUT -i {HERE} -m statistic --mode random --probability {percent / 100} -j DROP"
        back = rule.replace("INPUT -i", "OUTPUT -o")
        control, opened, until = Control(server.port), crowd.open, time.monotonic() + seconds
        with ExitStack() as stack:
            for lost in (rule, back):
                _run(f"iptables -I {lost}")
                stack.callback(_run, f"iptables -D {lost}")
            while time.monotonic() < until and crowd.peers:
                _say_something(random.choice(list(crowd.peers.values())).sock)
                crowd.run(0.05)
        control.stop()
        killed = sum(crowd.ends.values())
        yield (
            "ended",
            f"{killed} of {opened:,} {dict(crowd.ends) or ''}",
            killed <= (0 if percent <= 5 else opened / 1000),
        )
        yield "control", control.verdict, not control.error
        crowd.close()


def _say_something(sock: socket.socket) -> None:
    try:
        sock.send(masked(TEXT, b"hello"))
    except BlockingIOError:
        pass
