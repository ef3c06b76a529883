# Types for the compiler; wheel.py is the source.
cimport cython

cdef long _SLOTS
cdef int _FREE, _DUE


cdef class Item:
    cdef public int wheel_slot
    cpdef long expire(self, unsigned int tick) except -1


cdef class Wheel:
    cdef public unsigned int tick
    cdef public Py_ssize_t count
    cdef object _loop, _clock, _timer, _rest, _last
    cdef list _slots, _due
    cdef Py_ssize_t _asked

    @cython.locals(slot=set, index=long)
    cdef _place(self, Item item, long ticks)
    cpdef schedule(self, Item item, delay)
    cpdef schedule_at(self, Item item, long ticks)
    cpdef schedule_sooner(self, Item item, delay)
    @cython.locals(slot=long)
    cpdef schedule_sooner_at(self, Item item, long ticks)
    @cython.locals(slot=set)
    cpdef cancel(self, Item item)
    @cython.locals(slot=set, item=Item, steps=long)
    cpdef advance(self)
    @cython.locals(item=Item, until=double)
    cdef _sweep(self)
    @cython.locals(ticks=long)
    cdef _ask(self, Item item)
