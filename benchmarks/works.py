"""What the servers are made to do. Each is a run of ``greenws bench``."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers.hooks import sign_in


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Attributes:
        key, title: for programs, and for people.
        options: of ``greenws bench``.
        seconds: how long it is measured in a full run; 0 when it ends by itself.
        route: ``echo`` or ``fanout``.
        figure: by which servers are compared: ``cpu`` for each message, ``opening`` for each handshake, ``pss`` for
            each connection, ``core``, or ``seconds`` until all are open.
    """

    key: str
    title: str
    options: str
    seconds: float = 2.0
    route: str = "echo"
    figure: str = "cpu"


HANDSHAKE = "-m handshake -c 64"
OF_USERS = f"{HANDSHAKE} -H Cookie:session={sign_in()}"
IDLE = "-m idle -c 10000 --concurrency 512"

# In this order: memory is asked of a process that has done nothing yet. Two works with the same options are one run.
WORKS = (
    Work("idle", "10,000 idle connections", IDLE + " --rest 2", 2, figure="pss"),
    Work("storm", "10,000 connections opened", IDLE + " --rest 2", 2, figure="seconds"),
    Work("idle-deflate", "10,000 idle connections, deflate negotiated", IDLE + " --rest 2 --deflate", 2, figure="pss"),
    Work("pings", "10,000 idle connections, a ping to each every 25 s", IDLE + " --rest 1", 26, figure="core"),
    Work("echo-100", "echo of 64 bytes, 100 connections", "-c 100"),
    Work("echo-1000", "echo of 64 bytes, 1,000 connections", "-c 1000"),
    Work("pipelined", "16 messages of 64 bytes in one write, 100 connections", "-m pipelined -c 100"),
    Work("binary", "echo of 64 KB, binary, 100 connections", "-c 100 --size 65536 --binary"),
    Work("handshake", "handshakes, 64 at a time", HANDSHAKE, figure="opening"),
    Work("handshake-user", "handshakes of users, 64 at a time", OF_USERS, figure="opening"),
    Work("fanout-1000", "fan-out to 1,000", "-m fanout -c 1000 --rounds 40", 0, "fanout"),
    Work("fanout-10000", "fan-out to 10,000", "-m fanout -c 10000 --concurrency 512 --rounds 8", 0, "fanout"),
)
