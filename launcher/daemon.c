/* Asking the daemon: one request, one answer, and never a request that is run twice.
 *
 * A frame, the same as in daemon/wire.py; integers are little-endian:
 *
 *     0  4  magic "pynt"
 *     4  2  protocol version
 *     6  2  kind: 1 request, 3 declined, 4 reply
 *     8  4  length of the body, at most 16 MiB
 *
 *     request   u32 length of the plugin's name, u32 of the environment, u32 of stdin;
 *               then these three; the environment is NAME=VALUE entries, each ended by NUL
 *     declined  the reason, UTF-8
 *     reply     u32 exit status; then stdout
 *
 * With a request's first byte go its descriptors (SCM_RIGHTS): the caller's network, mount
 * and user namespace, its root directory, the state directory, a pipe to stderr, the token, and
 * CNI_NETNS if it could be opened. stderr itself is not among them: a daemon that hangs would hold it, and the
 * runtime reads ours to its end.
 *
 * The token is an eventfd that holds 1, and which both can read: who reads the 1 owns the request.
 * The daemon does so to accept it; we do before we run it ourselves. The kernel gives the 1 to one
 * of us, so it does not matter how late the daemon is, or where it was killed; and a message that
 * says "accepted" would wake us, on each call, for nothing.
 */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL_VERSION 3
#define HEADER_SIZE 12
#define MOST_DESCRIPTORS 8

enum kind { REQUEST = 1, DECLINED = 3, REPLY };
enum owner { UNDECIDED, OURS, THE_DAEMONS };
enum wait { READY, LATE };

struct talk {
    int socket;       /* does not block */
    int token;        /* does not block */
    int relayed;      /* does not block: the pipe in which comes what is for our stderr */
    enum owner owner; /* as far as we know: the daemon does not tell */
    long deadline;    /* for the daemon to accept the request; where it has, to answer it */
    long reply_ms;
};

struct answer {
    unsigned kind;
    size_t size;
    char *body; /* a NUL follows */
};

/* --- the request ---------------------------------------------------------------------------- */

static void put32(char *at, size_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (8 * i));
}

static uint32_t get(const char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | (unsigned char)at[bytes];
    return value;
}

struct request begin_request(const char *plugin)
{
    size_t name = strlen(plugin), variables = 0;
    for (char **entry = environ; *entry; entry++)
        variables += strlen(*entry) + 1;
    size_t begun = HEADER_SIZE + 12 + name + variables;
    size_t room = begun + 16384; /* and few configurations are larger */
    char *frame = allocate(room);
    memcpy(frame, "pynt\3\0\1\0", 8); /* version 3, kind 1 */
    put32(frame + 12, name);
    put32(frame + 16, variables);
    char *at = mempcpy(frame + 24, plugin, name);
    for (char **entry = environ; *entry; entry++)
        at = mempcpy(at, *entry, strlen(*entry) + 1);
    return (struct request){.frame = frame, .size = begun, .stdin_at = begun, .room = room};
}

/* False if it is too large for a frame. */
static bool end_request(struct request *request)
{
    put32(request->frame + 8, request->size - HEADER_SIZE);
    put32(request->frame + 20, request->size - request->stdin_at);
    return request->size - HEADER_SIZE <= FRAME_LIMIT;
}

/* --- the token ------------------------------------------------------------------------------ */

/* Whether nobody but us will ever run the request: settles it for good where that is so. A daemon
 * that has accepted it gives the token back where it finds that it can't serve it after all, and has
 * undone what it had begun. */
static bool is_ours(struct talk *talk)
{
    uint64_t one;
    if (talk->owner != OURS)
        talk->owner = read(talk->token, &one, sizeof one) == sizeof one ? OURS : THE_DAEMONS;
    return talk->owner == OURS;
}

