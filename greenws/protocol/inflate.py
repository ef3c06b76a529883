"""Messages inflated piece by piece (RFC 7692 §7.2.2): no more comes out than is asked for.

zlib inflates, although ISA-L would be three times as fast with large messages. What a peer sends may consist of nothing
but the beginnings of blocks, and ISA-L takes up to 16 µs for each: half a second for a mebibyte, where zlib takes a
tenth. A connection is not worse off for being inflated in turns (see ``messages``), but the machine would be.
"""

from __future__ import annotations

import zlib
from typing import Any

from greenws.errors import ProtocolError

from .codes import CloseCode

TAIL = b"\x00\x00\xff\xff"  # what a sender takes off the end of a message, and its receiver puts back (§7.2.1, §7.2.2)
LAST = b"\x03\x00"  # an empty block that is the stream's last one: it is understood only where a block may begin
ENDING = TAIL + LAST  # so a message that ends within a block is noticed, unless these very bytes complete the block
MAX_STREAMS = 32  # in one message (§7.2.3.4). Senders make one; a mebibyte of empty ones would take us seconds


class Inflater:
    """Inflates the messages of one peer. Without a context it holds nothing and serves any number of them.

    The context is what the peer's messages have last said, not the state of zlib: that is made anew for each message,
    with the context as its dictionary. So each message can have an end, and a quiet connection holds less.

    Args:
        bits: of the window.
        has_context: whether a message may refer to those before it.
    """

    __slots__ = ("_bits", "_has_context", "_window")

    def __init__(self, bits: int, has_context: bool) -> None:
        self._bits = bits
        self._has_context = has_context
        self._window = b""

    def begin(self) -> Inflation:
        """Returns what inflates the next message. That must be done before another begins if there is a context."""
        return Inflation(self)

    def new_stream(self) -> Any:
        """Returns a zlib object that knows the context."""
        if self._window:
            return zlib.decompressobj(-self._bits, zdict=self._window)
        return zlib.decompressobj(-self._bits)

    def remember(self, part: bytes) -> None:
        """Adds to the context what has come out."""
        if self._has_context:
            size = 1 << self._bits
            self._window = part[-size:] if len(part) >= size else (self._window + part)[-size:]

    def forget(self) -> None:
        """Empties the context."""
        self._window = b""


class Inflation:
    """One message on its way out of DEFLATE: ``feed`` it while it has no more, ``read`` it while it has.

    Attributes:
        has_more: whether something of what was fed may be left to read.
    """

    __slots__ = ("_inflater", "_is_last", "_rest", "_stream", "_streams", "has_more")

    def __init__(self, inflater: Inflater) -> None:
        self._inflater = inflater
        self._stream: Any = None
        self._streams = 0
        self._rest = b""
        self._is_last = False
        self.has_more = False

    def feed(self, data: bytes, is_last: bool) -> None:
        """Gives the next bytes of the message; none need to be there in the last ones."""
        self._rest = data + ENDING if is_last else data
        self._is_last = is_last
        self.has_more = True

    def read(self, size: int) -> bytes:
        """Returns what comes out, at most ``size`` bytes, which must be one or more.

        Raises:
            ProtocolError: that is not what DEFLATE makes, or a message that ends within a block (1007).
        """
        try:
            return self._read(size)
        except zlib.error:
            raise ProtocolError(CloseCode.INVALID_DATA, "message cannot be inflated") from None

    def _read(self, size: int) -> bytes:
        parts = []
        while size > 0 and self.has_more:
            if self._stream is None and not self._begin_stream():
                break
            part = self._stream.decompress(self._rest, size)
            self._inflater.remember(part)
            size -= len(part)
            parts.append(part)
            if self._stream.eof:
                self._end_stream()
                continue
            self._rest = self._stream.unconsumed_tail
            if size > 0:
                self.has_more = False
                if self._is_last:
                    raise zlib.error("it ends within a block")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin_stream(self) -> bool:
        if self._rest == (ENDING if self._is_last else b""):  # an empty message (§7.2.3.6), or nothing behind a stream
            self.has_more = False
            return False
        if self._streams == MAX_STREAMS:
            raise zlib.error("too many streams")
        self._streams += 1
        self._stream = self._inflater.new_stream()
        return True

    def _end_stream(self) -> None:
        """A block with BFINAL ends a stream but not the message (§7.2.3.4); who sends one begins anew behind it."""
        self._rest, self._stream = self._stream.unused_data, None
        if self._is_last and not self._rest:  # the block was our own
            self.has_more = False
            return
        self._inflater.forget()
        if self._is_last and len(self._rest) < len(ENDING):
            if self._rest != LAST:  # behind an empty last block, whose end was taken off
                raise zlib.error("it ends within its last block")
            self.has_more = False
