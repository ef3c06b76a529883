from greenws.net.outflow cimport Outflow

cdef class Control(Outflow):
    cdef object extras  # what only some connections need
    cdef unsigned int window, control_count, ping_number  # the second that control_count counts in; the last ping of ours
    cdef readonly float latency
    cdef long long ping_time  # when it was sent, in nanoseconds; 0 when it is answered
    cdef int fail(self, int code, str reason) except -1
    cdef int peer_closed(self, int code, str reason) except -1
    cdef object extra(self)
    cdef int answered(self) except -1
    cdef int control(self, object event) except -1
    cdef int start_ping(self) except -1
    cdef int _pong(self, bytes payload) except -1
    cdef double _took(self, long long nanoseconds) except -1
    cdef bytes _next_ping(self)
