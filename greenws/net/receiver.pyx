"""The receiving half of a connection: messages in, handlers run.

What has arrived is decoded in the hub. Then whoever handles it has a turn: the greenlet inside ``receive``, or one of the pool's.
When the handler is behind, at most ``inbox_size`` messages and one read's bytes wait here, then reading stops: a flood costs its
sender, not us. The decoder is lent only while it holds part of a message, so a quiet connection has none.
"""

from collections import deque

from gevent import Timeout
from greenlet import GreenletExit

from greenws.errors import ConnectionClosed, OperationTimeout, StateError
from greenws.net.wheel import TICK
from greenws.protocol.events import Chunk, Pause

from greenws.net.control cimport Control
from greenws.net.counts cimport Counts, nanoseconds
from greenws.net.greenlets cimport current_greenlet
from greenws.net.pool cimport HandlerPool
from greenws.net.reactor cimport WRITE
from greenws.net.sender cimport CLOSED, CLOSING, CONNECTING, OPEN, Service
from greenws.protocol.messages cimport MessageDecoder

cdef enum:
    SKIP = 1048576  # bytes of a stream that nobody reads any more, passed over in one turn

cdef object END = object()  # stands behind the last message


cdef class Receiver(Control):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    def set_opener(self, opener):
        """Sets what is called, once, when a connection that is not open yet is first used. For the framework."""
        self.opener = opener

    cdef int before_io(self) except -1:
        if self.state == CONNECTING and self.opener is not None:
            opener = self.opener
            self.opener = None
            opener(self)
        return 0

    cdef int settle(self) except -1:
        return 0

    cdef object begin_stream(self, object event):
        return None

    cdef int leave_stream(self) except -1:
        return 0

    def receive(self, timeout=None):
        """Returns the next message: str for text, bytes for binary. Blocks the calling greenlet until there is one.

        Args:
            timeout: seconds to wait; None waits as long as the connection lives.

        Raises:
            ConnectionClosed: there is none and will be none.
            OperationTimeout: none came in time. The connection is as before.
            StateError: another greenlet is receiving, or the connection is served by ``on_message``.
        """
        return self.take_message(timeout)

    @property
    def is_quiet(self):
        """Whether all that has come from the peer has been received: no message waits, nor a part of one. For the pool."""
        return self.first is None and self.decoder is None and self.backlog is None

    cdef object take_message(self, timeout):
        message = self._next_message(timeout)
        if message is END:
            raise self.closed_error()
        return message

    cdef object _next_message(self, timeout):
        """Waits for the next message; END when there will be none."""
        event = self._next_event(timeout)
        if type(event) is Chunk:
            self.first = self.rest = None
            self.waiting_size = 0
            self.fail(1009, "message too big")
            return END
        return event

    cdef object take_event(self, timeout):
        """Waits for the next message, or the first chunk of one."""
        event = self._next_event(timeout)
        if event is END:
            raise self.closed_error()
        return event

    cdef object _next_event(self, timeout):
        if self.service.on_message is not None:
            raise StateError("messages of this connection go to on_message; receive is for blocking-style views")
        if self.receiver is not None:
            raise StateError("another greenlet is already receiving from this connection")
        if self.state == CONNECTING:
            self.before_io()
        if self.taken_at:
            self.service.counts.handled(self.taken_at)
            self.taken_at = 0
        cdef object me = current_greenlet()
        if self.service.between is not None:
            self.service.between(me)
        if self.in_stream:
            self.leave_stream()
        if self.first is None:
            self.settle()
            if self.first is None and not self.close_sent and self.state != CLOSED:
                if timeout is None:
                    self.wait_for_message(me)
                else:
                    self._wait_for_message_until(timeout, me)
        if self.first is None:
            return END
        if self.service.counts.is_timed:
            self.taken_at = nanoseconds()
        return self.take_first()

    cdef object take_first(self):
        message = self._pop()
        self.corked = self.first is not None
        if self.first is None and (self.paused or self.state == CLOSING):
            self.reactor.defer(self)  # a Close that came behind this message is answered when the caller next waits
        return message

    cdef int wait_for_message(self, object me) except -1:
        if self.receiver is not None:  # another came while ``between`` ran
            raise StateError("another greenlet is already receiving from this connection")
        try:
            while self.first is None and not self.close_sent and self.state != CLOSED:
                self.receiver = me
                self.reactor.wait(me)
        finally:
            self.receiver = None
        return 0

    cdef int _wait_for_message_until(self, timeout, object me) except -1:
        timer = Timeout.start_new(timeout)
        try:
            self.wait_for_message(me)
        except Timeout as error:
            if error is not timer:
                raise
            raise OperationTimeout(f"no message within {timeout} s") from None
        finally:
            timer.close()
        return 0

    def receive_json(self, timeout=None):
        """Returns the value of the next message, which must be JSON. See ``receive``.

        Raises:
            ValueError: the message is not JSON. The connection stays open.
        """
        return self.service.loads(self.take_message(timeout))

    def __iter__(self):
        return self

    def __next__(self):
        """Returns the next message. Stops when the connection has ended normally (1000, 1001, no code), or by our ``close``;

        and whatever the end, where another connection follows: see ``greenws.reconnect``.
        """
        message = self._next_message(None)
        if message is not END:
            return message
        error = self.closed_error()
        if error.is_normal or self.ended_here or self.service.ends_quietly:
            raise StopIteration
        raise error

    cdef int received(self, bytearray data, Py_ssize_t size) except -1:
        cdef MessageDecoder decoder = self.decoder
        self.seen = True
        self.service.counts.received_bytes += size
        if self.failed:
            return 0
        if decoder is None:
            decoder = self.service.lend()
            decoder.extension = self.deflate
        decoder.feed(data, 0, size)
        return self.pump(decoder, data, size)

    cdef int pump(self, MessageDecoder decoder, bytearray data, Py_ssize_t size) except -1:
        """Takes events from the decoder until it has no more or the inbox is full, then gives them to the handler."""
        cdef object event
        cdef Py_ssize_t skipped = 0
        decoder.discard = self.close_sent  # what comes then reaches nobody
        self.held = True  # answers to what came together are collected; they leave when all of it has been looked at
        while True:
            event = decoder.next() if decoder.has_more() else None
            if event is None:
                break
            if isinstance(event, str) or isinstance(event, bytes) or (type(event) is Chunk and not self.skipping):
                self._push(event)
                if self.rest is not None and (
                    len(self.rest) >= self.service.inbox_size or self.waiting_size >= self.service.message_size
                ):
                    self.hit("inbox_size")
                    self._hold(decoder, data, size)
                    break
            elif type(event) is Chunk or type(event) is Pause:
                skipped += SKIP if type(event) is Pause else self._skip(event)
                if skipped >= SKIP:
                    self._hold(decoder, data, size)
                    self.reactor.next_turn(self)
                    break
            else:
                self.control(event)
                if self.state == CLOSED:
                    return 0
                if self.failed:
                    break  # RFC 6455 §7.1.7: nothing behind it is looked at
        if decoder._is_idle():
            self.decoder = None
            self.partial_since = 0
            decoder.extension = None
            self.service.spare = decoder
        else:
            self.decoder = decoder
            if not self.partial_since:
                self.partial_since = self.reactor.wheel.tick or 1
                if self.service.message_ticks:
                    self.reactor.wheel.schedule_sooner(self, self.service.message_ticks * TICK)
        return self.dispatch()

    cdef Py_ssize_t _skip(self, object chunk) except -1:
        """Drops a chunk of a stream that nobody reads any more, and returns how much that was."""
        self.skipping = not chunk.is_last
        self.service.counts.received += chunk.is_last
        self.partial_since = 0
        return len(chunk)

    cdef int _hold(self, MessageDecoder decoder, bytearray data, Py_ssize_t size) except -1:
        """Stops reading. What has been read waits, and so does what the decoder has more to say."""
        self.backlog = bytes(data[decoder._at : size])
        self.service.counts.received_bytes -= size - decoder._at  # until it is read on
        return self.pause()

    cdef int _push(self, object message) except -1:
        if self.close_sent:
            return 0  # nobody waits for it any more
        if type(message) is not Chunk or message.is_last:
            self.service.counts.received += 1
        self.last_message = self.reactor.wheel.tick
        self.waiting_size += len(message)
        self.partial_since = 0  # what follows is another message, with a time of its own
        if self.first is None:
            self.first = message
        else:
            if self.rest is None:
                self.rest = deque()
            self.rest.append(message)
        return 0

    cdef object _pop(self):
        cdef object message = self.first
        self.waiting_size -= len(message)
        if self.rest is None:
            self.first = None
        else:
            self.first = self.rest.popleft()
            if not self.rest:
                self.rest = None
        return message

    cdef int dispatch(self) except -1:
        """In the hub: gives whoever handles messages a turn, if there are any and nobody does."""
        if self.first is not None and (self.receiver is not None or (self.service.on_message is not None and not self.busy)):
            self.held = True
            return self.reactor.line.add(self, self.waiting_size)
        self.held = False
        if self.outbox is not None and self.interest & WRITE == 0:
            self.flush()
        return self.settle()

    cdef object begin_turn(self):
        cdef object greenlet = self.receiver
        if self.first is None:
            return None
        if greenlet is not None:
            self.receiver = None
        elif self.service.on_message is not None and not self.busy:
            greenlet = (<HandlerPool> self.reactor.pool).take(self)
            self.busy = greenlet is not None
        return greenlet

    cdef int start_turn(self) except -1:
        if self.first is not None and self.service.on_message is not None and not self.busy:
            self.to_pool()
        return 0

    cdef int end_turn(self) except -1:
        self.held = False
        if self.state == CLOSING:
            self.reactor.defer(self)  # it ends in the hub: the greenlet that waits now may be one that ends with it
        elif self.outbox is not None and self.interest & WRITE == 0:
            self.flush()
        return 0

    cdef int to_pool(self) except -1:
        """Lets a greenlet of the pool run ``work``, now or when there is one."""
        self.busy = True
        if (<HandlerPool> self.reactor.pool).submit(self):
            self.hit("pool_size")
        return 0

    cdef int work(self) except -1:
        """In a greenlet of the pool: handles all messages that wait, then the end if it has come."""
        cdef Counts counts = self.service.counts
        cdef long long begin = nanoseconds() if counts.is_timed else 0
        try:
            while self.first is not None:
                message = self._pop()
                self.corked = self.first is not None and self.state == OPEN
                self.handle(message)
                if self.in_stream:
                    self.leave_stream()
                if counts.is_timed:
                    begin = counts.handled(begin)
            if self.state == CLOSED and self.opened and not self.told:
                self.told = True
                self.handle(END)
        finally:
            self.busy = False
            self.corked = False
            if self.state == CLOSED:
                self.reactor.defer(self)
            elif self.first is not None or self.paused:
                self.reactor.next_turn(self)
            elif self.outbox is not None and not self.held:
                self.flush()
            self.settle()
        return 0

    cdef int handle(self, object message) except -1:
        cdef Service service = self.service
        try:
            if type(message) is Chunk:
                service.on_stream(self, self.begin_stream(message))
            elif message is not END:
                service.on_message(self, message)
            elif service.on_close is not None:
                service.on_close(self, self.code or 1006, self.reason or "")
        except GreenletExit:
            self.close(1011, "handler was killed")
            raise
        except ConnectionClosed as error:
            if self.state < CLOSING and not self.broken:  # it is another connection that has ended
                self.handler_failed(error)
        except (Exception, Timeout) as error:
            self.handler_failed(error)
        return 0

    def handler_failed(self, error):
        """Reports what a handler raised and closes with 1011. For the framework, inside the except clause."""
        try:
            if self.service.on_error is not None:
                self.service.on_error(self, error)
        finally:
            self.close(1011, "internal error")
