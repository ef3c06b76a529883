"""Frames put together to messages, with every limit kept as the bytes arrive (RFC 6455 §5.4, §5.6, §8.1).

A decoder is given a window onto the bytes received last and is asked for one event after the other. It looks into the
window only while it is asked, so the window may be a buffer that all connections share. What it keeps of an unfinished
message is a copy. A decoder that ``is_idle`` holds nothing and may serve another connection.

A message up to ``max_size`` is one event. Where streams are allowed, a larger one is a stream of chunks, which begins
as soon as its size is known to be larger. Which of the two it is depends on nothing but its size.

What is compressed is inflated by the piece: at most PIECE of it in one go, so that the worst that a peer can send takes
about 10 ms. Then ``next`` says Pause, and the caller is to let others have their turn.

Ordinary Python; messages.pxd types it for the compiler.
"""

from __future__ import annotations

import codecs
from typing import Any

from greenws.errors import ProtocolError

from . import mask
from .codes import CloseCode
from .events import Chunk, Close, Pause, Ping, Pong
from .frames import FrameHeader, read_close, read_header

Event = str | bytes | Chunk | Pause | Ping | Pong | Close | ProtocolError

CHUNK = 65536  # bytes of a stream in one event
PIECE = 65536  # deflated bytes that are inflated in one go
_PAUSE = Pause()


