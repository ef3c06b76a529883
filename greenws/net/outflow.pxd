from greenws.net.sender cimport Sender
from greenws.net.turn cimport Turn

cdef class Outflow(Sender):
    cdef Turn _take_turn(self)
    cdef int _end(self, Turn turn) except -1
    cdef int _send_all(self, chunks, compress) except -1
    cdef int _send_fragment(self, unsigned char first, bytes payload) except -1
    cdef int _let_others_run(self) except -1
