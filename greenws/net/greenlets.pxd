cdef int run_greenlet(object greenlet) except -1
cdef int switch_to(object greenlet) except -1
cdef object current_greenlet()
cpdef object call_in_copy(object variables, object function, object first, object second)
