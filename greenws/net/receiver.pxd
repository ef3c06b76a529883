from greenws.net.control cimport Control
from greenws.net.line cimport flag
from greenws.protocol.messages cimport MessageDecoder

cdef class Receiver(Control):
    cdef readonly unsigned long long id
    cdef readonly str path
    cdef readonly object remote_addr
    cdef readonly str subprotocol
    cdef MessageDecoder decoder
    cdef bytes backlog  # received, not yet decoded: the inbox was full
    cdef object first, rest  # messages for the handler: the next one, and a deque of those behind it
    cdef Py_ssize_t waiting_size  # of the messages in first and rest
    cdef object receiver  # the greenlet inside receive
    cdef object opener  # finishes the upgrade at the first use of a blocking-style connection
    cdef long long taken_at  # nanoseconds: when a view took its last message; 0 if that is not measured
    cdef unsigned int partial_since
    cdef unsigned int beat_tick, ping_tick  # when the heartbeat decides next, when it began to wait for an answer
    cdef unsigned int streams  # how many have been begun
    cdef flag in_stream  # the last of them is not read to its end
    cdef flag skipping  # what comes belongs to one that nobody reads any more
    cdef unsigned char pace, tries  # see greenws.net.heartbeat
    cdef flag busy, told, opened, failed, seen
    cdef readonly flag ended_here  # by our close
    cdef int pump(self, MessageDecoder decoder, bytearray data, Py_ssize_t size) except -1
    cdef int dispatch(self) except -1
    cdef int to_pool(self) except -1
    cdef int handle(self, object message) except -1
    cdef int settle(self) except -1
    cdef int _push(self, object message) except -1
    cdef object _pop(self)
    cdef object take_message(self, timeout)
    cdef object take_event(self, timeout)
    cdef object _next_message(self, timeout)
    cdef object _next_event(self, timeout)
    cdef object begin_stream(self, object event)
    cdef object take_first(self)
    cdef int wait_for_message(self, object me) except -1
    cdef int _wait_for_message_until(self, timeout, object me) except -1
    cdef int leave_stream(self) except -1
    cdef Py_ssize_t _skip(self, object chunk) except -1
    cdef int _hold(self, MessageDecoder decoder, bytearray data, Py_ssize_t size) except -1
