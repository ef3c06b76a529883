"""The greenlets that run event-style handlers (DESIGN §2).

A greenlet that has finished a job parks to be used again. At most ``size`` run at once; the
other jobs wait in the order they came. One job is one connection with everything it has received, so messages of a connection
neither overlap nor reorder.
"""

import time
from collections import deque

from greenlet import greenlet as Greenlet

from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.reactor cimport Pollable, Reactor, get_reactor

cdef enum:
    AT_ONCE = 16  # jobs that may come to block before those that were about to go on have done so: each holds a stack
    MAX_IDLE = 128  # parked greenlets kept after a rush, about 5 KB each

REFILL = 0.005  # seconds of one turn of the hub in which jobs that waited are started
UPGRADES = 1000  # decided at once; the others wait their turn


cdef class HandlerPool:
    """A bounded pool of greenlets. ``running`` counts those at work, ``waiting`` holds the jobs without one."""

    def __init__(self, Reactor reactor, Py_ssize_t size):
        self.reactor = reactor
        self.size = size
        self.idle = [None] * MAX_IDLE  # a list that grew and shrank would ask for memory at every message
        self.waiting = deque()

    cdef int submit(self, Pollable job) except -1:
        """Runs the job, or lets it wait its turn and returns 1. For the hub only: it returns when the job ends or first blocks."""
        if self.running >= self.size or self.waiting:
            self.waiting.append(job)
            return 1
        return self._start(job)

    cdef object take(self, Pollable job):
        """Gives the job to a parked greenlet, which the caller switches to. None when there is none, or others are first."""
        if not self.parked or self.running >= self.size or self.waiting:
            return None
        self.running += 1
        self.job = job
        return self._pop_idle()

    def enqueue(self, Pollable job not None):
        """Lets the job wait for a turn of the hub of its own. May be called from everywhere in the hub's thread."""
        self.waiting.append(job)
        if self.timer is None:
            self._plan_refill()

    cdef int _start(self, Pollable job) except -1:
        self.running += 1
        self.job = job
        if self.parked:
            return run_greenlet(self._pop_idle())
        return run_greenlet(Greenlet(self._work, self.reactor.hub))

    cdef object _pop_idle(self):
        self.parked -= 1
        greenlet = self.idle[self.parked]
        self.idle[self.parked] = None
        return greenlet

    def _work(self):
        cdef Pollable job
        cdef bint parked = False
        me = current_greenlet()
        try:
            while True:
                job = self.job
                self.job = None
                job.work()
                job = None
                if self.parked == MAX_IDLE:
                    return
                self._one_done()
                parked = True
                self.idle[self.parked] = me
                self.parked += 1
                self.reactor.line.park(me)
                parked = False
        finally:
            # Killed in a handler, or while parked: it is counted no longer, and whoever waits gets another greenlet.
            if not parked:
                self._one_done()
            elif me in self.idle:
                self.idle.remove(me)
                self.idle.append(None)
                self.parked -= 1

    cdef int step_out(self) except -1:
        """In a job: it waits for its peer, and does not count until ``step_in``. Others may start meanwhile."""
        return self._one_done()

    cdef int step_in(self) except -1:
        self.running += 1
        return 0

    cdef int _one_done(self) except -1:
        self.running -= 1
        if self.waiting and self.timer is None:
            self._plan_refill()
        return 0

    cdef int _plan_refill(self) except -1:
        self.timer = self.reactor.loop.timer(0)  # not a callback: descriptors and timers are to be looked at between
        self.timer.start(self._refill)
        return 0

    def _refill(self):
        """Starts jobs that waited. Not all in one turn of the hub, so that a full pool does not keep everybody else from theirs."""
        self.timer.stop()
        self.timer.close()
        self.timer = None
        cdef Py_ssize_t most = min(self.size, self.running + AT_ONCE)
        until = time.monotonic() + REFILL
        while self.waiting and self.running < most:
            self._start(self.waiting.popleft())
            if time.monotonic() > until:
                break
        if self.waiting and self.running < self.size and self.timer is None:
            self._plan_refill()


cdef HandlerPool get_pool(Reactor reactor, Py_ssize_t size):
    """Returns the reactor's pool, enlarged to ``size``: what one application asks for, all of a process share."""
    if reactor.pool is None:
        reactor.pool = HandlerPool(reactor, size)
    elif (<HandlerPool> reactor.pool).size < size:
        (<HandlerPool> reactor.pool).size = size
    return <HandlerPool> reactor.pool


def get_upgrade_pool():
    """Returns the pool for what decides about upgrades: an application that waits there must not keep handlers from running."""
    cdef Reactor reactor = get_reactor()
    if reactor.upgrades is None:
        reactor.upgrades = HandlerPool(reactor, UPGRADES)
    return reactor.upgrades
