"""One message to many connections. Ordinary Python; broadcast.pxd types it for the compiler."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal

from greenws.net.connection import Connection
from greenws.net.sender import as_bytes, offer
from greenws.protocol.codes import CloseCode, Opcode
from greenws.protocol.deflate import Compressor
from greenws.protocol.frames import encode_frame

POLICIES = ("close", "drop", "latest")
TOO_SLOW = 2  # what ``offer`` returns for a connection at its high-water mark


def broadcast(
    connections: Iterable[Connection],
    message: str | bytes,
    policy: Literal["close", "drop", "latest"] = "close",
    compress: bool | None = None,
) -> int:
    """Sends a message to many connections. Encodes it once and never waits, however slow a reader is.

    It is also compressed once for all connections that have agreed on the same, and by itself for each that takes over
    its context from message to message.

    Does not switch to another greenlet. For the connections' own thread.

    Args:
        connections: any iterable, such as a set of yours or ``ws.connections``. Those that are closing are passed over.
        message: str for text, bytes for binary.
        policy: what becomes of a connection whose ``high_water_mark`` is reached: ``close`` closes it with 1013 so that
            it comes back and catches up, ``drop`` leaves this message out for it, ``latest`` keeps only the newest such
            message for it.
        compress: as for ``Connection.send``.

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
    frames = _Frames(opcode, payload)
    taken = 0
    for connection in connections:
        frame, alone, deflate = frames.plain, None, connection.deflate
        if deflate is not None and (len(payload) >= deflate.threshold if compress is None else compress):
            if deflate.compressor.has_context:
                alone = payload
            else:
                frame = frames.deflated(deflate.compressor)
        if not connection.service.is_server:
            frame = _masked(frame)
        outcome = offer(connection, frame, policy, alone)
        if outcome == TOO_SLOW:
            connection.close(CloseCode.TRY_AGAIN_LATER, "reads too slowly")
        else:
            taken += outcome
    return taken


class _Frames:
    """The frames of one message. It is deflated once for all connections that have a compressor in common."""

    def __init__(self, opcode: Opcode, payload: bytes) -> None:
        self.plain = encode_frame(opcode, payload)
        self._opcode = opcode
        self._payload = payload
        self._deflated: dict[Compressor, bytes] = {}

    def deflated(self, compressor: Compressor) -> bytes:
        """Returns the frame for those who share a compressor; the plain one when it would be no smaller."""
        frame = self._deflated.get(compressor)
        if frame is None:
            payload = compressor.encode(self._payload)
            frame = self.plain if payload is None else encode_frame(self._opcode, payload, rsv1=True)
            self._deflated[compressor] = frame
        return frame


def _masked(frame: bytes) -> bytes:
    """Returns a server's frame as a client sends it: masked, each with another key (RFC 6455 §5.3)."""
    size = {126: 4, 127: 10}.get(frame[1], 2)
    opcode, rsv1 = frame[0] & 0x0F, frame[0] & 0x40 != 0
    return encode_frame(opcode, frame[size:], rsv1=rsv1, key=secrets.randbits(32))
