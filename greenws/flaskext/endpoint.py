"""The base of event-style routes."""

from __future__ import annotations

from typing import Any

from greenws.net.connection import Connection
from greenws.net.message_stream import MessageStream


class Endpoint:
    """Handlers of one route. One instance serves all of its connections, so what belongs to a connection is kept on it.

    While a connection is quiet, nothing runs and next to nothing is held for it. Handlers may block: each runs in a
    greenlet of the pool. For one connection they never overlap: ``on_open``, then ``on_message`` and ``on_stream`` in
    the order of the messages, then ``on_close``.
    """

    def on_open(self, conn: Connection, *args: Any, **values: Any) -> Any:
        """The upgrade is about to be accepted; ``flask.request`` and ``session`` work.

        Returning a response, or ``abort(…)``, refuses it with that response. What is sent here leaves right behind the
        101.

        Args:
            conn: the connection.
            args: none; they are here so that a subclass may name its values: ``on_open(self, conn, room)``.
            values: the values of the URL rule.
        """

    def on_message(self, conn: Connection, message: str | bytes) -> Any:
        """A message has come: str for text, bytes for binary. Runs in an app context of its own."""

    def on_stream(self, conn: Connection, stream: MessageStream) -> Any:
        """A message larger than ``max_message_size`` has begun to come; ``stream`` is an iterator of its chunks.

        It may block on the next chunk. What it leaves of the message is skipped. Without this handler, or without
        ``max_stream_size``, such a message closes the connection with 1009. Runs like ``on_message``, in its order.
        """

    def on_close(self, conn: Connection, code: int, reason: str) -> Any:
        """The connection has ended. Called once for every connection whose ``on_open`` has returned.

        Args:
            conn: the connection.
            code: as ``conn.close_code``.
            reason: as ``conn.close_reason``.
        """
