"""The connections of one process of a load: opened, put to work, closed."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable

import gevent
from gevent.event import Event

from greenws.bench.load import Load, Peer
from greenws.bench.plan import Plan, Target
from greenws.bench.tally import Tally
from greenws.errors import LoadFailed
from greenws.protocol.handshake import accept_key, new_key, request_head

OPENING_TIMEOUT = 60.0  # seconds in which at least one more connection must open
ANSWER_TIMEOUT = 30.0  # seconds until a message must have come back, or reached everybody
TICK = 0.001  # seconds between two looks at what is due, in modes `rate` and `ping`
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"


class Crowd:
    """All connections of a run, or those of one of its processes. ``close`` releases them.

    The phases are called in turn: ``open``, ``prepare``, ``work``; or ``storm`` alone. Each blocks its greenlet.
    """

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan = plan
        self.target = target
        self.peers: set[Peer] = set()
        key = new_key()
        self.load = Load(
            request_head(
                target.host,
                target.path,
                key,
                headers=plan.headers,
                extensions="permessage-deflate" if plan.offers_deflate else None,
            ),
            accept_key(key).encode(),
            "echo" if plan.mode == "pipelined" else plan.mode,
            (ALPHABET * (plan.size // len(ALPHABET) + 1))[: plan.size],
            plan.depth if plan.mode == "pipelined" else 1,
            plan.binary,
            self._opened,
        )
        self._sources = itertools.cycle(plan.addresses)
        self._left = 0  # peers still to be started
        self._under_way = 0
        self._storm_ends = 0.0
        self._settled = Event()

    def open(self) -> None:
        """Opens all connections.

        Raises:
            LoadFailed: none could be opened, or for a minute no more.
        """
        self._open(self.plan.concurrency)

    def prepare(self) -> None:
        """Counts from here on. What goes on all the time is set going."""
        self.load.is_counting = True
        if self.plan.mode in ("echo", "pipelined"):
            self._begin_echo()
            gevent.sleep(self.plan.warm_up)
            self.load.start_over()

    def work(self) -> None:
        """Does what the mode says for as long as the plan says."""
        modes: dict[str, Callable[[], object]] = {"rate": self._rate, "ping": self._rate, "fanout": self._fan_out}
        modes.get(self.plan.mode, self._let_run)()
        self.load.is_counting = False

    def storm(self) -> None:
        """Opens and closes, ``connections`` at a time, until the time is up."""
        self._storm_ends = time.monotonic() + self.plan.duration
        self._open(self.plan.connections)

    def tally(self) -> Tally:
        """Returns what was counted up to now."""
        return Tally.of(self.load)

    @property
    def cpu(self) -> float:
        """The seconds of CPU that this process has used."""
        return time.process_time()

    def close(self) -> None:
        """Says goodbye to the server and releases all descriptors."""
        for peer in self.peers:
            peer.close()

    # ---- opening

    def _open(self, concurrency: int) -> None:
        self._left = self.plan.connections
        for _ in range(min(concurrency, self._left)):
            self._start()
        settled = -1
        while not self._settled.wait(OPENING_TIMEOUT):
            if self.load.open_count + self.load.failed == settled:
                raise LoadFailed(
                    f"{self.load.open_count} of {self.plan.connections} connections were open, and no more"
                )
            settled = self.load.open_count + self.load.failed
        if not self.load.open_count:
            raise LoadFailed(self.load.refusal or "no connection was answered")

    def _start(self) -> None:
        sock = socket.socket(self.target.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._storm_ends:  # each ends by a reset, so that its port is free at once
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.plan.addresses:
            self._bind(sock, next(self._sources))
        sock.connect_ex(self.target.address)
        self._left -= 1
        self._under_way += 1
        peer = Peer(self.load)
        self.peers.add(peer)
        peer.start(sock.detach())

    def _bind(self, sock: socket.socket, source: str) -> None:
        """The port is chosen when it connects: so each address has all its ports towards each server."""
        try:
            sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            sock.bind((source, 0))
        except OSError as error:
            sock.close()
            raise LoadFailed(f"cannot connect from {source}: {error.strerror}") from error

    def _opened(self, peer: Peer) -> None:
        """In the hub: a peer is open, or could not be opened."""
        self._under_way -= 1
        if self._storm_ends:
            self.peers.discard(peer)
            peer.abort()
            if time.monotonic() < self._storm_ends:
                self._left += 1
        if self._left > 0:
            self._start()
        elif not self._under_way:
            self._settled.set()

    # ---- the work of each mode

    def _begin_echo(self) -> None:
        self.load.is_sending = True
        for peer in self.peers:
            if peer.is_open:
                peer.send()

    def _let_run(self) -> None:
        gevent.sleep(self.plan.duration)
        self.load.is_sending = False

    def _rate(self) -> None:
        """Sends by the clock, whatever the answers do: the first messages are spread over one interval."""
        peers = list(self.peers)
        step = self.plan.interval / len(peers)
        begun = time.monotonic()
        for number in itertools.count():
            due = begun + number * step
            while (early := due - time.monotonic()) > 0:
                gevent.sleep(max(early, TICK))
            if due > begun + self.plan.duration:
                break
            peer = peers[number % len(peers)]
            if peer.is_open:
                peer.send_due(int(due * 1e9))
        until = time.monotonic() + ANSWER_TIMEOUT
        while self.load.missing and time.monotonic() < until:
            gevent.sleep(TICK)
        self.load.give_up()

    def _fan_out(self) -> None:
        """Lets one peer send and waits until all have the message, again and again."""
        for _ in range(self.plan.rounds):
            present = [peer for peer in self.peers if peer.is_open]
            if not present:
                return
            done = Event()
            self.load.missing, self.load.complete = len(present), done.set
            present[0].send_round()
            if not done.wait(ANSWER_TIMEOUT):
                self.load.give_up()
                return
