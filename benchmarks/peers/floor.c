/* What the kernel costs: the system calls of echoes, fan-outs and pings, and next to nothing else.
 *
 *     cc -O3 -o floor floor.c && ./floor PORT [pings]
 *
 * It is no server to use. It believes that each read holds whole, small, masked frames, keeps nothing of a connection but
 * its descriptor, answers no bad request, and ends with status 1 when something is not as it believes. As GreenWS does,
 * it reads sixteen connections before it writes to them, and pings each every 25 seconds at a moment of its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MOST = 1 << 17, BATCH = 1024, ROW = 16, SIZE = 8192, EVERY = 25, TICKS = 10 };
enum { NEW = 0, ECHO, FAN };

static char kinds[MOST]; /* of each descriptor */
static int everybody[MOST], count, next_ping;

static void check(int is_right, const char *what) {
    if (!is_right) {
        fprintf(stderr, "floor: %s\n", what);
        exit(1);
    }
}

/* That a peer has gone is heard when it is read. */
static void put(int fd, const void *data, ssize_t size) {
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    check(sent == size || (sent < 0 && errno != EAGAIN), "what is sent fits");
}

/* RFC 3174, of at most 119 bytes. */
static void sha1(const char *text, unsigned char *digest) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
    unsigned char data[128] = {0};
    size_t size = strlen(text), blocks = size < 56 ? 1 : 2;
    memcpy(data, text, size);
    data[size] = 0x80;
    data[blocks * 64 - 2] = size >> 5;
    data[blocks * 64 - 1] = size << 3;
    for (size_t block = 0; block < blocks; block++) {
        for (int i = 0; i < 80; i++) {
            if (i < 16) {
                memcpy(w + i, data + block * 64 + i * 4, 4);
                w[i] = ntohl(w[i]);
            } else {
                uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
                w[i] = x << 1 | x >> 31;
            }
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t x = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d, d = c, c = b << 30 | b >> 2, b = a, a = x;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = h[i / 4] >> (24 - i % 4 * 8);
}

static void open_one(int fd, char *head) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[80], answer[160], accept[29] = {0};
    unsigned char digest[21] = {0};
    char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
    check(key && strstr(key, "\r\n\r\n"), "a request is whole and has a key");
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
    sha1(text, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t three = digest[i * 3] << 16 | digest[i * 3 + 1] << 8 | digest[i * 3 + 2];
        for (int j = 0; j < 4; j++)
            accept[i * 4 + j] = letters[three >> (18 - j * 6) & 63];
    }
    accept[27] = '=';
    int size = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    kinds[fd] = strncmp(head, "GET /fanout", 11) ? ECHO : FAN;
    everybody[count++] = fd;
    put(fd, answer, size);
}

static void close_one(int fd) {
    for (int i = 0; i < count; i++)
        if (everybody[i] == fd) {
            everybody[i] = everybody[--count];
            break;
        }
    close(fd);
}

/* Makes answers of what came, in place. Returns how many bytes they have. */
static ssize_t answer(int fd, unsigned char *data, ssize_t size) {
    ssize_t at = 0, out = 0;
    while (at < size) {
        int opcode = data[at] & 15, length = data[at + 1] & 127;
        check(length < 126 && at + 6 + length <= size, "frames are whole and small");
        unsigned char *key = data + at + 2, *from = key + 4, *to = data + out + 2, mask[4];
        memcpy(mask, key, 4);
        at += 6 + length;
        if (opcode >= 8) {
            if (opcode == 8)
                put(fd, "\x88\0", 2);
            continue;
        }
        data[out] = 0x80 | opcode;
        data[out + 1] = length;
        for (int i = 0; i < length; i++)
            to[i] = from[i] ^ mask[i & 3];
        out += 2 + length;
    }
    return out;
}

static void serve(struct epoll_event *events, int n) {
    static unsigned char data[ROW][SIZE];
    ssize_t sizes[ROW];
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        ssize_t got = recv(fd, data[i], SIZE - 1, 0);
        sizes[i] = 0;
        if (got <= 0)
            close_one(fd);
        else if (kinds[fd] == NEW) {
            data[i][got] = 0;
            open_one(fd, (char *)data[i]);
        } else
            sizes[i] = answer(fd, data[i], got);
    }
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        if (sizes[i] && kinds[fd] == ECHO)
            put(fd, data[i], sizes[i]);
        else if (sizes[i])
            for (int j = 0; j < count; j++)
                put(everybody[j], data[i], sizes[i]);
    }
}

static void accept_all(int listener, int epoll) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
        check(fd < MOST, "there are not so many");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        kinds[fd] = NEW;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void ping(int timer) {
    uint64_t ticks;
    check(read(timer, &ticks, sizeof ticks) == sizeof ticks, "a timer can be read");
    for (int left = count * ticks / (EVERY * TICKS); left > 0; left--) {
        next_ping = (next_ping + 1) % count;
        put(everybody[next_ping], "\x89\0", 2);
    }
}

int main(int argc, char **argv) {
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec tick = {{0, 1000000000 / TICKS}, {0, 1000000000 / TICKS}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[BATCH];
    struct rlimit limit;
    check(argc > 1, "which port?");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_port = htons(atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    check(!bind(listener, (struct sockaddr *)&address, sizeof address) && !listen(listener, 4096), "the port is free");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.fd = timer});
    if (argc > 2)
        timerfd_settime(timer, 0, &tick, NULL);
    for (;;) {
        int n = epoll_wait(epoll, events, BATCH, -1), row = 0;
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener, epoll);
            else if (events[i].data.fd == timer)
                ping(timer);
            else
                events[row++] = events[i];
        }
        for (int i = 0; i < row; i += ROW)
            serve(events + i, row - i < ROW ? row - i : ROW);
    }
}
