"""A load in several processes, for more connections than one may have descriptors, or more work than one core does."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import gevent
from gevent import socket
from gevent.subprocess import DEVNULL, Popen, TimeoutExpired

from greenws.bench.plan import Plan
from greenws.bench.tally import Tally
from greenws.errors import LoadFailed

LAST_MOMENT = 10.0  # seconds in which a process may close its connections


class Crew:
    """The processes of a load. It has the phases of a ``Crowd``; each ends when all processes have done it.

    A process is told the next phase by a line on a socket, and answers with one. It ends when that socket does, so
    none outlives us, whatever becomes of us.
    """

    def __init__(self, plan: Plan) -> None:
        self._members: list[_Member] = []
        self._answers: list[dict[str, Any]] = []
        try:
            for part in plan.split():
                self._members.append(_Member(part))
            self._do("begin")
        except BaseException:
            self.close()
            raise

    def open(self) -> None:
        """Opens all connections."""
        self._do("open")

    def prepare(self) -> None:
        """Counts from here on."""
        self._do("prepare")

    def work(self) -> None:
        """Does what the mode says for as long as the plan says."""
        self._do("work")

    def storm(self) -> None:
        """Opens and closes until the time is up."""
        self._do("storm")

    def tally(self) -> Tally:
        """Returns what all have counted together."""
        self._do("tally")
        return Tally.total(answer["tally"] for answer in self._answers)

    @property
    def cpu(self) -> float:
        """The seconds of CPU that a process has used, the mean of all, up to the end of the last phase."""
        return float(sum(answer["cpu"] for answer in self._answers)) / len(self._answers)

    def close(self) -> None:
        """Ends all processes. Those that do not end by themselves are killed."""
        with ExitStack() as ends:
            for member in self._members:
                ends.callback(member.kill)
            for member in self._members:
                member.hang_up()
            gevent.joinall([gevent.spawn(member.wait) for member in self._members])

    def _do(self, phase: str) -> None:
        for member in self._members:
            member.tell(phase)
        self._answers = [member.answer() for member in self._members]


class _Member:
    """One process, and the socket by which it is told what to do."""

    def __init__(self, plan: Plan) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                command = [sys.executable, "-m", "greenws.bench.member", str(theirs.fileno())]
                self._process = Popen(command, pass_fds=[theirs.fileno()], stdin=DEVNULL, stdout=DEVNULL)
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        self.tell(json.dumps(asdict(plan)))

    def tell(self, line: str) -> None:
        try:
            self._socket.sendall(f"{line}\n".encode())
        except OSError:
            pass  # it has ended; there will be no answer either

    def answer(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError:  # it was killed, and had not read all
            line = ""
        if not line:
            raise LoadFailed("a process of the load has ended")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("failed"):
            raise LoadFailed(answer["failed"])
        return answer

    def hang_up(self) -> None:
        self._lines.close()
        self._socket.close()

    def wait(self) -> None:
        try:
            self._process.wait(LAST_MOMENT)
        except TimeoutExpired:
            pass  # it is killed

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
