"""One message to many connections."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal

from greenws.net.connection import Connection
from greenws.net.sender import as_bytes, offer
from greenws.protocol.codes import CloseCode, Opcode
from greenws.protocol.frames import encode_frame

POLICIES = ("close", "drop", "latest")
TOO_SLOW = 2  # what ``offer`` returns for a connection at its high-water mark


def broadcast(
    connections: Iterable[Connection], message: str | bytes, policy: Literal["close", "drop", "latest"] = "close"
) -> int:
    """Sends a message to many connections. Encodes it once and never waits, however slow a reader is.

    Does not switch to another greenlet. For the connections' own thread.

    Args:
        connections: any iterable, such as a set of yours or ``ws.connections``. Those that are closing are passed over.
        message: str for text, bytes for binary.
        policy: what becomes of a connection whose ``high_water_mark`` is reached: ``close`` closes it with 1013 so that
            it comes back and catches up, ``drop`` leaves this message out for it, ``latest`` keeps only the newest such
            message for it.

    Returns:
        How many connections took the message.

    Raises:
        TypeError: the message is neither text nor bytes.
        ValueError: there is no such policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")
    if isinstance(message, str):
        opcode, payload = Opcode.TEXT, message.encode()
    else:
        opcode, payload = Opcode.BINARY, as_bytes(message)
    frame = encode_frame(opcode, payload)
    taken = 0
    for connection in connections:
        own = frame
        if not connection.service.is_server:  # a client masks, every frame with another key (RFC 6455 §5.3)
            own = encode_frame(opcode, payload, key=secrets.randbits(32))
        outcome = offer(connection, own, policy)
        if outcome == TOO_SLOW:
            connection.close(CloseCode.TRY_AGAIN_LATER, "reads too slowly")
        else:
            taken += outcome
    return taken
