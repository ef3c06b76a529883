"""The sending half of a connection: frames out, in order, bounded, never interleaved.

A whole frame is either written or queued in one step that cannot switch to another greenlet, so writers need no lock. At the
high-water mark ``send`` waits for room and ``offer``, on which broadcasts stand, applies its policy instead.
"""

import json
import os
from collections import deque

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from gevent.monkey import get_original
from libc.string cimport memcpy

from greenws.errors import ConnectionClosed, StateError

from greenws.net.counts cimport Counts
from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.outbox cimport Outbox
from greenws.net.stream cimport Stream
from greenws.net.turn cimport Turn
from greenws.protocol.frames cimport write_header
from greenws.protocol.mask cimport xor_into

from greenws.net.heartbeat import Rhythm
from greenws.net.wheel import TICK

cdef enum:
    CLOSE_POLICY = 0
    DROP_POLICY = 1
    LATEST_POLICY = 2
    KEYS = 4096
    MASKED = 65536  # a payload up to this size is masked in one place; a larger one has its own
    RSV1 = 0x40  # the message is deflated (RFC 7692 §6)

cdef bytes keys = b""
cdef Py_ssize_t keys_at = 0
cdef unsigned char masked_here[MASKED]


cdef unsigned int random_key():
    """A masking key nobody can foretell (RFC 6455 §5.3, §10.3), from the system's random source by the page."""
    global keys, keys_at
    cdef unsigned int key
    if keys_at + 4 > PyBytes_GET_SIZE(keys):
        keys = os.urandom(KEYS)
        keys_at = 0
    memcpy(&key, PyBytes_AS_STRING(keys) + keys_at, 4)
    keys_at += 4
    return key


def _forget_keys():
    """In a child that was forked: its parent goes on with the same page."""
    global keys
    keys = b""


os.register_at_fork(after_in_child=_forget_keys)


cdef unsigned int in_ticks(object seconds):
    return 0 if seconds is None else max(1, round(seconds / TICK))


cdef class Service:
    """What all connections of one route share: settings, handlers, and where they are counted.

    Args:
        config: the ``greenws.config.Config``.
        registry: has ``add(conn)``, ``discard(conn)``, and the ``limits`` in which is counted which was hit.
        name: the route, for logs.
        is_server: whether we are the server's side, whose peer must mask.
        on_message: ``on_message(conn, message)`` for the event style, None for the blocking one.
        on_stream: ``on_stream(conn, stream)`` for messages that are larger than is held in memory; None refuses them.
        on_close: ``on_close(conn, code, reason)``, once, when all messages have been handled.
        on_error: ``on_error(conn, error)`` inside the except clause of a handler that raised.
        between: ``between(greenlet)`` before a blocking-style ``receive`` waits, in the greenlet that calls it.
        around: ``around(function, args, kwargs)`` calls a function given to ``spawn``.
        dumps, loads: for ``send_json`` and ``receive_json``.

    Attributes:
        rhythm: of the heartbeat, or None.
        counts: what has happened on the route.
        ends_quietly: a loop over the messages just ends, whatever ended the connection, because another one follows.
    """

    def __init__(self, config, registry, name="", *, is_server=True, on_message=None, on_stream=None, on_close=None,
                 on_error=None, between=None, around=None, dumps=json.dumps, loads=json.loads):
        self.config = config
        self.registry = registry
        self.name = name
        self.is_server = is_server
        self.on_message = on_message
        self.on_stream = on_stream
        self.on_close = on_close
        self.on_error = on_error
        self.between = between
        self.around = around
        self.dumps = dumps
        self.loads = loads
        self.counts = Counts(config.metrics is not None)
        self.high_water = config.high_water_mark
        self.inbox_size = config.inbox_size
        self.message_size = config.max_message_size
        self.control_rate = config.max_control_rate
        self.write_ticks = in_ticks(config.write_timeout)
        self.close_ticks = in_ticks(config.close_timeout)
        self.message_ticks = in_ticks(config.message_timeout)
        self.idle_ticks = in_ticks(config.idle_timeout)
        self.rhythm = None if config.ping_interval is None else Rhythm(config.ping_interval, config.ping_timeout)

    cdef MessageDecoder lend(self):
        """Returns a decoder that holds nothing. One serves all connections that are between two messages."""
        cdef MessageDecoder decoder = self.spare
        self.spare = None
        if decoder is None:
            config = self.config
            size = 0 if self.on_message is not None and self.on_stream is None else config.max_stream_size or 0
            decoder = MessageDecoder(self.is_server, config.max_message_size, config.max_fragments, None, size)
        return decoder


