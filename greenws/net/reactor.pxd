from greenws.net.epoll cimport EpollSet

cdef enum:
    READ = 1
    WRITE = 2
    GONE = 4  # error or hang-up
    ENDS = 8  # an event beside READ: the peer sends no more
    EDGE = 16  # an interest: edge-triggered
    READ_SIZE = 262144  # bytes: the most one turn takes from one descriptor

from greenws.net.line cimport Line, TurnTaker, flag
from greenws.net.wheel cimport Wheel


cdef class Pollable(TurnTaker):
    cdef object __weakref__
    cdef readonly Reactor reactor
    cdef int fd
    cdef unsigned int interest
    cdef flag registered, deferred, is_newcomer
    cpdef int fileno(self) noexcept
    cdef int ready(self, unsigned int events) except -1
    cdef int resume(self) except -1
    cdef int work(self) except -1

cdef class Watched(Pollable):
    cpdef void own(self, int fd) noexcept
    cpdef void watch(self, int fd, bint readable=*, bint writable=*) except *
    cpdef void shut(self) noexcept
    cpdef int release(self) except -2

cdef class Job(Pollable):
    pass

cdef class Reactor:
    cdef object __weakref__
    cdef readonly object hub, loop
    cdef readonly Wheel wheel
    cdef public object pool, upgrades  # greenlets for handlers, and for what decides about upgrades
    cdef readonly unsigned long thread
    cdef readonly int count
    cdef bint forgotten  # in a child that was forked
    cdef EpollSet connections, newcomers
    cdef bytearray buffer, head  # of this thread: what was received last, the header of the frame being sent
    cdef object timer
    cdef dict watchers
    cdef list graveyard, postponed, turning
    cdef object going, departures  # peers that have gone, each with its events, and when to look at them
    cdef int gone  # how many have been looked at in this turn
    cdef Line line
    cdef bint polling
    cdef EpollSet _set_of(self, Pollable item)
    cdef int add(self, Pollable item, int fd, unsigned int interest) except -1
    cdef int change(self, Pollable item, unsigned int interest) except -1
    cdef int again(self, Pollable item) except -1
    cdef int remove(self, Pollable item) except -1
    cdef bint _must_wait(self, Pollable item, unsigned int events) except -1
    cdef int defer(self, Pollable item) except -1
    cdef int next_turn(self, Pollable item) except -1
    cdef int _resume(self, list items) except -1
    cdef int _handle(self, EpollSet place, int most) except -1
    cdef int _report(self, Pollable item, unsigned int events) except -1
    cdef bint is_here(self) noexcept
    cdef int wait(self, object me) except -1

cpdef Reactor get_reactor()
