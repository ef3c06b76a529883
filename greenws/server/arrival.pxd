# Types for the compiler; arrival.py is the source.
cimport cython

from greenws.net.reactor cimport Watched


cdef class Arrival(Watched):
    cdef object _server, _address, _tls
    cdef bytes _data, _pending
    cdef bint _is_kept, _lingers

    cpdef long expire(self, unsigned int tick) except -1
    cdef void _received(self, bytes data) except *
    @cython.locals(is_first=bint, found=tuple)
    cdef void _take(self, bytes data) except *
    cdef void _refuse(self, error) except *
    cdef void _answer(self, bytes answer) except *
    cdef void _write(self, bytes data) except *
    cdef void _linger(self) except *
    cpdef close(self)
