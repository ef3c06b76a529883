# Types for the compiler; heartbeat.py is the source.
cimport cython

cdef double _GOLDEN


cdef class Rhythm:
    cdef readonly long slowest, unit, first_pace, timeout, retry
    cdef long _cycle

    @cython.locals(interval=long, phase=long)
    cpdef long next_beat(self, unsigned long long number, long tick, long pace) except -1
    cpdef long next_pace(self, long pace, long tries) except -1
    cpdef long patience(self, long tries, long waited) except -1
