from greenws.net.reactor cimport Pollable, Reactor


cdef class HandlerPool:
    cdef readonly Reactor reactor
    cdef public Py_ssize_t size
    cdef readonly Py_ssize_t running
    cdef list idle  # the parked greenlets, in the first of its MAX_IDLE places
    cdef Py_ssize_t parked
    cdef object _pop_idle(self)
    cdef object timer
    cdef int _one_done(self) except -1
    cdef int _plan_refill(self) except -1
    cdef readonly object waiting
    cdef Pollable job
    cdef int step_out(self) except -1
    cdef int step_in(self) except -1
    cdef int submit(self, Pollable job) except -1
    cdef object take(self, Pollable job)
    cdef int _start(self, Pollable job) except -1

cdef HandlerPool get_pool(Reactor reactor, Py_ssize_t size)
