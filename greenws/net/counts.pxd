cdef enum:
    BOUNDS = 16  # upper bounds of the times, and one count for what is longer
    CODES = 16  # close codes from 1000 on that are counted each by itself, and one count for all others

cdef class Times:
    cdef unsigned long long counts[BOUNDS + 1]
    cdef unsigned long long total  # nanoseconds
    cdef int note(self, unsigned long long nanoseconds) except -1

cdef class Counts:
    cdef readonly bint is_timed
    cdef readonly unsigned long long opened, closed, received, sent, received_bytes, sent_bytes
    cdef readonly unsigned long long high_water, too_slow, dropped, pings
    cdef readonly Times handling, latency
    cdef unsigned long long closes[CODES + 1]
    cdef int note_close(self, int code) except -1
    cdef long long handled(self, long long begin) except -1

cdef long long nanoseconds() noexcept
