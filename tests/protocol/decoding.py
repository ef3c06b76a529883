"""Runs a decoder the way a connection does."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from greenws.errors import ProtocolError
from tests.frame_cases import FRAGMENTS, LIMIT, Event

BEFORE, BEHIND = b"\xaa\xff\x00", b"\x55\x81\x80\x00"  # what is in the window's buffer beside it


def new_decoder(codec: SimpleNamespace, *, masked: bool = True, extension: Any = None, **limits: int) -> Any:
    return codec.messages.MessageDecoder(
        masked,
        limits.get("max_size", LIMIT),
        limits.get("max_fragments", FRAGMENTS),
        extension,
        limits.get("max_stream_size", 0),
    )


def feed(codec: SimpleNamespace, decoder: Any, piece: bytes) -> list[Event]:
    """The events of a window onto a larger buffer, of which nothing else may change. What is to wait does not."""
    buffer = bytearray(BEFORE + piece + BEHIND)
    start, stop = len(BEFORE), len(BEFORE) + len(piece)
    decoder.feed(buffer, start, stop)
    events = []
    while True:
        has_more = decoder.has_more()
        if (event := decoder.next()) is None:
            break
        assert has_more
        if type(event) is not codec.events.Pause:
            events.append(plain(codec, event))
    assert decoder.consumed == stop
    assert (bytes(buffer[:start]), bytes(buffer[stop:]), len(buffer)) == (BEFORE, BEHIND, stop + len(BEHIND))
    return events


def decode(codec: SimpleNamespace, pieces: Iterable[bytes], **options: Any) -> list[Event]:
    """All events of bytes that come in these pieces."""
    decoder = new_decoder(codec, **options)
    return [event for piece in pieces for event in feed(codec, decoder, piece)]


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with the chunks of a stream as one: ``("stream", data)``, or ``("part", data)`` without an end."""
    found: list[Event] = []
    for event in events:
        if not isinstance(event, tuple) or event[0] not in ("chunk", "last"):
            found.append(event)
            continue
        name, data = event
        if found and isinstance(found[-1], tuple) and found[-1][0] == "part":
            data = found.pop()[1] + data
        found.append(("stream" if name == "last" else "part", data))
    return found


def plain(codec: SimpleNamespace, event: Any) -> Event:
    """An event as the table writes it. Exact types: a client's message is never a bytearray."""
    if type(event) is str or type(event) is bytes:
        return event
    if type(event) is ProtocolError:
        assert event.reason
        assert len(event.reason.encode()) <= 123
        return "error", event.close_code
    events = codec.events
    if type(event) is events.Chunk:
        assert type(event.data) in (str, bytes)
        return "last" if event.is_last else "chunk", event.data
    if type(event) is events.Close:
        return "close", event.code, event.reason
    assert type(event) in (events.Ping, events.Pong)
    assert type(event.payload) is bytes
    return ("ping" if type(event) is events.Ping else "pong"), event.payload
