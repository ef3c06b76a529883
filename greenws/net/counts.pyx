"""What is counted of a route's connections: plain C integers, added to where it happens, read when somebody asks.

They are there whether anybody asks or not, for each costs about a nanosecond. Only the handlers' time is measured on request: a
look at the clock is dearer, and how dear depends on the machine.
"""

from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

# Seconds. From an echo, which takes microseconds, to what no peer waits for.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FIRST_CODE = 1000

cdef unsigned long long bounds[BOUNDS]
cdef int number
for number in range(BOUNDS):
    bounds[number] = round(BUCKETS[number] * 1e9)


cdef long long nanoseconds() noexcept:
    """A monotonic clock."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000000000LL + now.tv_nsec


cdef class Times:
    """How long something took: how often it took up to each of ``BUCKETS``, and the sum."""

    def __cinit__(self):
        memset(self.counts, 0, sizeof(self.counts))

    cdef int note(self, unsigned long long nanoseconds) except -1:
        cdef int index = 0
        while index < BOUNDS and nanoseconds > bounds[index]:
            index += 1
        self.counts[index] += 1
        self.total += nanoseconds
        return 0

    def add(self, double seconds):
        """Counts one that took so long."""
        self.note(<unsigned long long> (seconds * 1e9) if seconds > 0 else 0)

    def read(self):
        """Returns how many there were for each bucket, each time without the buckets before it, and the sum in seconds."""
        return [self.counts[index] for index in range(BOUNDS + 1)], self.total / 1e9


cdef class Counts:
    """The counts of one route, from the beginning of the process.

    Args:
        is_timed: whether the time of handlers is measured.

    Attributes:
        opened, closed: connections. The difference is how many there are.
        received, sent: messages, whole ones.
        received_bytes, sent_bytes: of frames, with their headers, as they are before encryption and after compression.
        high_water: how often a peer began to be too slow.
        too_slow: connections that were closed for that.
        dropped: messages of broadcasts that a slow peer did not get.
        pings: sent.
        handling: the time that messages took their handlers: in a view, until it wants the next.
        latency: from a ping to its pong.
    """

    def __init__(self, is_timed=False):
        self.is_timed = is_timed
        self.handling = Times()
        self.latency = Times()
        memset(self.closes, 0, sizeof(self.closes))

    cdef int note_close(self, int code) except -1:
        cdef int index = code - FIRST_CODE
        self.closed += 1
        self.closes[index if 0 <= index < CODES else CODES] += 1
        return 0

    cdef long long handled(self, long long begin) except -1:
        """Counts the time of a handler that began then. Returns now, when the next begins."""
        cdef long long now = nanoseconds()
        self.handling.note(now - begin)
        return now

    def read_closes(self):
        """Returns how many connections ended with each code that has occurred; those of codes above 1015 under None."""
        codes = [*range(FIRST_CODE, FIRST_CODE + CODES), None]
        return {code: self.closes[index] for index, code in enumerate(codes) if self.closes[index]}
