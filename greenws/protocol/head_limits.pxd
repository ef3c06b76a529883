# Types for the compiler; head_limits.py is the source.
cimport cython

@cython.locals(line_stop=Py_ssize_t, found=Py_ssize_t, stop=Py_ssize_t, most=Py_ssize_t)
cpdef Py_ssize_t head_end(data, limits=*) except -2

cdef Py_ssize_t _wait_for_line(data, limits) except -2

@cython.locals(lines=Py_ssize_t, carriage_returns=Py_ssize_t)
cdef int _check_lines(data, Py_ssize_t stop, limits, bint is_whole) except -1
