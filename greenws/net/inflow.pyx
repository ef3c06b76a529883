"""Messages received by and by. The reader has its ``MessageStream``; what there is to be kept of it is kept here.

While a stream is being read its chunks are all there is in the inbox, or at least what is in front. When its reader leaves it
they are dropped, and the rest of it as it comes.
"""

from greenws.errors import StateError
from greenws.net.message_stream import MessageStream
from greenws.protocol.events import Chunk

from greenws.net.greenlets cimport current_greenlet
from greenws.net.pool cimport HandlerPool
from greenws.net.receiver cimport Receiver
from greenws.net.sender cimport CLOSED, CLOSING


cdef class Inflow(Receiver):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    def receive_stream(self, timeout=None):
        """Returns the next message, small or large, as a ``MessageStream``: an iterator over chunks that are str or bytes.

        Blocks the calling greenlet until a message has come, or as much of one as is held in memory. Messages larger than
        ``max_message_size`` come only where ``max_stream_size`` is set.

        Args, Raises: as ``receive``.
        """
        return self.begin_stream(self.take_event(timeout))

    cdef object begin_stream(self, object event):
        self.streams += 1
        self.in_stream = type(event) is Chunk and not event.is_last
        return MessageStream(self, self.streams, event)

    def next_chunk(self, unsigned int number):
        """Returns the next ``Chunk`` of a stream, by its number. For ``MessageStream``."""
        if number != self.streams or not self.in_stream:
            raise StateError("the connection has been received from since, and the rest of this message was skipped")
        if self.first is None and not self.close_sent and self.state != CLOSED:
            self._wait_for_chunk()
        if self.first is None:
            raise self.closed_error()
        chunk = self.take_first()
        self.in_stream = not chunk.is_last
        return chunk

    cdef int _wait_for_chunk(self) except -1:
        cdef HandlerPool pool = self.reactor.pool
        if self.paused or self.state == CLOSING:
            self.reactor.defer(self)  # to read on, or to answer the Close, for nothing is in the way any more
        if self.service.on_message is None:
            return self.wait_for_message(current_greenlet())
        pool.step_out()  # a peer that sends slowly must not keep others from their handlers
        try:
            return self.wait_for_message(current_greenlet())
        finally:
            pool.step_in()

    cdef int leave_stream(self) except -1:
        """Lets go of what its reader has left of a stream: what is here, and what is still to come."""
        self.in_stream = False
        while self.first is not None:
            if self.take_first().is_last:
                return 0
        self.skipping = True
        return 0
