cdef int run_greenlet(object greenlet) except -1
cdef int switch_to(object greenlet) except -1
cdef object current_greenlet()
