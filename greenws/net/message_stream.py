"""Messages received by and by: an iterator over the chunks of one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from greenws.protocol.events import Chunk

if TYPE_CHECKING:
    from greenws.net.inflow import Inflow


class MessageStream:
    """One message as it arrives. Iterate over it once; each step blocks the calling greenlet until there is a chunk.

    A chunk is str if the message is text, and bytes if it is binary. It has at most 64 KiB, or is the whole of a
    message that was held in memory. Chunks are not those that the peer has sent, and never cut a character.

    To stop before the end is allowed: the rest is skipped when the connection is received from again. The connection
    owns everything, so there is nothing to close. For one greenlet.

    Attributes:
        is_text: whether the chunks are str.
    """

    __slots__ = ("_conn", "_first", "_is_over", "_number", "is_text")

    def __init__(self, conn: Inflow, number: int, first: str | bytes | Chunk) -> None:
        self._conn = conn
        self._number = number
        self._first: Chunk | None = first if isinstance(first, Chunk) else Chunk(first, True)
        self._is_over = False
        self.is_text = isinstance(self._first.data, str)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str | bytes:
        """Returns the next chunk, which is not empty.

        Raises:
            ConnectionClosed: the connection has ended, and the message has not.
            StateError: the connection has been received from since, so the rest of the message is gone.
        """
        while not self._is_over:
            chunk = self._conn.next_chunk(self._number) if self._first is None else self._first
            self._first = None
            self._is_over = chunk.is_last
            if chunk.data:
                return chunk.data
        raise StopIteration
