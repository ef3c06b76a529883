"""Three readers of a client's bytes behind one face: ours, that of ``websockets`` and that of ``wsproto``.

All give events as tests/frame_cases.py writes them, the last of which may be a Close or an error.
"""

from __future__ import annotations

import codecs
import logging
from typing import Any, Protocol

from websockets.frames import Close, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from tests import codecs as builds
from tests.frame_cases import Event
from tests.interop.differential.streams import Stream
from tests.protocol.decoding import feed, new_decoder

_BUILDS = {build: builds.load(build) for build in builds.BUILDS}
_QUIET = logging.Logger("websockets", logging.CRITICAL)


class Reader(Protocol):
    """Takes bytes and keeps what came of them in ``events``."""

    events: list[Event]

    def receive(self, data: bytes) -> None: ...


class Ours:
    """The product's decoder, in either build."""

    def __init__(self, stream: Stream, build: str) -> None:
        self.codec = _BUILDS[build]
        self.decoder = new_decoder(self.codec, max_size=stream.max_size, max_fragments=stream.max_fragments)
        self.events: list[Event] = []

    def receive(self, data: bytes) -> None:
        self.events += feed(self.codec, self.decoder, data)


class Websockets:
    """Its sans-I/O layer gives frames. They are put together, and text is decoded, as its ``recv_streaming`` does."""

    def __init__(self, stream: Stream) -> None:
        self.protocol = ServerProtocol(state=OPEN, max_size=stream.max_size, logger=_QUIET)
        self.decoder: Any = None
        self.message: Any = None
        self.is_over = False
        self.events: list[Event] = []

    def receive(self, data: bytes) -> None:
        if self.is_over:
            return
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            if self.is_over:
                return
            self.take(frame)
        if self.protocol.parser_exc is not None and not self.is_over:
            assert self.protocol.close_sent is not None
            self.end(("error", self.protocol.close_sent.code))

    def end(self, event: Event) -> None:
        self.events.append(event)
        self.is_over = True

    def take(self, frame: Any) -> None:
        if frame.opcode is Opcode.CLOSE:
            close = Close.parse(frame.data)
            self.end(("close", int(close.code), close.reason))
        elif frame.opcode in (Opcode.PING, Opcode.PONG):
            self.events.append(("ping" if frame.opcode is Opcode.PING else "pong", bytes(frame.data)))
        else:
            self.add(frame)

    def add(self, frame: Any) -> None:
        if frame.opcode is not Opcode.CONT:
            self.decoder = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
            self.message = "" if self.decoder else b""
        try:
            self.message += self.decoder.decode(frame.data, frame.fin) if self.decoder else bytes(frame.data)
        except UnicodeDecodeError:
            self.end(("error", 1007))
            return
        if frame.fin:
            self.events.append(self.message)


class Wsproto:
    """Its connection gives parts of messages, which are put together."""

    def __init__(self, stream: Stream) -> None:
        self.connection = Connection(ConnectionType.SERVER)
        self.message: Any = None
        self.events: list[Event] = []

    def receive(self, data: bytes) -> None:
        self.connection.receive_data(data)
        for event in self.connection.events():
            if isinstance(event, CloseConnection):
                is_theirs = self.connection.state is ConnectionState.REMOTE_CLOSING
                code = int(event.code)
                self.events.append(("close", code, event.reason or "") if is_theirs else ("error", code))
            elif isinstance(event, TextMessage | BytesMessage):
                part = event.data if isinstance(event, TextMessage) else bytes(event.data)
                self.message = part if self.message is None else self.message + part
                if event.message_finished:
                    self.events.append(self.message)
                    self.message = None
            else:
                assert isinstance(event, Ping | Pong)
                self.events.append(("ping" if isinstance(event, Ping) else "pong", bytes(event.payload)))


THEIRS: dict[str, Any] = {"websockets": Websockets, "wsproto": Wsproto}
