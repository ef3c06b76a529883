from greenws.net.receiver cimport Receiver

cdef class Connection(Receiver):
    cdef dict __dict__
    cdef unsigned int deadline
    cdef int result(self, int code, str reason) except -1
    cdef int send_close(self, bytes payload) except -1
    cdef int begin_closing(self) except -1
    cdef int finish(self) except -1
    cdef int _answer_close(self) except -1
    cdef int _last_byte_sent(self) except -1
    cdef int _read_on(self) except -1
    cdef int _wake_receiver(self) except -1
    cdef int _wake_all(self) except -1
    cdef long _check_limits(self, unsigned int now) except -1
    cdef long _check_idle(self, unsigned int now) except -1
    cdef long _check_heart(self, unsigned int now) except -1
