"""A WebSocket connection: its beginning, its end, and its deadlines. The halves are in ``sender`` and ``receiver``.

The life of a connection:

    CONNECTING ──attach──▶ OPEN ──Close sent or received──▶ CLOSING ──▶ CLOSED
         └── abandon ─────────────── connection lost ─────────────────────┘

What runs here runs in the hub, in the one greenlet that receives, or in one greenlet of the pool. Nothing needs a lock, because a
switch happens only where a docstring says that a call blocks. ``finish`` is the one way out: it releases everything.
"""

import gevent
from gevent import Timeout

from greenws.errors import ConnectionClosed
from greenws.net.wheel import TICK

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport NAN

from greenws.net.closing cimport Closing
from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.heartbeat cimport Rhythm
from greenws.net.outbox cimport Outbox
from greenws.net.pool cimport get_pool
from greenws.net.reactor cimport WRITE
from greenws.net.sender cimport CLOSED, CLOSING, CONNECTING, OPEN, Service

cdef extern from "unistd.h":
    int close_descriptor "close"(int fd)

cdef unsigned long long last_id = 0


cdef long sooner(long one, long other) noexcept:
    """Which of two waits ends first; 0 is none."""
    return other if not one or 0 < other < one else one


class Extras:
    """What only some connections need, so that the others do not pay for it."""

    __slots__ = ("closers", "greenlets", "pings")

    def __init__(self):
        self.closers = []  # greenlets inside wait_closed
        self.greenlets = set()  # made by spawn
        self.pings = {}  # payload: [greenlet, when sent, round trip]