cdef class Sender(Stream):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    cdef int before_io(self) except -1:
        """A chance for the receiving half to finish an upgrade that waits for the first use of the connection."""
        return 0

    cdef int hit(self, str limit) except -1:
        """Counts a limit that was reached, by its setting's name."""
        self.service.registry.limits[limit] += 1
        return 0

    cdef int wake_writers(self) except -1:
        cdef object writers
        if self.turn is not None and self.turn.wake(self.close_sent or self.state == CLOSED):
            self.turn = None
        if self.outbox is not None and self.outbox.writers is not None:
            writers = self.outbox.writers
            while writers and (self.state == CLOSED or self.outbox.size() <= self.service.high_water // 2):
                run_greenlet(writers.popleft())
                if self.outbox is None:
                    break
        return 0

    cdef object closed_error(self):
        return ConnectionClosed(self.code or 1006, self.reason or "")

    cdef int check_open(self) except -1:
        if self.close_sent or self.state == CLOSED or self.broken:
            raise self.closed_error()
        return 0

    cdef int write_frame(self, unsigned char first, const char* payload, Py_ssize_t size) except -1:
        cdef Py_ssize_t n
        cdef unsigned int key
        cdef bytearray large, head = self.reactor.head
        cdef unsigned char* masked = masked_here
        if first & 0x88 == 0x80:  # the end of a message, and no control frame
            self.service.counts.sent += 1
        if self.service.is_server:
            n = write_header(head, 0, first, size, False, 0)
            self.service.counts.sent_bytes += n + size
            return self.write(<const unsigned char*> <char*> head, n, payload, size)
        key = random_key()
        n = write_header(head, 0, first, size, True, key)
        self.service.counts.sent_bytes += n + size
        if size > MASKED:
            large = PyByteArray_FromStringAndSize(NULL, size)
            masked = <unsigned char*> PyByteArray_AS_STRING(large)
        xor_into(masked, <const unsigned char*> payload, size, key)
        return self.write(<const unsigned char*> <char*> head, n, <char*> masked, size)

    cdef bytes deflated(self, const char* data, Py_ssize_t size, object compress):
        """Returns the payload deflated; None when it goes as it is. To be sent at once: the peer must inflate in this order."""
        if size < self.deflate.threshold if compress is None else not compress:
            return None
        return self.deflate.encode(data[:size])

    def send(self, message, compress=None):
        """Sends a message: text from a str, binary from anything bytes-like.

        Returns at once while fewer than ``high_water_mark`` bytes wait for the peer; else it blocks the calling greenlet until
        the peer has read on. Safe from several greenlets, and from another thread, which is made to wait for the hub.

        Args:
            message: what to send.
            compress: whether to compress it, if that was agreed on; None goes by its size.

        Raises:
            ConnectionClosed: the connection has ended, or was dropped because the peer did not read for ``write_timeout``.
            TypeError: the message is neither text nor bytes.
            StateError: called in the hub when it would have to wait.
        """
        cdef const char* data
        cdef Py_ssize_t size
        cdef unsigned char first = 0x81
        cdef bytes payload
        if not self.reactor.is_here():
            return self._from_thread(self.send, message, compress)
        if self.state != OPEN:
            self.before_io()
        self.check_open()
        if self.turn is not None and self.turn.wait():
            self.check_open()
        if self.outbox is not None and self.outbox.size() >= self.service.high_water:
            self.wait_for_room()
        if self.outbox is not None and self.outbox.latest is not None:
            self.push_latest()
        self.last_message = self.reactor.wheel.tick
        if isinstance(message, str):
            data = PyUnicode_AsUTF8AndSize(message, &size)
        else:
            if not isinstance(message, bytes):
                message = as_bytes(message)
            first = 0x82
            data = PyBytes_AS_STRING(message)
            size = PyBytes_GET_SIZE(message)
        if self.deflate is not None:
            payload = self.deflated(data, size, compress)
            if payload is not None:
                first |= RSV1
                data = PyBytes_AS_STRING(payload)
                size = PyBytes_GET_SIZE(payload)
        self.write_frame(first, data, size)
        if self.broken:
            raise self.closed_error()

    def send_json(self, value, compress=None):
        """Sends a value as a text message of JSON, made by Flask's JSON provider on a server. See ``send``."""
        self.send(self.service.dumps(value), compress)

    cdef int write_whole(self, bytes frame) except -1:
        """Writes a message that has been made a frame elsewhere."""
        self.service.counts.sent += 1
        self.service.counts.sent_bytes += PyBytes_GET_SIZE(frame)
        return self.write_shared(frame)

    cdef int push_latest(self) except -1:
        """What waits as the latest leaves before anything newer."""
        cdef bytes frame = self.outbox.latest
        self.outbox.latest = None
        return self.write_whole(frame)

    cdef int wait_for_room(self) except -1:
        cdef Outbox outbox
        cdef object me = current_greenlet()
        if self.state == CONNECTING and self.service.on_message is not None:
            raise StateError("before the connection is open, no more than high_water_mark bytes may be sent")
        if me is self.reactor.hub:
            raise StateError("send would have to wait for a slow reader, which the hub cannot do; call it in a greenlet")
        self.flush()
        while self.outbox is not None and self.outbox.size() >= self.service.high_water:
            outbox = self.outbox
            if outbox.writers is None:
                outbox.writers = deque()
            if not outbox.over_since:
                self._over_the_mark()
            outbox.writers.append(me)
            try:
                self.reactor.wait(me)
            finally:
                if outbox.writers and me in outbox.writers:
                    outbox.writers.remove(me)
            self.check_open()
        return 0

    cdef int _over_the_mark(self) except -1:
        self.hit("high_water_mark")
        self.service.counts.high_water += 1
        self.outbox.over_since = self.reactor.wheel.tick or 1
        self.reactor.wheel.schedule_sooner(self, self.service.write_ticks * TICK)
        return 0

    cdef int offer(self, bytes frame, int policy, bytes payload) except -1:
        """Queues a frame made elsewhere without ever waiting. Returns whether the peer will get it, 2 when it was too slow.

        With its ``payload`` the frame is only sent if it must wait: else the payload is deflated in the connection's context, which
        may hold nothing that the peer does not get.
        """
        cdef Outbox outbox = self.outbox
        cdef Py_ssize_t size
        if self.state >= CLOSING or self.close_sent or self.broken:
            return 0
        self.last_message = self.reactor.wheel.tick
        if self.turn is not None and self.turn.owner is not None:
            size = self.turn.size + (0 if outbox is None else outbox.size())
            if policy == LATEST_POLICY and self.turn.has_latest:
                self.service.counts.dropped += 1
            if self.turn.hold(frame, payload, size < self.service.high_water, policy == LATEST_POLICY):
                return 1
            return self._too_slow(policy)
        if outbox is not None and outbox.latest is not None:
            if policy == LATEST_POLICY:
                self.service.counts.dropped += 1
                outbox.latest = frame
                return 1
            self.push_latest()
        if outbox is not None and outbox.size() >= self.service.high_water:
            self.flush()
            outbox = self.outbox
        if outbox is not None and outbox.size() >= self.service.high_water:
            if not outbox.over_since:
                self._over_the_mark()
            if policy == LATEST_POLICY:
                outbox.latest = frame
                return 1
            return self._too_slow(policy)
        self.write_offered(frame, payload)
        return not self.broken

    cdef int _too_slow(self, int policy) except -1:
        if policy == CLOSE_POLICY:
            self.service.counts.too_slow += 1
            return 2
        self.service.counts.dropped += 1
        return 0

    cdef int write_offered(self, bytes frame, bytes payload) except -1:
        if payload is None:
            return self.write_whole(frame)
        payload = self.deflate.encode(payload)
        return self.write_frame(
            <unsigned char> PyBytes_AS_STRING(frame)[0] | RSV1, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    def _from_thread(self, call, *args):
        """Runs a call in this connection's hub and waits for its result, from another thread."""
        done = get_original("threading", "Event")()
        result = []

        def run():
            try:
                result.append((True, call(*args)))
            except BaseException as error:
                result.append((False, error))
            finally:
                done.set()

        self.reactor.loop.run_callback_threadsafe(_spawn, run)
        done.wait()
        if result[0][0]:
            return result[0][1]
        raise result[0][1]


def _spawn(run):
    from gevent import spawn_raw

    spawn_raw(run)


cpdef bytes as_bytes(object message):
    """Returns the bytes of anything bytes-like. Raises TypeError for everything else, numbers and lists included."""
    if isinstance(message, (bytes, bytearray, memoryview)):
        return bytes(message)
    try:
        return bytes(memoryview(message))
    except TypeError:
        raise TypeError(f"a message is str or bytes-like, not {type(message).__name__}; send_json takes other values") from None


cdef dict POLICIES = {"close": CLOSE_POLICY, "drop": DROP_POLICY, "latest": LATEST_POLICY}


cpdef int offer(Sender connection, bytes frame, str policy, bytes payload=None) except -1:
    """Queues a whole frame without waiting: 1 when the peer will get it, 0 when not, 2 when it reads too slowly.

    With a payload it is deflated in the connection's own context; the frame, with the same payload, is what may wait undeflated.
    """
    if connection is None or frame is None:
        raise TypeError("offer wants a connection and a frame")
    return connection.offer(frame, POLICIES[policy], payload)
