from greenws.net.reactor cimport Reactor

cdef class Turn:
    cdef Reactor reactor
    cdef object owner  # the greenlet that sends
    cdef object waiting, behind
    cdef Py_ssize_t size
    cdef bint has_latest, has_ended
    cdef bint wait(self) except -1
    cdef bint wake(self, bint everybody) except -1
    cdef bint hold(self, bytes frame, bytes payload, bint has_room, bint is_latest) except -1
