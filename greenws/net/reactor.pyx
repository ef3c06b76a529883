"""Readiness of all descriptors (DESIGN §2).

On Linux one epoll set of our own holds every connection, and gevent's loop watches just that set: a batch of events costs
one ``epoll_wait`` and no Python call each. Elsewhere, and with ``GREENWS_REACTOR=watchers``, each descriptor has a gevent
watcher that is made once.

A connection's events are edge-triggered (epoll(7)): they are reported once, and who leaves something unread asks by
``again``. Level-triggered, the kernel looks at each descriptor once more after each event, and gevent's loop at the set.
All others, and all watchers, are level-triggered: what a turn leaves unread is reported again in the next.

Who has just connected is in a set of its own: listening sockets, and connections that are not upgraded yet. What they
want takes long, by comparison, and in one set ten thousand of them would stand before a message that comes behind them.

When many peers go at once, what their ends cost is spread: a few are looked at in the turn that hears of them, the others
for LET_OUT seconds of each turn. Those who stay are served between.

Everything here runs in the hub and must not block. A turn handles at most ROUNDS × BATCH events of connections, and
newcomers for LET_IN seconds, then the loop has its other timers and greenlets go first. An item that is removed in the
middle of a batch stays alive until the batch ends, because a later event of the same batch may still point to it.
"""

import gc
import os
import sys
import time
import weakref
from collections import deque

from cpython.ref cimport Py_DECREF, Py_INCREF
from gevent import get_hub

from greenws.errors import StateError
from greenws.net.epoll cimport BATCH, EpollSet, is_here as has_epoll
from greenws.net.line cimport Line, TurnTaker
from greenws.net.wheel import Wheel

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <unistd.h>
    """
    int close(int fd)
    int shutdown(int fd, int how)
    int SHUT_WR

cdef enum:
    ROUNDS = 4
    FEW = 16  # events of newcomers, or of those who go, between two looks at the clock
    AT_ONCE = 32  # peers that go whose end is looked at in the turn that hears of it

LET_IN = 0.005  # seconds of one turn for newcomers
LET_OUT = 0.005  # seconds of one turn for those who have gone

LIVE = weakref.WeakSet()  # of reactors, for a fork


cdef class Pollable(TurnTaker):
    """Something that owns a descriptor, waits in the reactor, and may have a deadline on the wheel."""

    def __cinit__(self):
        self.fd = -1
        self.wheel_slot = -1
        self.reactor = get_reactor()

    cpdef int fileno(self) noexcept:
        """The descriptor, or -1 when there is none."""
        return self.fd

    cdef int ready(self, unsigned int events) except -1:
        """In the hub: the descriptor can be read or written."""
        return 0

    cdef int resume(self) except -1:
        """In the hub's next turn, after ``Reactor.defer``."""
        return 0

    cdef int work(self) except -1:
        """In a greenlet of the pool: handle what has arrived."""
        return 0


cdef class Watched(Pollable):
    """A newcomer, for Python code: subclasses define ``on_ready(readable: bool)`` and ``expire(tick)``."""

    def __cinit__(self, *args, **kwargs):
        self.is_newcomer = True

    cdef int ready(self, unsigned int events) except -1:
        self.on_ready(events & (READ | GONE) != 0)
        return 0

    cpdef void own(self, int fd) noexcept:
        """Takes a descriptor that need not be waited for, or not yet."""
        self.fd = fd

    cpdef void watch(self, int fd, bint readable=True, bint writable=False) except *:
        """Waits for a descriptor, or, when it is watched already, for other events of it."""
        cdef unsigned int interest = (READ if readable else 0) | (WRITE if writable else 0)
        if self.registered:
            self.reactor.change(self, interest)
        else:
            self.reactor.add(self, fd, interest)

    cpdef void shut(self) noexcept:
        """Tells the peer that nothing more comes (RFC 9293 §3.6, half-close)."""
        shutdown(self.fd, SHUT_WR)

    cpdef int release(self) except -2:
        """Stops watching and returns the descriptor, which the caller owns now."""
        cdef int fd = self.fd
        self.reactor.remove(self)
        self.reactor.wheel.cancel(self)
        self.fd = -1
        return fd


