"""Frames put together to messages, with every limit kept as the bytes arrive (RFC 6455 §5.4, §5.6, §8.1).

A decoder is given a window onto the bytes received last and is asked for one event after the other. It looks into the
window only while it is asked, so the window may be a buffer that all connections share. What it keeps of an unfinished
message is a copy. A decoder that ``is_idle`` holds nothing and may serve another connection.

Ordinary Python; messages.pxd types it for the compiler.
"""

from __future__ import annotations

import codecs

from greenws.errors import ProtocolError

from . import mask
from .codes import CloseCode
from .events import Close, Ping, Pong
from .frames import FrameHeader, read_close, read_header

Event = str | bytes | Ping | Pong | Close | ProtocolError


class MessageDecoder:
    """Turns bytes into messages and control frames.

    Any bytes give events, the last of which may be one ProtocolError: nothing is raised. After that error, and after
    the peer's Close, whatever else arrives is ignored (RFC 6455 §7.1.7, §5.5.1). Not safe for use by two greenlets
    that switch in between ``feed`` and the last ``next``.

    Args:
        masked: whether the peer must mask its frames, which a client must (RFC 6455 §5.1).
        max_size: the largest message, in bytes after inflation.
        max_fragments: the most frames one message may come in.
        extension: inflates a message whose RSV1 is set: ``extension.decode(data, max_size) -> bytes``, raising
            ProtocolError. None when no extension was negotiated, so that RSV1 is an error.
    """

    def __init__(self, masked: bool, max_size: int, max_fragments: int, extension: object = None) -> None:
        self.masked = masked
        self.max_size = max_size
        self.max_fragments = max_fragments
        self.extension = extension
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
        self._fragments = 0
        self._message: bytearray | None = None
        self._split = b""  # the first bytes of a character, at the end of the text so far

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

    def feed(self, buffer: bytearray, start: int, stop: int) -> None:
        """Gives ``buffer[start:stop]``. It must stay as it is until ``next`` says None; no feed may come before that.

        Payloads are unmasked in place.
        """
        self._buffer = buffer
        self._at = start
        self._stop = stop

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
        self._message = self._control = self._partial = None

    def _next(self) -> Event | None:
        while True:
            if not self._in_frame:
                if not self._begin_frame():
                    return None
                if (
                    self._opcode == 0
                    and self._header.fin
                    and self._header.opcode < 8
                    and not self._header.compressed
                    and self._left <= self._stop - self._at
                ):
                    return self._whole_message()
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
            if header.length > self.max_size or header.length + self._size() > self.max_size:
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
                raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message in too many fragments")
        elif self._opcode != 0:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "message begun inside another")

    def _check_size(self) -> None:
        """More bytes than a message may have. What could not be made smaller gets a little larger by deflating."""
        compressed = self._compressed if self._header.opcode == 0 else self._header.compressed
        most = self.max_size + self.max_size // 16 + 64
        if not compressed or self._header.length > most or self._header.length + self._size() > most:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message too big")

    def _size(self) -> int:
        return 0 if self._message is None else len(self._message)

    def _whole_message(self) -> Event:
        """The common case: one frame that lies whole in the window is decoded where it is."""
        start = self._at
        stop = start + self._left
        self._at = stop
        mask.apply(self._buffer, start, stop, self._header.key, 0)
        if self._header.opcode == 2:
            return mask.data(self._buffer, start, stop)
        try:
            return mask.text(self._buffer, start, stop)
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None

    def _begin_payload(self) -> None:
        self._in_frame = True
        header = self._header
        if header.opcode >= 8:
            self._control = bytearray()
            return
        if header.opcode != 0:
            self._opcode = header.opcode
            self._compressed = header.compressed
            self._fragments = 0
            self._message = bytearray()
        self._fragments += 1

    def _take(self, into: bytearray) -> int:
        """Moves what the window has of the frame's payload behind ``into``, unmasked, and returns how much."""
        size = min(self._left, self._stop - self._at)
        stop = self._at + size
        mask.apply(self._buffer, self._at, stop, self._header.key, self._header.length - self._left)
        into += self._buffer[self._at : stop]
        self._at = stop
        self._left -= size
        return size

    def _control_payload(self) -> Event | None:
        control = self._control
        assert control is not None
        self._take(control)
        if self._left:
            return None
        self._in_frame = False
        self._control = None
        payload = bytes(control)
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
        size = self._take(message)
        if self._opcode == 1 and not self._compressed:
            self._check_text(message, size)
        if self._left:
            return None
        self._in_frame = False
        return self._finish_message(message) if self._header.fin else None

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
        self._opcode = 0
        self._message = None
        self._split = b""
        if self._compressed:
            return self._inflate(opcode, bytes(message))
        if opcode == 2:
            return mask.data(message, 0, len(message))
        try:
            return mask.text(message, 0, len(message))
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None

    def _inflate(self, opcode: int, deflated: bytes) -> Event:
        inflated: bytes = self.extension.decode(deflated, self.max_size)  # type: ignore[attr-defined]
        if opcode == 2:
            return inflated
        try:
            return inflated.decode()
        except UnicodeDecodeError:
            raise ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8") from None