cdef class Connection(Closing):
    """One WebSocket. Made by the framework; a handler gets it as its first argument.

    All methods may be called from any greenlet of the connection's thread; ``send`` and ``close`` from other threads too. Only one
    greenlet may ``receive``. Whoever serves the connection releases it: when the view returns or raises, when the peer goes, at
    ``close``, or at the end of ``with conn:``.

    Free attributes may be set: ``conn.room = "lobby"``.

    Attributes:
        id: a number no other connection of this process has.
        path: the path of the request, without its query.
        remote_addr: the peer's address as Flask gives it.
        subprotocol: what was agreed on (RFC 6455 §1.9), or None.
        latency: the last measured round trip in seconds, NaN before the first.
    """

    def __init__(self, Service service not None, path="/", remote_addr=None, subprotocol=None, opener=None, deflate=None):
        global last_id
        last_id += 1
        self.id = last_id
        self.service = service
        self.path = path
        self.remote_addr = remote_addr
        self.subprotocol = subprotocol
        self.opener = opener
        self.deflate = deflate
        self.latency = NAN
        self.state = CONNECTING
        service.registry.add(self)
        get_pool(self.reactor, service.config.pool_size)

    # ---- the beginning

    def attach(self, int fd, bytes head=b"", bytes early=b"", tls=None):
        """Hands the descriptor over: from here on this object owns it, also when this call fails.

        Args:
            fd: a connected, non-blocking descriptor.
            head: what goes out first: the 101 response.
            early: bytes that the peer sent behind its handshake.
            tls: the ``greenws.net.transport.TLS`` that encrypts them, or None.
        """
        if self.state == CLOSED:
            close_descriptor(fd)
            raise self.closed_error()
        self.state = CLOSING if self.close_sent else OPEN
        self.service.counts.opened += 1
        self.opener = None
        queued = self.outbox
        self.outbox = None
        try:
            self.take(fd, tls)
        except OSError:
            self.finish()
            raise
        self.seen = True
        self.last_message = self.reactor.wheel.tick
        self._send_first(head, queued)
        if self.service.rhythm is not None:
            self._start_heart()
        if self.service.idle_ticks:
            self.reactor.wheel.schedule_sooner(self, self.service.idle_ticks * TICK)
        if self.close_sent:
            self.begin_closing()
        if early:
            self.backlog = early
            self.pause()
        self.reactor.defer(self)

    cdef int _start_heart(self) except -1:
        cdef unsigned int now = self.reactor.wheel.tick
        self.pace = self.service.rhythm.first_pace
        self.beat_tick = now + self.service.rhythm.next_beat(self.id, now, self.pace)
        self.reactor.wheel.schedule_sooner_at(self, self.beat_tick - now)
        return 0

    def _send_first(self, bytes head, queued):
        cdef Outbox waiting = queued
        if waiting is None and not head:
            return
        if waiting is None:
            self.write(<const unsigned char*> PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), "", 0)
        else:
            self.write(<const unsigned char*> PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head),
                       <const char*> waiting.data + waiting.start, waiting.size())
            if waiting.writers:
                self.need_outbox().writers = waiting.writers

    def abandon(self):
        """Ends a connection that never was handed a descriptor: the upgrade was refused or failed."""
        if self.state == CONNECTING:
            self.finish()

    def accept(self):
        """Notes that ``on_open`` has returned, so that ``on_close`` follows whatever comes."""
        self.opened = True

    # ---- the end

    def wait_closed(self, timeout=None):
        """Blocks until the connection has ended and its descriptor is released. Returns whether it has.

        Args:
            timeout: seconds to wait; None waits as long as it takes.
        """
        me = current_greenlet()
        self.before_io()
        with Timeout(timeout, False):
            while self.state != CLOSED:
                closers = self.extra().closers
                closers.append(me)
                try:
                    self.reactor.wait(me)
                finally:
                    if me in closers:
                        closers.remove(me)
        return self.state == CLOSED

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        """Closes, with 1011 after an error, and waits until the descriptor is released."""
        self.close(1000 if kind is None else 1011)
        if self.state != CONNECTING and not self.wait_closed(self.service.config.close_timeout + 1):
            self.abort()

    def abort(self):
        """Ends the connection at once, without a closing handshake. What is queued is lost; the peer sees 1006."""
        self.finish()

    cdef int resume(self) except -1:
        """In the hub: what was put off until no handler is in the way."""
        if self.broken and self.state != CLOSED:
            self.finish()
        if self.state == CLOSED:
            return self._wake_all()
        if self.outbox is not None and self.interest & WRITE == 0:
            self.flush()
        self.wake_writers()
        if self.close_sent and self.receiver is not None and self.first is None:
            self._wake_receiver()
        if self.paused and self.first is None and self.fd >= 0:
            self._read_on()
        elif self.first is not None:
            self.dispatch()
        return self.settle()

    cdef int _read_on(self) except -1:
        """Goes on where the full inbox stopped: first with what had been read, then with the descriptor."""
        cdef bytearray data
        cdef bytes backlog = self.backlog
        self.backlog = None
        self.paused = False
        if self.partial_since:
            self.partial_since = self.reactor.wheel.tick or 1  # the time that we did not read is not the peer's
        if backlog is not None:
            data = bytearray(backlog)
            self.received(data, len(data))
        if not self.paused and self.fd >= 0:
            self.unpause()
        return 0

    cdef int _wake_receiver(self) except -1:
        receiver = self.receiver
        self.receiver = None
        return run_greenlet(receiver)

    cdef int _wake_all(self) except -1:
        self.wake_writers()
        self.outbox = None
        if self.receiver is not None:
            self._wake_receiver()
        if self.extras is not None:
            while self.extras.pings:  # each is taken out first: who wakes may make another leave
                run_greenlet(self.extras.pings.popitem()[1][0])
            while self.extras.closers:
                run_greenlet(self.extras.closers.pop())
        if self.first is None and self.service.on_close is None:
            return 0
        if self.service.on_message is not None and self.opened and not self.told and not self.busy:
            self.to_pool()
        return 0

    # ---- time

    cpdef long expire(self, unsigned int tick) except -1:
        """Looks at the deadlines. For the wheel; returns in how many ticks to be asked again, 0 for never."""
        cdef long first
        if self.state == CLOSED:
            return 0
        if self.state == CLOSING:
            if tick >= self.deadline:
                self.hit("close_timeout")
                self.finish()
                return 0
            return self.deadline - tick
        first = sooner(self._check_limits(tick), self._check_idle(tick))
        if self.state == OPEN:
            first = sooner(first, self._check_heart(tick))
        return first if self.state == OPEN else 0

    cdef long _check_limits(self, unsigned int now) except -1:
        """A slow reader at the high-water mark, a message that is never finished. 0: nothing to wait for."""
        cdef unsigned int limit = self.service.write_ticks
        if self.outbox is not None and self.outbox.over_since:
            if now - self.outbox.over_since >= limit:
                self.hit("write_timeout")
                self.service.counts.too_slow += 1
                self.result(1008, "reads too slowly")
                self.finish()
                return 0
            return limit - (now - self.outbox.over_since)
        limit = self.service.message_ticks
        if limit and self.partial_since:
            if self.paused:
                return limit
            if now - self.partial_since >= limit:
                self.hit("message_timeout")
                self.fail(1008, "message took too long")
                return 0
            return limit - (now - self.partial_since)
        return 0

    cdef long _check_idle(self, unsigned int now) except -1:
        cdef unsigned int limit = self.service.idle_ticks
        if not limit or self.state != OPEN:
            return 0
        if now - self.last_message >= limit:
            self.hit("idle_timeout")
            self.close(1001, "idle")
            return 0
        return limit - (now - self.last_message)

    cdef long _check_heart(self, unsigned int now) except -1:
        cdef long ticks
        if self.service.rhythm is None:
            return 0
        if now < self.beat_tick:
            return self.beat_tick - now
        if self.tries and not self.seen and (self.paused or self.has_unread()):
            self.seen = True  # we did not read: that we heard nothing says nothing about the peer
        if self.tries and self.seen:
            return self._rest(now)
        ticks = self.service.rhythm.patience(self.tries, now - self.ping_tick if self.tries else 0)
        if not ticks:
            self.hit("ping_timeout")
            self.result(1006, "no answer to a ping")
            self.finish()
            return 0
        self.beat_tick = now + <unsigned int> ticks
        if not self.tries:
            self.ping_tick = now
            self.seen = False
        self.tries += 1
        self.start_ping()
        return ticks

    cdef long _rest(self, unsigned int now) except -1:
        """The peer has been heard of. Returns in how many ticks it is to be asked again."""
        cdef Rhythm rhythm = self.service.rhythm
        self.pace = <unsigned char> rhythm.next_pace(self.pace, self.tries)
        self.tries = 0
        cdef long ticks = rhythm.next_beat(self.id, now, self.pace)
        self.beat_tick = now + <unsigned int> ticks
        return ticks

    cdef int answered(self) except -1:
        """Plans the next ping as soon as this one is answered: what is looked at now is still in the processor's cache."""
        cdef long ticks
        if self.tries and self.state == OPEN:
            ticks = self._rest(self.reactor.wheel.tick)
            if self.outbox is None and not self.partial_since and not self.service.idle_ticks:
                self.reactor.wheel.schedule_at(self, ticks)
        return 0

    # ---- what it offers beside

    cdef object extra(self):
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    def spawn(self, function, *args, **kwargs):
        """Runs a function in a greenlet that ends with the connection: when the connection ends, it is killed.

        What it raises is handled like an error of the connection's handler: reported, and the connection is closed with 1011.

        Returns:
            The ``gevent.Greenlet``.
        """
        if self.state == CLOSED:
            raise self.closed_error()
        greenlet = gevent.spawn(_run_spawned, self, function, args, kwargs)
        greenlets = self.extra().greenlets
        greenlets.add(greenlet)
        greenlet.rawlink(greenlets.discard)
        return greenlet

    @property
    def is_connecting(self):
        """Whether the upgrade is still under way: nothing has been sent to the peer yet."""
        return self.state == CONNECTING

    @property
    def closed(self):
        """Whether the connection has ended or is ending, so that nothing more can be sent."""
        return self.close_sent or self.state == CLOSED

    @property
    def is_over(self):
        """Whether it has ended and its handlers, ``on_close`` too, have run. For the framework."""
        return self.state == CLOSED and not self.busy and (
            self.told or not self.opened or self.service.on_close is None or self.service.on_message is None
        )

    @property
    def close_code(self):
        """The code of the first Close frame in either direction, 1005 for one without, 1006 for none; None while open."""
        return self.code or None

    @property
    def close_reason(self):
        """The reason that came with ``close_code``; None while open."""
        return self.reason

    def __repr__(self):
        state = ("connecting", "open", "closing", "closed")[self.state]
        return f"<Connection {self.id} {self.path!r} {state}{f' {self.code}' if self.code else ''}>"


def _run_spawned(connection, function, args, kwargs):
    around = connection.service.around
    try:
        return function(*args, **kwargs) if around is None else around(function, args, kwargs)
    except ConnectionClosed:
        return None
    except (Exception, Timeout) as error:
        connection.handler_failed(error)
