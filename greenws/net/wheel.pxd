# Types for the compiler; wheel.py is the source.
cimport cython


cdef class Wheel:
    cdef public unsigned int tick
    cdef public object count
    cdef object _loop, _clock, _timer, _rest, _last
    cdef list _slots
    cdef object _due

    @cython.locals(slot=set)
    cdef _place(self, item, ticks)
    cpdef schedule(self, item, delay)
    cpdef schedule_sooner(self, item, delay)
    @cython.locals(slot=set)
    cpdef cancel(self, item)
