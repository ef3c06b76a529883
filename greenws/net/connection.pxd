from greenws.net.closing cimport Closing

cdef class Connection(Closing):
    cdef dict __dict__
    cdef int _start_heart(self) except -1
    cdef int _read_on(self) except -1
    cdef int _wake_receiver(self) except -1
    cdef int _wake_all(self) except -1
    cpdef long expire(self, unsigned int tick) except -1
    cdef long _check_limits(self, unsigned int now) except -1
    cdef long _check_idle(self, unsigned int now) except -1
    cdef long _check_heart(self, unsigned int now) except -1
    cdef long _rest(self, unsigned int now) except -1
