"""The greenlets that run event-style handlers (DESIGN §2).

A greenlet that has finished a job takes the next one that waits, or parks to be used again. At most ``size`` run at once; the
other jobs wait in the order they came. One job is one connection with everything it has received, so messages of a connection
neither overlap nor reorder.
"""

from collections import deque

from greenlet import greenlet as Greenlet

from greenws.net.reactor cimport Pollable, Reactor, current_greenlet, run_greenlet

cdef enum:
    MAX_IDLE = 128  # parked greenlets kept after a rush, about 5 KB each


cdef class HandlerPool:
    """A bounded pool of greenlets. ``running`` counts those at work, ``waiting`` holds the jobs without one."""

    def __init__(self, Reactor reactor, Py_ssize_t size):
        self.reactor = reactor
        self.size = size
        self.idle = []
        self.waiting = deque()

    cdef int submit(self, Pollable job) except -1:
        """Runs the job, or lets it wait its turn. For the hub only: it returns when the job ends or first blocks."""
        if self.running >= self.size:
            self.waiting.append(job)
            return 0
        return self._start(job)

    cdef int _start(self, Pollable job) except -1:
        self.running += 1
        self.job = job
        if self.idle:
            return run_greenlet(self.idle.pop())
        return run_greenlet(Greenlet(self._work, self.reactor.hub))

    def _work(self):
        cdef Pollable job
        cdef bint parked = False
        try:
            while True:
                job = self.job
                self.job = None
                while job is not None:
                    job.work()
                    job = self.waiting.popleft() if self.waiting else None
                if len(self.idle) >= MAX_IDLE:
                    return
                self.running -= 1
                parked = True
                self.idle.append(current_greenlet())
                self.reactor.wait_in_hub()
                parked = False
        finally:
            # Killed in a handler, or while parked: it is counted no longer, and whoever waits gets another greenlet.
            if parked:
                if current_greenlet() in self.idle:
                    self.idle.remove(current_greenlet())
            else:
                self.running -= 1
            if self.waiting:
                self.reactor.loop.run_callback(self._refill)

    def _refill(self):
        while self.waiting and self.running < self.size:
            self._start(self.waiting.popleft())


cdef HandlerPool get_pool(Reactor reactor, Py_ssize_t size):
    """Returns the reactor's pool, enlarged to ``size``: what one application asks for, all of a process share."""
    if reactor.pool is None:
        reactor.pool = HandlerPool(reactor, size)
    elif (<HandlerPool> reactor.pool).size < size:
        (<HandlerPool> reactor.pool).size = size
    return <HandlerPool> reactor.pool
