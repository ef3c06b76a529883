"""Sets of descriptors whose readiness gevent's loop is told of as one: epoll(7), where there is Linux."""

import os

from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/epoll.h>
    #define GREENWS_EPOLL 1
    typedef struct epoll_event greenws_event;
    static int greenws_open(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static int greenws_wait(int set, greenws_event *events, int size) { return epoll_wait(set, events, size, 0); }
    static int greenws_control(int set, int what, int fd, unsigned int interest, void *item) {
        greenws_event e;
        e.events = (interest & 1 ? EPOLLIN | EPOLLRDHUP : 0) | (interest & 2 ? EPOLLOUT : 0) | (interest & 16 ? EPOLLET : 0);
        e.data.ptr = item;
        return epoll_ctl(set, what == 0 ? EPOLL_CTL_ADD : what == 1 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, &e);
    }
    static unsigned int greenws_events(greenws_event *e) {
        return (e->events & (EPOLLIN | EPOLLRDHUP) ? 1 : 0) | (e->events & EPOLLOUT ? 2 : 0)
             | (e->events & (EPOLLERR | EPOLLHUP) ? 4 : 0) | (e->events & EPOLLRDHUP ? 8 : 0);
    }
    static void *greenws_item(greenws_event *e) { return e->data.ptr; }
    #else
    #define GREENWS_EPOLL 0
    typedef struct { int unused; } greenws_event;
    static int greenws_open(void) { errno = ENOSYS; return -1; }
    static int greenws_wait(int set, greenws_event *events, int size) { return 0; }
    static int greenws_control(int set, int what, int fd, unsigned int interest, void *item) { return -1; }
    static unsigned int greenws_events(greenws_event *e) { return 0; }
    static void *greenws_item(greenws_event *e) { return 0; }
    #endif
    """
    ctypedef struct greenws_event:
        pass
    int GREENWS_EPOLL
    int greenws_open()
    int greenws_wait(int epoll, greenws_event* events, int size)
    int greenws_control(int epoll, int what, int fd, unsigned int interest, void* item)
    unsigned int greenws_events(greenws_event* event)
    void* greenws_item(greenws_event* event)
    int close(int fd)
    int errno

cdef enum:
    ADD = 0
    CHANGE = 1
    REMOVE = 2


cdef bint is_here() noexcept:
    """Whether this system has such sets."""
    return GREENWS_EPOLL


cdef class EpollSet:
    """One set. Who is in it is kept alive by whoever added it.

    Args:
        loop: gevent's.
    """

    def __cinit__(self):
        self.fd = -1
        self.found = malloc(BATCH * sizeof(greenws_event))
        if self.found == NULL:
            raise MemoryError

    def __init__(self, loop):
        self.fd = greenws_open()
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))
        self.watcher = loop.io(self.fd, 1)

    def __dealloc__(self):
        free(self.found)
        if self.fd >= 0:
            close(self.fd)

    cdef int add(self, int fd, unsigned int interest, void* item) except -1:
        if greenws_control(self.fd, ADD, fd, interest, item) < 0:
            raise OSError(errno, os.strerror(errno))
        self.count += 1
        return 0

    cdef int watch(self, object callback) except -1:
        """Has it called by the loop when something of the set is ready, until the last one has been removed."""
        self.watcher.start(callback)
        return 0

    cdef int change(self, int fd, unsigned int interest, void* item) except -1:
        if greenws_control(self.fd, CHANGE, fd, interest, item) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    cdef int remove(self, int fd) except -1:
        greenws_control(self.fd, REMOVE, fd, 0, NULL)
        self.count -= 1
        if self.count == 0:  # nothing is watched while nothing is there: a program without sockets may end
            self.watcher.stop()
        return 0

    cdef int look(self, int most) noexcept:
        """Finds so many events at most, and returns how many; not more than 0 when there are none."""
        return greenws_wait(self.fd, <greenws_event*> self.found, most)

    cdef void* item(self, int index) noexcept:
        """Whose event the last look has found there."""
        return greenws_item(<greenws_event*> self.found + index)

    cdef unsigned int events(self, int index) noexcept:
        """Which events those are."""
        return greenws_events(<greenws_event*> self.found + index)

    cdef int end(self) except -1:
        """Closes the set. What was in it is not told."""
        self.watcher.stop()
        self.watcher.close()
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1
        return 0
