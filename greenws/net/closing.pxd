from greenws.net.inflow cimport Inflow

cdef class Closing(Inflow):
    cdef int result(self, int code, str reason) except -1
    cdef int send_close(self, bytes payload) except -1
    cdef int begin_closing(self) except -1
    cdef int finish(self) except -1
    cdef int _answer_close(self) except -1
    cdef int _last_byte_sent(self) except -1
