# Types for the compiler; wheel.py is the source.
cimport cython


cdef class Wheel:
    cdef public unsigned int tick
    cdef public Py_ssize_t count
    cdef object _loop, _clock, _timer, _rest, _last
    cdef list _slots
    cdef object _due

    @cython.locals(slot=set, index=long)
    cdef _place(self, item, long ticks)
    cpdef schedule(self, item, delay)
    cpdef schedule_at(self, item, long ticks)
    cpdef schedule_sooner(self, item, delay)
    cpdef schedule_sooner_at(self, item, long ticks)
    @cython.locals(slot=set)
    cpdef cancel(self, item)
    cdef _ask(self, item)
    @cython.locals(slot=set)
    cdef bint _is_placed(self, item)
