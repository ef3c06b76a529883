"""Accepting: one system call for each connection, which is non-blocking from the beginning and closed on exec."""

import os

from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <stddef.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <unistd.h>
    typedef union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_un local;
    } greenws_address;
    static int greenws_accept(int listener, greenws_address *address, socklen_t *size) {
        *size = sizeof(*address);
    #ifdef __linux__
        return accept4(listener, &address->any, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    #else
        int fd = accept(listener, &address->any, size);
        if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        return fd;
    #endif
    }
    """
    ctypedef unsigned int socklen_t
    ctypedef struct in_addr:
        pass
    ctypedef struct in6_addr:
        pass
    ctypedef struct sockaddr:
        int sa_family
    ctypedef struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    ctypedef struct sockaddr_in6:
        unsigned short sin6_port
        unsigned int sin6_flowinfo, sin6_scope_id
        in6_addr sin6_addr
    ctypedef struct sockaddr_un:
        char* sun_path
    ctypedef union greenws_address:
        sockaddr any
        sockaddr_in four
        sockaddr_in6 six
        sockaddr_un local
    int greenws_accept(int listener, greenws_address* address, socklen_t* size)
    const char* inet_ntop(int family, const void* address, char* text, socklen_t size)
    unsigned short ntohs(unsigned short number)
    unsigned int ntohl(unsigned int number)
    int AF_INET, AF_INET6, AF_UNIX, INET6_ADDRSTRLEN
    int EAGAIN, EWOULDBLOCK, EINTR
    int errno
    size_t PATH_AT "offsetof(struct sockaddr_un, sun_path)"


def accept(int listener):
    """Takes one connection from a listening socket that does not block.

    Returns:
        Its descriptor and its peer's address, as the socket module has it; None when nobody waits.

    Raises:
        OSError: as accept(2) says: descriptors have run out, or the peer gave up (ECONNABORTED).
    """
    cdef greenws_address address
    cdef socklen_t size
    cdef int fd
    while True:
        fd = greenws_accept(listener, &address, &size)
        if fd >= 0:
            return fd, _name(&address, size)
        if errno == EAGAIN or errno == EWOULDBLOCK:
            return None
        if errno != EINTR:
            raise OSError(errno, os.strerror(errno))


cdef object _name(greenws_address* address, socklen_t size):
    cdef char text[46]  # INET6_ADDRSTRLEN
    cdef bytes path
    if address.any.sa_family == AF_INET:
        inet_ntop(AF_INET, &address.four.sin_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs(address.four.sin_port)
    if address.any.sa_family == AF_INET6:
        inet_ntop(AF_INET6, &address.six.sin6_addr, text, sizeof(text))
        flow = ntohl(address.six.sin6_flowinfo)
        return text.decode("ascii"), ntohs(address.six.sin6_port), flow, address.six.sin6_scope_id
    if address.any.sa_family != AF_UNIX or size <= PATH_AT:
        return ""  # a Unix socket that was not bound has no name
    path = PyBytes_FromStringAndSize(address.local.sun_path, size - PATH_AT)
    return path if path.startswith(b"\0") else os.fsdecode(path.rstrip(b"\0"))
