# Types for the compiler; events.py is the source.


cdef class ControlFrame:
    cdef readonly bytes payload


cdef class Ping(ControlFrame):
    pass


cdef class Pong(ControlFrame):
    pass