cdef class Job(Pollable):
    """Work for a pool, for Python code: subclasses define ``run()``."""

    cdef int work(self) except -1:
        self.run()
        return 0


cdef class Reactor:
    """The descriptors of one hub. ``get_reactor`` returns the one of the calling thread."""

    def __init__(self):
        self.hub = get_hub()
        self.loop = self.hub.loop
        self.thread = PyThread_get_thread_ident()
        self.wheel = Wheel(self.loop)
        self.graveyard = []
        self.postponed = []
        self.turning = []
        self.going = deque()
        self.line = Line(self.hub)
        self.watchers = {}
        self.buffer = bytearray(READ_SIZE)
        self.head = bytearray(16)
        LIVE.add(self)
        if has_epoll() and os.environ.get("GREENWS_REACTOR") != "watchers":
            self.connections = EpollSet(self.loop)
            self.newcomers = EpollSet(self.loop)

    def forget(self):
        """In a child that was forked: lets go of the parent's descriptors without a word to the epoll set that both share."""
        cdef Pollable item
        self.forgotten = True
        self.wheel.stop()
        for watcher in [self.timer, self.departures, *self.watchers.values()]:
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self.timer = self.departures = None
        self.going.clear()
        self.watchers = {}
        self.line.clear()
        if self.connections is not None:
            self.connections.end()
            self.newcomers.end()
        if self.count:
            self.count = 0
            for found in gc.get_objects():
                if isinstance(found, Pollable) and (<Pollable> found).reactor is self and (<Pollable> found).registered:
                    item = <Pollable> found
                    item.registered = False
                    close(item.fd)
                    item.fd = -1

    cdef EpollSet _set_of(self, Pollable item):
        """Where an item's descriptor is; None where each has a watcher."""
        return self.newcomers if item.is_newcomer else self.connections

    cdef int add(self, Pollable item, int fd, unsigned int interest) except -1:
        cdef EpollSet place = self._set_of(item)
        if place is None:
            self.watchers[fd] = None
        else:
            place.add(fd, interest, <void*> item)
        item.fd = fd
        item.interest = interest
        item.registered = True
        self.count += 1
        Py_INCREF(item)
        if place is None:
            self._watch(item)
        elif place.count == 1:
            place.watch(self._let_in if item.is_newcomer else self._turn)
        return 0

    cdef int change(self, Pollable item, unsigned int interest) except -1:
        if interest == item.interest or not item.registered:
            return 0
        item.interest = interest
        cdef EpollSet place = self._set_of(item)
        if place is None:
            self._watch(item)
        else:
            place.change(item.fd, interest, <void*> item)
        return 0

    cdef int again(self, Pollable item) except -1:
        """Reports an edge-triggered item once more if there is something to report."""
        cdef EpollSet place = self._set_of(item)
        if place is not None and item.registered:
            place.change(item.fd, item.interest, <void*> item)
        return 0

    cdef int remove(self, Pollable item) except -1:
        if not item.registered:
            return 0
        item.registered = False
        self.count -= 1
        cdef EpollSet place = self._set_of(item)
        if place is None:
            item.interest = 0
            self._watch(item)
            del self.watchers[item.fd]
        else:
            place.remove(item.fd)
        if self.polling:
            self.graveyard.append(item)
        Py_DECREF(item)
        return 0

    def _watch(self, Pollable item):
        watcher = self.watchers.get(item.fd)
        if watcher is not None:
            watcher.stop()
            watcher.close()
            self.watchers[item.fd] = None
        if item.interest & (READ | WRITE):
            watcher = self.loop.io(item.fd, item.interest & (READ | WRITE))
            self.watchers[item.fd] = watcher
            watcher.start(self._ready, item, pass_events=True)

    def _ready(self, int events, Pollable item):
        if item.registered:
            self._report(item, (events & (READ | WRITE)) or GONE)
            self.line.serve()

    cdef int _report(self, Pollable item, unsigned int events) except -1:
        try:
            item.ready(events)
        except BaseException:
            # gevent stops a watcher whose callback raises, and ours serves everybody.
            self.hub.handle_error(item, *sys.exc_info())
        return 0

    def _turn(self):
        cdef int rounds
        self.gone = 0
        for rounds in range(ROUNDS):
            if self._handle(self.connections, BATCH) < BATCH:
                return

    def _let_in(self):
        until = time.monotonic() + LET_IN
        while self._handle(self.newcomers, FEW) == FEW and time.monotonic() < until:
            pass

    cdef int _handle(self, EpollSet place, int most) except -1:
        """Reports so many events at most. Returns how many there were."""
        cdef int i, n
        cdef unsigned int events
        cdef Pollable item
        self.polling = True
        n = place.look(most)
        for i in range(n):
            item = <Pollable> place.item(i)
            events = place.events(i)
            if item.registered and not (events & (ENDS | GONE) and self._must_wait(item, events)):
                self._report(item, events)
                if self.line.is_full():
                    self.line.serve()
        item = None
        self.line.serve()
        if self.graveyard:
            self.graveyard = []
        self.polling = False
        return max(n, 0)

    cdef bint _must_wait(self, Pollable item, unsigned int events) except -1:
        """Whether a peer's end is looked at later. An edge is reported once, so what it said is kept."""
        if item.is_newcomer or self.gone < AT_ONCE:
            self.gone += 1
            return False
        self.going.append((item, events))
        if self.departures is None:
            self.departures = self.loop.timer(0, 1e-6)
            self.departures.start(self._let_out)
        return True

    def _let_out(self):
        cdef Pollable item
        until = time.monotonic() + LET_OUT
        while self.going:
            for item, events in [self.going.popleft() for _ in range(min(FEW, len(self.going)))]:
                if item.registered:
                    self._report(item, events)
            self.line.serve()
            if time.monotonic() >= until:
                return
        self.departures.stop()
        self.departures.close()
        self.departures = None

    cdef int defer(self, Pollable item) except -1:
        """Calls the item's ``resume`` in the hub's next turn, once however often it is asked."""
        if not item.deferred:
            item.deferred = True
            if not self.postponed:
                self.loop.run_callback(self._run_postponed)
            self.postponed.append(item)
        return 0

    cdef int next_turn(self, Pollable item) except -1:
        """As ``defer``, but behind the next look at all descriptors and timers: for work of which there may be much.

        gevent runs callbacks that callbacks add without such a look between, for a while.
        """
        if not item.deferred:
            item.deferred = True
            self.turning.append(item)
            if self.timer is None:
                self.timer = self.loop.timer(0)
                self.timer.start(self._run_turning)
        return 0

    def _run_turning(self):
        cdef list items = self.turning
        self.turning = []
        self.timer.stop()
        self.timer.close()
        self.timer = None
        self._resume(items)

    def _run_postponed(self):
        cdef list items = self.postponed
        self.postponed = []
        self._resume(items)

    cdef int _resume(self, list items) except -1:
        cdef Pollable item
        for item in items:
            item.deferred = False
            try:
                item.resume()
            except BaseException:
                self.hub.handle_error(item, *sys.exc_info())
            self.line.serve()
        return 0

    cdef bint is_here(self) noexcept:
        """Whether the caller runs in this reactor's thread."""
        return PyThread_get_thread_ident() == self.thread

    cdef int wait(self, object me) except -1:
        """Lets others run until somebody switches back to the calling greenlet, which is ``me``."""
        if me is self.hub or not self.is_here():
            raise StateError("this call waits, so it needs a greenlet of the connection's own thread, and not the hub itself")
        return self.line.park(me)


def _forget_all():
    for reactor in list(LIVE):
        reactor.forget()


os.register_at_fork(after_in_child=_forget_all)


cpdef Reactor get_reactor():
    """Returns the reactor of the calling thread's hub, made when it is first asked for.

    A process that was forked has its own: the epoll set of its parent would be shared.
    """
    hub = get_hub()
    reactor = getattr(hub, "greenws_reactor", None)
    if reactor is None or (<Reactor> reactor).forgotten:
        reactor = hub.greenws_reactor = Reactor()
    return reactor
