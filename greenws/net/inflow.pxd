from greenws.net.receiver cimport Receiver

cdef class Inflow(Receiver):
    cdef int _wait_for_chunk(self) except -1
