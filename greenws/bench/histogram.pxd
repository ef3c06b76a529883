# Types for the compiler; histogram.py is the source.
cimport cython


cdef class Histogram:
    cdef readonly long long count, largest
    cdef list _counts

    @cython.locals(shift=int, bucket="long long")
    cpdef void record(self, long long nanoseconds)