class MessageDecoder:
    """Turns bytes into messages and control frames.

    Any bytes give events, the last of which may be one ProtocolError: nothing is raised. After that error, and after
    the peer's Close, whatever else arrives is ignored (RFC 6455 §7.1.7, §5.5.1). Not safe for use by two greenlets
    that switch in between ``feed`` and the last ``next``.

    Args:
        masked: whether the peer must mask its frames, which a client must (RFC 6455 §5.1).
        max_size: the largest message that is one event, in bytes after inflation.
        max_fragments: the most frames such a message may come in. In a stream, the most empty ones in a row.
        extension: inflates messages whose RSV1 is set, see ``inflate.Inflater``. None when no extension was
            negotiated, so that RSV1 is an error.
        max_stream_size: the largest stream, in bytes after inflation; 0 for none.

    Attributes:
        discard: set it when nobody wants messages any more: those in parts are passed over, not kept and not inflated.
    """

    def __init__(
        self, masked: bool, max_size: int, max_fragments: int, extension: Any = None, max_stream_size: int = 0
    ) -> None:
        self.masked = masked
        self.max_size = max_size
        self.max_fragments = max_fragments
        self.extension = extension
        self.max_stream_size = max_stream_size
        self.discard = False
        self._header = FrameHeader()
        self._buffer = bytearray()
        self._at = 0
        self._stop = 0
        self._ended = False
        self._partial: bytearray | None = None  # the first bytes of a header
        self._control: bytearray | None = None  # the first bytes of a control frame's payload
        self._left = 0  # bytes of the frame's payload still to come
        self._in_frame = False
        self._opcode = 0  # of the message under way
        self._compressed = False
        self._is_stream = False
        self._fragments = 0
        self._announced = 0  # bytes in all frames of the message so far, as their headers say
        self._message: bytearray | None = None  # what is held of it, ready to be returned
        self._split = b""  # the first bytes of a character, at the end of the text so far
        self._deflated: bytearray | None = None  # what is held of it and not yet inflated
        self._inflation: Any = None
        self._inflated = 0  # bytes that have come out of it
        self._work = 0  # deflated bytes taken since the last feed

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a frame or message is held back."""
        return self._is_idle()

    @property
    def consumed(self) -> int:
        """Up to where the window has been read."""
        return self._at

    def _is_idle(self) -> bool:
        return not self._in_frame and self._opcode == 0 and self._partial is None and not self._ended

    def has_more(self) -> bool:
        """Whether ``next`` may say anything but None."""
        return self._at < self._stop or not self._is_idle()

    def feed(self, buffer: bytearray, start: int, stop: int) -> None:
        """Gives ``buffer[start:stop]``. It must stay as it is until ``next`` says None; no feed may come before that.

        To stop earlier, keep what is behind ``consumed`` and feed it again, even if that is nothing: the decoder may
        have more to give. Text is unmasked in place.
        """
        self._buffer = buffer
        self._at = start
        self._stop = stop
        self._work = 0

    def next(self) -> Event | None:
        """Returns the next event, or None when the window holds no further one."""
        if self._ended:
            self._at = self._stop
            return None
        try:
            return self._next()
        except ProtocolError as error:
            self._end()
            return error

    def _end(self) -> None:
        self._ended = True
        self._at = self._stop
        self._message = self._control = self._partial = self._deflated = None
        self._inflation = None

    def _next(self) -> Event | None:
        while True:
            if not self._in_frame:
                if not self._begin_frame():
                    return None
                if self._left <= self._stop - self._at and (self._header.opcode >= 8 or self._is_simple()):
                    return self._whole_frame()
                self._begin_payload()
            event = self._control_payload() if self._header.opcode >= 8 else self._data_payload()
            if event is not None or self._in_frame:
                return event

    def _begin_frame(self) -> bool:
        """Reads a header and checks what it says. Returns False when the window ends inside it."""
        header = self._header
        rsv1 = self.extension is not None
        if self._partial is None:
            size = read_header(self._buffer, self._at, self._stop, self.masked, rsv1, header)
            if size == 0:
                if self._at < self._stop:
                    self._partial = self._buffer[self._at : self._stop]
                    self._at = self._stop
                return False
            self._at += size
        elif not self._finish_header(self._partial):
            return False
        if header.opcode < 8:
            self._check_order()
            if header.length > self.max_size or header.length + self._announced > self.max_size:
                self._check_size()
        self._left = header.length
        return True

    def _finish_header(self, partial: bytearray) -> bool:
        rsv1 = self.extension is not None
        while self._at < self._stop:
            partial.append(self._buffer[self._at])
            self._at += 1
            if read_header(partial, 0, len(partial), self.masked, rsv1, self._header) > 0:
                self._partial = None
                return True
        return False

    def _check_order(self) -> None:
        # RFC 6455 §5.4: a message is one frame of data and then its continuations; messages are not interleaved.
        if self._header.opcode == 0:
            if self._opcode == 0:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "continuation without a message")
            if self._fragments >= self.max_fragments:
                raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message in too many fragments", "max_fragments")
        elif self._opcode != 0:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "message begun inside another")

    def _check_size(self) -> None:
        """More bytes than one event may have. What could not be made smaller gets a little larger by deflating."""
        compressed = self._compressed if self._header.opcode == 0 else self._header.compressed
        most = max(self.max_size, self.max_stream_size)
        if compressed:
            most += most // 16 + 64
        if self._header.length > most or self._header.length + self._announced > most:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message too big", self._size_limit())

    def _size_limit(self) -> str:
        """Which setting a message that is too big has come up against."""
        return "max_stream_size" if self.max_stream_size > self.max_size else "max_message_size"

    def _is_simple(self) -> bool:
        """Whether the frame is a whole message, not compressed, that is one event."""
        header = self._header
        return self._opcode == 0 and header.fin and not header.compressed and header.length <= self.max_size

    def _whole_frame(self) -> Event:
        """The common case: a message or control frame that lies whole in the window is decoded where it is."""
        start, opcode = self._at, self._header.opcode
        self._at += self._left
        try:
            if opcode == 1:
                return mask.unmasked_text(self._buffer, start, self._at, self._header.key)
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None
        payload = mask.unmasked(self._buffer, start, self._at, self._header.key)
        return payload if opcode == 2 else self._control_event(payload)

    def _begin_payload(self) -> None:
        self._in_frame = True
        header = self._header
        if header.opcode >= 8:
            self._control = bytearray()
            return
        if header.opcode != 0:
            self._opcode = header.opcode
            self._compressed = header.compressed
            self._message = bytearray()
            if header.compressed:
                self._deflated = bytearray()
        self._announced += header.length
        if self._announced > self.max_size and not self._compressed:
            self._is_stream = True
        self._fragments += 1
        if self._is_stream and header.length:
            self._fragments = 0

    def _take(self, into: bytearray, most: int) -> int:
        """Moves what the window has of the frame's payload behind ``into``, unmasked, and returns how much."""
        size = min(self._left, self._stop - self._at, most)
        stop = self._at + size
        mask.apply(self._buffer, self._at, stop, self._header.key, self._header.length - self._left)
        into += self._buffer[self._at : stop]
        self._at = stop
        self._left -= size
        return size

    def _control_payload(self) -> Event | None:
        control = self._control
        assert control is not None
        self._take(control, self._left)
        if self._left:
            return None
        self._in_frame = False
        self._control = None
        return self._control_event(bytes(control))

    def _control_event(self, payload: bytes) -> Event:
        if self._header.opcode == 9:
            return Ping(payload)
        if self._header.opcode == 10:
            return Pong(payload)
        code, reason = read_close(payload)
        self._end()
        return Close(code, reason)

    def _data_payload(self) -> Event | None:
        message = self._message
        assert message is not None
        if self.discard:
            self._pass_over()
            return None
        if self._compressed:
            return self._deflated_payload(message)
        if self._is_stream:
            self._take(message, max(CHUNK - len(message), 0))
            return self._chunk(message, self._left == 0)
        size = self._take(message, self._left)
        if self._opcode == 1:
            self._check_text(message, size)
        if self._left:
            return None
        self._in_frame = False
        return self._finish_message(message) if self._header.fin else None

    def _pass_over(self) -> None:
        size = min(self._left, self._stop - self._at)
        self._at += size
        self._left -= size
        self._in_frame = self._left > 0
        if self._header.fin and not self._in_frame:
            self._forget_message()

    def _check_text(self, message: bytearray, size: int) -> None:
        # RFC 6455 §8.1. Checked as it comes, so that a bad byte ends the connection before the message is complete.
        try:
            chunk = self._split + message[len(message) - size :]
            self._split = chunk[codecs.utf_8_decode(chunk, "strict", False)[1] :]
            if self._split[:1] == b"\xed" and self._split[1:2] >= b"\xa0":
                self._split.decode()  # half a surrogate: the codec waits for its third byte, which cannot mend it
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None

    def _finish_message(self, message: bytearray) -> Event:
        opcode = self._opcode
        self._forget_message()
        if opcode == 2:
            return mask.data(message, 0, len(message))
        try:
            return mask.text(message, 0, len(message))
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None

    def _forget_message(self) -> None:
        self._opcode = 0
        self._message = self._deflated = None
        self._inflation = None
        self._is_stream = False
        self._fragments = 0
        self._announced = 0
        self._inflated = 0
        self._split = b""

    # ---- streams

    def _chunk(self, message: bytearray, is_whole: bool) -> Event | None:
        """The next part of a stream; ``is_whole``: nothing of the frame is to be added to what is held."""
        is_rest = is_whole and len(message) <= CHUNK
        is_last = is_rest and self._header.fin
        if is_rest:
            self._in_frame = False
        data: str | bytes
        if self._opcode == 2:
            data = mask.data(message, 0, min(len(message), CHUNK))
            del message[:CHUNK]
        else:
            data = self._text_chunk(message, is_last)
        if is_last:
            self._forget_message()
        return Chunk(data, is_last) if data or is_last else None

    def _text_chunk(self, message: bytearray, is_last: bool) -> str:
        """Takes whole characters from the message. RFC 6455 §8.1 holds for a stream as it does for a message."""
        try:
            text, size = codecs.utf_8_decode(message[:CHUNK], "strict", is_last)
            del message[:size]
            if message[:1] == b"\xed" and message[1:2] >= b"\xa0":
                message[:2].decode()  # see _check_text
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None
        return text

    # ---- compressed messages

    def _deflated_payload(self, message: bytearray) -> Event | None:
        while True:
            if self._inflation is None or not self._inflation.has_more:
                if not self._collect():
                    return None
                if not self._feed_inflation():
                    return _PAUSE
            self._inflate(message)
            is_whole = self._left == 0 and not self._inflation.has_more
            if self._is_stream:
                event = self._chunk(message, is_whole)
                if event is not None or not self._in_frame:
                    return event
            elif is_whole and self._header.fin:
                self._in_frame = False
                return self._finish_message(message)

    def _collect(self) -> bool:
        """Takes what is still deflated. Returns whether it is enough to be inflated: a piece, or all that there is."""
        deflated = self._deflated
        assert deflated is not None
        self._take(deflated, PIECE - len(deflated))
        if (self._left == 0 and self._header.fin) or len(deflated) == PIECE or (self._is_stream and deflated):
            return True
        self._in_frame = self._left > 0
        return False

    def _feed_inflation(self) -> bool:
        """Begins with what has been collected. Returns False when there has been enough work since the last feed."""
        deflated = self._deflated
        assert deflated is not None
        self._work += len(deflated)
        if self._work > PIECE:
            self._work = 0
            return False
        if self._inflation is None:
            self._inflation = self.extension.begin()
        self._inflation.feed(bytes(deflated), self._left == 0 and self._header.fin)
        deflated.clear()
        return True

    def _inflate(self, message: bytearray) -> None:
        room = CHUNK - len(message) if self._is_stream else self.max_size + 1 - len(message)
        part: bytes = self._inflation.read(room) if room > 0 else b""
        message += part
        self._inflated += len(part)
        if self._inflated > self.max_size:
            if self._inflated > self.max_stream_size:
                raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message too big when inflated", self._size_limit())
            self._is_stream = True
