cdef enum:
    BATCH = 256  # events that one look returns at most

cdef class EpollSet:
    cdef int fd
    cdef readonly int count
    cdef void* found
    cdef object watcher
    cdef int watch(self, object callback) except -1
    cdef int add(self, int fd, unsigned int interest, void* item) except -1
    cdef int change(self, int fd, unsigned int interest, void* item) except -1
    cdef int remove(self, int fd) except -1
    cdef int look(self, int most) noexcept
    cdef void* item(self, int index) noexcept
    cdef unsigned int events(self, int index) noexcept
    cdef int end(self) except -1

cdef bint is_here() noexcept
