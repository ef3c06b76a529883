"""A process of a load: ``python -m greenws.bench.member DESCRIPTOR``, which only ``Crew`` starts.

It reads a plan from a socket, then the name of a phase at a time, and answers with a line of JSON when that is done. It
ends when the socket does, in the middle of a phase, too.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import gevent
from gevent import socket

from greenws.bench.crowd import Crowd
from greenws.bench.plan import Plan, find_target
from greenws.errors import GreenWSError


def read_plan(line: str) -> Plan:
    """Makes the plan that was dumped as JSON, which has no tuples."""
    values: dict[str, Any] = json.loads(line)
    headers = tuple((name, value) for name, value in values.pop("headers"))
    return Plan(**{**values, "headers": headers, "source": tuple(values["source"]), "pids": ()})


def serve(sock: socket.socket) -> None:
    """Does what it is told until the socket ends. Blocks."""
    with sock, sock.makefile("r", encoding="utf-8") as lines:
        plan = read_plan(lines.readline())
        crowd = Crowd(plan, find_target(plan))
        phases = {"open": crowd.open, "prepare": crowd.prepare, "work": crowd.work, "storm": crowd.storm}

        def do(phase: str) -> None:
            answer: dict[str, Any] = {}
            try:
                if phase in phases:
                    phases[phase]()
                elif phase == "tally":
                    answer["tally"] = crowd.tally().dump()
            except (GreenWSError, OSError) as error:
                answer["failed"] = str(error)
            sock.sendall(json.dumps({**answer, "cpu": crowd.cpu}).encode() + b"\n")

        for line in lines:
            gevent.spawn(do, line.strip())  # while it runs we notice the end
        crowd.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for who started us, and hangs up
    serve(socket.socket(fileno=int(sys.argv[1])))