/* --- waiting, and what is for stderr -------------------------------------------------------- */

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Passes on what has come. */
static void relay_stderr(const struct talk *talk)
{
    char data[4096];
    ssize_t n;
    while ((n = read(talk->relayed, data, sizeof data)) > 0)
        write_whole(STDERR_FILENO, data, (size_t)n); /* nobody reads it: so be it */
}

/* Waits until the socket is ready. If the reader of our stdout is gone the answer can reach
 * nobody: then we leave, and the daemon sees us hang up. */
static enum wait wait_for(struct talk *talk, short events)
{
    struct pollfd watched[] = {{.fd = talk->socket, .events = events}, {.fd = STDOUT_FILENO},
                               {.fd = talk->relayed, .events = POLLIN}};
    for (;;) {
        long left = talk->deadline - now_ms();
        int n = poll(watched, 3, left > 0 ? (int)left : 0);
        if (n == 0) {
            if (talk->owner != UNDECIDED || is_ours(talk))
                return LATE;
            talk->deadline += talk->reply_ms; /* it was accepted, and is being answered */
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(INTERNAL, "poll: %s", strerror(errno));
        if (watched[2].revents)
            relay_stderr(talk);
        if (watched[0].revents)
            return READY;
        if (watched[1].revents & POLLERR)
            exit(1);
        if (watched[1].revents) /* hung up, yet it could still be written to */
            watched[1].fd = -1;
    }
}

/* --- the connection ------------------------------------------------------------------------- */

/* An address of any length: a long one goes by way of its directory's descriptor. */
static bool address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof address->sun_path) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return true;
    }
    const char *name = strrchr(path, '/');
    if (!name)
        return false;
    char *directory = strndup(path, (size_t)(name - path));
    int fd = directory ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    free(directory);
    if (fd < 0)
        return false;
    int n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s", fd, name);
    return n < (int)sizeof address->sun_path;
}

/* A connection to a daemon of root's or our own, or -1 with the reason. It does not block: a full
 * queue is a busy daemon, and nobody waits in it. */
