from greenws.net.counts cimport Counts
from greenws.net.heartbeat cimport Rhythm
from greenws.net.line cimport flag
from greenws.net.stream cimport Stream
from greenws.net.turn cimport Turn
from greenws.protocol.messages cimport MessageDecoder

cdef enum State:
    CONNECTING  # made, not yet handed a descriptor
    OPEN
    CLOSING  # a Close frame went in one direction at least
    CLOSED

cdef class Service:
    cdef readonly object config, registry, name
    cdef readonly Rhythm rhythm
    cdef public object on_message, on_stream, on_close, on_error, between, around, dumps, loads
    cdef readonly bint is_server
    cdef public bint ends_quietly
    cdef readonly Counts counts
    cdef MessageDecoder spare
    cdef Py_ssize_t high_water, inbox_size, message_size, control_rate
    cdef unsigned int write_ticks, close_ticks, message_ticks, idle_ticks
    cdef MessageDecoder lend(self)

cdef class Sender(Stream):
    cdef readonly Service service
    cdef State state
    cdef unsigned int deadline  # of the closing handshake, as the wheel's ticks
    cdef unsigned int last_message
    cdef unsigned short code
    cdef flag close_sent, close_received
    cdef str reason
    cdef Turn turn  # only while a stream is being sent
    cdef readonly object deflate  # the greenws.protocol.deflate.Deflate agreed on, or None
    cdef bytes deflated(self, const char* data, Py_ssize_t size, object compress)
    cdef int write_frame(self, unsigned char first, const char* payload, Py_ssize_t size) except -1
    cdef int hit(self, str limit) except -1
    cdef object closed_error(self)
    cdef int check_open(self) except -1
    cdef int write_whole(self, bytes frame) except -1
    cdef int push_latest(self) except -1
    cdef int wait_for_room(self) except -1
    cdef int write_offered(self, bytes frame, bytes payload) except -1
    cdef int before_io(self) except -1
    cdef int offer(self, bytes frame, int policy, bytes payload) except -1
    cdef int _over_the_mark(self) except -1
    cdef int _too_slow(self, int policy) except -1
    cdef int wake_writers(self) except -1

cpdef int offer(Sender connection, bytes frame, str policy, bytes payload=*) except -1
