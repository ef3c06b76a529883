"""The socket of gevent-websocket's applications, on our connections."""

from __future__ import annotations

from typing import Any

from geventwebsocket import websocket as original
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.websocket import MSG_ALREADY_CLOSED, MSG_CLOSED, MSG_SOCKET_DEAD

from greenws.compat.upgrading import Environ
from greenws.errors import ConnectionClosed
from greenws.net.connection import Connection
from greenws.net.sender import offer
from greenws.protocol.codes import CloseCode
from greenws.protocol.frames import MAX_CONTROL, encode_frame, read_close

MAX_REASON = MAX_CONTROL - 2  # bytes: a Close frame has the code, too


class WebSocket(original.WebSocket):
    """What an application finds as ``environ["wsgi.websocket"]``.

    Like a ``Connection``, ``send`` and ``close`` are safe from several greenlets and from other threads; one greenlet
    may ``receive``. It is closed when the application returns.
    """

    def __init__(self, connection: Connection, environ: Environ, handler: Any) -> None:
        self.environ = environ
        self.handler = handler
        self.stream = self.raw_read = self.raw_write = None
        self._connection = connection
        self._is_told = False

    def __del__(self) -> None:
        """Nothing: the connection ends with the application, not with this object."""

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._is_told or self._connection.closed

    def receive(self) -> str | bytearray | None:
        """Returns the next message: str for text, bytearray for binary. Blocks the calling greenlet until there is one.

        Returns:
            None, once, when the connection has ended.

        Raises:
            WebSocketError: it had ended before.
        """
        if self._is_told:
            self.current_app.on_close(MSG_ALREADY_CLOSED)
            raise WebSocketError(MSG_ALREADY_CLOSED)
        try:
            message = self._connection.receive()
        except ConnectionClosed as end:
            self._is_told = True
            if end.code == CloseCode.ABNORMAL:
                self.current_app.on_close(MSG_CLOSED)
            return None
        return message if isinstance(message, str) else bytearray(message)

    read_message = receive

    def send(self, message: Any, binary: bool | None = None) -> None:
        """Sends a message. Blocks only while the peer reads too slowly, as ``Connection.send``.

        Args:
            message: a str, or anything bytes-like.
            binary: whether it goes as a binary message; None goes by its type.

        Raises:
            WebSocketError: the connection has ended.
        """
        if binary is None:
            binary = not isinstance(message, str)
        self.send_frame(message, self.OPCODE_BINARY if binary else self.OPCODE_TEXT)

    def send_frame(self, message: Any, opcode: int) -> None:
        """Sends a whole message of one frame, or a control frame. A ping is not waited for.

        Raises:
            WebSocketError: the connection has ended.
            ValueError: a control frame of more than 125 bytes, or an opcode that no message begins with.
            ProtocolError: what is to be sent as a Close is none.
        """
        if opcode == self.OPCODE_CLOSE:
            code, reason = read_close(message.encode() if isinstance(message, str) else bytes(message))
            self.close(CloseCode.NORMAL if code == CloseCode.NO_STATUS else code, reason)
        elif opcode == self.OPCODE_TEXT:
            self._send(message if isinstance(message, str) else _text(message))
        elif opcode == self.OPCODE_BINARY:
            self._send(message.encode() if isinstance(message, str) else message)
        elif opcode in (self.OPCODE_PING, self.OPCODE_PONG):
            self._send_control(opcode, message.encode() if isinstance(message, str) else bytes(message))
        else:
            raise ValueError(f"a frame of opcode {opcode} cannot be sent alone")

    def _send(self, message: Any) -> None:
        try:
            if self._is_told:
                raise ConnectionClosed(CloseCode.ABNORMAL)
            self._connection.send(message)
        except ConnectionClosed:
            self._is_dead()

    def _send_control(self, opcode: int, payload: bytes) -> None:
        if len(payload) > MAX_CONTROL:
            raise ValueError(f"a control frame holds at most {MAX_CONTROL} bytes, not {len(payload)}")
        if self.closed:
            self._is_dead()
        offer(self._connection, encode_frame(opcode, payload), "drop")

    def _is_dead(self) -> None:
        self.current_app.on_close(MSG_SOCKET_DEAD)
        raise WebSocketError(MSG_SOCKET_DEAD)

    def close(self, code: int = CloseCode.NORMAL, message: str | bytes | None = b"") -> None:
        """Starts the closing handshake. Does not block. Closing again does nothing.

        Args:
            code: the close code, which gevent-websocket does not send.
            message: the reason; of a longer one the first 123 bytes are sent.

        Raises:
            ValueError: the code may not be sent.
        """
        if self.closed:
            self.current_app.on_close(MSG_ALREADY_CLOSED)
        self._is_told = True
        reason = _text(message or "").encode()[:MAX_REASON].decode(errors="ignore")
        self._connection.close(code, reason)


def _text(message: Any) -> str:
    return message if isinstance(message, str) else bytes(message).decode()