static int connect_daemon(const char *path, const char **reason)
{
    struct sockaddr_un address;
    struct ucred peer;
    socklen_t size = sizeof peer;
    *reason = "no daemon answers";
    if (!path || !address_of(path, &address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0
        || (peer.uid != 0 && peer.uid != geteuid())) {
        *reason = "the daemon belongs to another user";
        close(fd);
        return -1;
    }
    return fd;
}

/* True if all of it went before the deadline; the descriptors go with the first byte. */
static bool transmit(struct talk *talk, const struct request *request, const int *fds,
                     size_t count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control = {0};
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    struct iovec part = {request->frame, request->size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    while (part.iov_len > 0) {
        ssize_t n = sendmsg(talk->socket, &message, MSG_NOSIGNAL);
        if (n >= 0) {
            part.iov_base = (char *)part.iov_base + n;
            part.iov_len -= (size_t)n;
            message.msg_control = NULL;
            message.msg_controllen = 0;
        } else if (errno == EAGAIN) {
            if (wait_for(talk, POLLOUT) == LATE)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* How much came before the deadline and the end, at most `room`: it waits for `least` bytes. */
static size_t receive(struct talk *talk, char *into, size_t least, size_t room)
{
    size_t size = 0;
    while (size < least && wait_for(talk, POLLIN) == READY) {
        ssize_t n = recv(talk->socket, into + size, room - size, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    return size;
}

/* True if it is whole, and of a kind that is known. */
static bool receive_answer(struct talk *talk, struct answer *answer)
{
    static char first[4096]; /* nearly every answer fits: one system call */
    size_t came = receive(talk, first, HEADER_SIZE, sizeof first);
    if (came < HEADER_SIZE || memcmp(first, "pynt", 4) != 0)
        return false;
    bool is_other = get(first + 4, 2) != PROTOCOL_VERSION; /* another package's: a refusal */
    answer->kind = is_other ? DECLINED : get(first + 6, 2);
    answer->size = get(first + 8, 4);
    if (answer->size > FRAME_LIMIT)
        return false;
    size_t whole = HEADER_SIZE + answer->size;
    char *frame = first;
    if (whole >= sizeof first)
        frame = memcpy(allocate(whole + 1), first, came);
    if (came < whole && receive(talk, frame + came, whole - came, whole - came) < whole - came)
        return false;
    frame[whole] = 0;
    answer->body = frame + HEADER_SIZE;
    return answer->kind == DECLINED || (answer->kind == REPLY && answer->size >= 4);
}

/* --- the whole of it ------------------------------------------------------------------------ */

/* CNI_NETNS, -1 if it can't be opened; errno is 0 then where none is given. A descriptor opened by its path holds the mount that is
 * there: the runtime could not unmount it while the daemon, or the daemon's queue, has ours. One that
 * is opened from inside holds the namespace alone. */
static int open_sandbox(int own)
{
    const char *path = getenv("CNI_NETNS");
    errno = 0;
    if (!path || !*path)
        return -1;
    /* not blocking: the path may name anything, a FIFO too */
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        return fd; /* the daemon will see what it is */
    int inside = openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (setns(own, CLONE_NEWNET) < 0)
        fail(INTERNAL, "can't come back from the network namespace %s: %s", path, strerror(errno));
    if (inside < 0)
        return fd;
    close(fd);
    return inside;
}

/* How many descriptors there are, 0 if one that every request needs can't be opened. Like the
 * socket they stay open until this process ends, or becomes the one-shot. */
static size_t open_descriptors(const struct settings *s, struct talk *talk, int *fds)
{
    /* openat() instead of open(): musl's follows O_CLOEXEC with a second system call. */
    const char *paths[] = {"/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/user"};
    size_t count = 0;
    for (; count < 3; count++)
        if ((fds[count] = openat(AT_FDCWD, paths[count], O_RDONLY | O_CLOEXEC)) < 0)
            return 0;
    const char *directories[] = {"/", s->state};
    for (int i = 0; i < 2; i++, count++)
        if ((fds[count] = openat(AT_FDCWD, directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
            return 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    talk->relayed = ends[0];
    fcntl(talk->relayed, F_SETFL, O_NONBLOCK);
    fds[count++] = ends[1];
    talk->token = eventfd(1, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    fds[count++] = talk->token;
    if (talk->token < 0)
        return 0;
    fds[count] = open_sandbox(fds[0]);
    /* For want of a descriptor it would look as if it were gone. */
    if (fds[count] < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return 0;
    return count + (fds[count] >= 0);
}

const char *ask_daemon(const struct settings *s, struct request *request)
{
    const char *reason;
    int fds[MOST_DESCRIPTORS];
    struct answer answer;
    struct talk talk = {.deadline = now_ms() + s->accept_ms, .reply_ms = s->reply_ms};
    if ((talk.socket = connect_daemon(s->socket, &reason)) < 0)
        return reason;
    size_t count = s->state ? open_descriptors(s, &talk, fds) : 0;
    if (count == 0)
        return "this process's namespaces, its root or the state directory can't be opened";
    if (!end_request(request))
        return "the request is too large for the daemon";

    bool answered = transmit(&talk, request, fds, count) && receive_answer(&talk, &answer);
    if (answered && answer.kind == REPLY) {
        relay_stderr(&talk);
        write_all(STDOUT_FILENO, answer.body + 4, answer.size - 4);
        exit((int)(get(answer.body, 4) & 0xff));
    }
    bool late = now_ms() >= talk.deadline;
    if (!is_ours(&talk))
        fail(TRY_AGAIN_LATER, "pynetd accepted the request, then %s; it is not run a second "
             "time. Try again later: what was begun is undone or completed by then",
             late ? "gave no answer in time" : "closed the connection");
    if (answered)
        return answer.body;
    return late ? "the daemon did not accept the request in time"
                : "the daemon closed the connection";
}
