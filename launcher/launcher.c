/* The front of every plugin: asks pynetd, and where there is none runs the same code in Python.
 *
 * Called by a runtime as `bridge`, `portmap` ...: the base name of argv[0] is the plugin.
 * A request that the daemon has accepted is never run a second time; one that it has not
 * accepted is always run, by the one-shot. On stdout stands exactly one document.
 *
 * The frame, the same as in daemon/wire.py; integers are little-endian:
 *
 *     0  4  magic "pynt"
 *     4  2  protocol version
 *     6  2  kind: 1 request, 2 accepted, 3 declined, 4 reply
 *     8  4  length of the body, at most 16 MiB
 *
 *     request   u32 length of the plugin's name, u32 of the environment, u32 of stdin;
 *               then these three; the environment is NAME=VALUE entries, each ended by NUL
 *     accepted  empty
 *     declined  the reason, UTF-8
 *     reply     u32 exit status; then stdout
 *
 * With a request's first byte go its descriptors (SCM_RIGHTS): the caller's network, mount
 * and user namespace, the state directory, a pipe to stderr, and CNI_NETNS if it could be
 * opened. stderr itself is not among them: a daemon that hangs would hold it, and the runtime
 * reads ours to its end.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL_VERSION 1
#define HEADER_SIZE 12
#define FRAME_LIMIT (16u << 20)
#define CONFIG_LIMIT 16384
#define MOST_DESCRIPTORS 6
#define ONE_SHOT "from pynet.daemon.one_shot import main; main()"

enum kind { REQUEST = 1, ACCEPTED, DECLINED, REPLY };
enum mode { AUTO, NEVER, REQUIRE };
enum code { DECODING_FAILURE = 6, TRY_AGAIN_LATER = 11, INTERNAL = 999 };

struct settings {
    const char *python;
    const char *socket;
    const char *state;
    enum mode mode;
    long accept_ms;
    long reply_ms;
};

struct buffer {
    char *data;
    size_t size;
};

extern char **environ;

/* --- errors: one CNI document on stdout, exit status 1 ------------------------------- */

/* False if it can't be written. */
static bool write_whole(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void write_all(int fd, const char *data, size_t size)
{
    if (!write_whole(fd, data, size))
        exit(1); /* nobody is left to tell */
}

__attribute__((format(printf, 2, 3), noreturn))
static void fail(enum code code, const char *format, ...)
{
    char msg[4096];
    char out[6 * sizeof msg + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(msg, sizeof msg, format, args);
    va_end(args);

    /* The configuration's version is not known here: nothing parsed it. */
    size_t n = (size_t)sprintf(out, "{\"cniVersion\": \"1.1.0\", \"code\": %d, \"msg\": \"", code);
    for (const unsigned char *c = (const unsigned char *)msg; *c; c++) {
        if (*c == '"' || *c == '\\')
            n += (size_t)sprintf(out + n, "\\%c", *c);
        else if (*c < 0x20 || *c > 0x7e) /* paths may hold any byte; JSON may not */
            n += (size_t)sprintf(out + n, "\\u%04x", *c);
        else
            out[n++] = (char)*c;
    }
    n += (size_t)sprintf(out + n, "\"}\n");
    write_all(STDOUT_FILENO, out, n);
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        fail(INTERNAL, "pynet's launcher is out of memory (%zu bytes)", size);
    return memory;
}

__attribute__((format(printf, 1, 2)))
static char *format_text(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        fail(INTERNAL, "pynet's launcher is out of memory");
    return text;
}

/* --- settings: the file beside the binary, then the environment ---------------------- */

static bool set(struct settings *s, const char *key, const char *value)
{
    long *number = strcmp(key, "accept_ms") == 0 ? &s->accept_ms
                 : strcmp(key, "reply_ms") == 0 ? &s->reply_ms : NULL;
    if (number) {
        char *end;
        *number = strtol(value, &end, 10);
        return *end == 0 && *number > 0 && *number < INT_MAX;
    }
    if (strcmp(key, "python") == 0)
        s->python = value;
    else if (strcmp(key, "socket") == 0)
        s->socket = value;
    else if (strcmp(key, "state") == 0)
        s->state = value;
    else if (strcmp(key, "daemon") == 0) {
        static const char *const modes[] = {"auto", "never", "require"};
        for (int i = AUTO; i <= REQUIRE; i++)
            if (strcmp(value, modes[i]) == 0) {
                s->mode = (enum mode)i;
                return true;
            }
        return false;
    }
    return true; /* a key of a later version */
}

/* The file's text; the settings keep pointing into it. */
static char *read_configuration(const char *path)
{
    char *text = allocate(CONFIG_LIMIT + 1);
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        fail(INTERNAL, "can't read %s: %s", path, strerror(errno));
    while (fd >= 0 && size < CONFIG_LIMIT) {
        ssize_t n = read(fd, text + size, CONFIG_LIMIT - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(INTERNAL, "can't read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        size += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    text[size] = 0;
    return text;
}

static void configure_from_file(struct settings *s)
{
    char binary[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (n < 0)
        return; /* no /proc: the environment may still say enough */
    binary[n] = 0;
    *strrchr(binary, '/') = 0;
    char *path = format_text("%s/pynet-launcher.conf", binary);
    char *rest = read_configuration(path);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');
        if (*line == '#' || !value)
            continue;
        *value++ = 0;
        if (*value && !set(s, line, value))
            fail(INTERNAL, "%s: %s=%s is not a value pynet knows", path, line, value);
    }
    free(path);
}

static void configure_from_environment(struct settings *s)
{
    static const char *const names[][2] = {
        {"PYNET_PYTHON", "python"}, {"PYNET_SOCKET", "socket"},
        {"PYNET_STATE_DIR", "state"}, {"PYNET_DAEMON", "daemon"},
        {"PYNET_ACCEPT_MS", "accept_ms"}, {"PYNET_REPLY_MS", "reply_ms"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i][0]);
        if (value && *value && !set(s, names[i][1], value))
            fail(INTERNAL, "%s=%s is not a value pynet knows", names[i][0], value);
    }
}

/* A caller with fewer rights than ours must not choose what we run or whom we ask. */
static void forget_environment(void)
{
    char **kept = environ;
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, "PYNET_", 6) != 0 && strncmp(*entry, "XDG_RUNTIME_DIR=", 16) != 0)
            *kept++ = *entry;
    *kept = NULL;
}

static struct settings configure(void)
{
    struct settings s = {.mode = AUTO, .accept_ms = 1000, .reply_ms = 30000};
    configure_from_file(&s);
    if (getauxval(AT_SECURE))
        forget_environment();
    else
        configure_from_environment(&s);
    /* The daemon and the one-shot read the same from the environment. */
    if (s.state)
        setenv("PYNET_STATE_DIR", s.state, 1);
    if (s.socket)
        setenv("PYNET_SOCKET", s.socket, 1);
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (!s.state && geteuid() == 0)
        s.state = "/run/pynet";
    else if (!s.state && runtime && *runtime)
        s.state = format_text("%s/pynet", runtime);
    if (!s.socket && s.state)
        s.socket = format_text("%s/pynetd.sock", s.state);
    return s;
}

/* --- stdin ---------------------------------------------------------------------------- */

/* A descriptor of ours must never become stdin, stdout or stderr. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static struct buffer read_stdin(void)
{
    struct buffer in = {allocate(16384), 0};
    size_t room = 16384;
    for (;;) {
        if (in.size == room) {
            room *= 2;
            in.data = realloc(in.data, room);
            if (!in.data)
                fail(INTERNAL, "pynet's launcher is out of memory (%zu bytes)", room);
        }
        ssize_t n = read(STDIN_FILENO, in.data + in.size, room - in.size);
        if (n == 0)
            return in;
        if (n > 0) {
            in.size += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd readable = {.fd = STDIN_FILENO, .events = POLLIN};
            poll(&readable, 1, -1);
        } else if (errno != EINTR) {
            fail(INTERNAL, "can't read the network configuration from stdin: %s", strerror(errno));
        }
        if (in.size > FRAME_LIMIT / 2)
            fail(DECODING_FAILURE, "the network configuration on stdin is larger than %u MiB",
                 FRAME_LIMIT >> 21);
    }
}

/* --- the one-shot --------------------------------------------------------------------- */

__attribute__((noreturn))
static void run_one_shot(const struct settings *s, char *plugin, const struct buffer *in)
{
    if (!s->python || *s->python != '/')
        fail(INTERNAL, "pynet's launcher knows no absolute path of a Python interpreter: "
             "run `pynet install`, or write python=/... into pynet-launcher.conf beside it");
    if (in) {
        int fd = memfd_create("stdin", 0);
        if (fd < 0)
            fail(INTERNAL, "can't hand stdin on: memfd_create: %s", strerror(errno));
        write_all(fd, in->data, in->size);
        lseek(fd, 0, SEEK_SET);
        dup2(fd, STDIN_FILENO);
        close(fd);
    }
    signal(SIGPIPE, SIG_DFL); /* an ignored signal would stay ignored in all that follows */
    char *argv[] = {(char *)s->python, "-I", "-c", ONE_SHOT, plugin, NULL};
    execv(s->python, argv);
    fail(INTERNAL, "can't run the Python interpreter %s: %s; "
         "correct python= in pynet-launcher.conf, or run `pynet install` again",
         s->python, strerror(errno));
}

/* --- the socket ------------------------------------------------------------------------ */

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum wait { READY, LATE };

static int relayed = -1; /* the pipe in which comes what is for our stderr; does not block */

/* Passes on what has come. */
static void relay_stderr(void)
{
    char data[4096];
    ssize_t n = -1;
    while (relayed >= 0 && (n = read(relayed, data, sizeof data)) > 0)
        write_whole(STDERR_FILENO, data, (size_t)n); /* nobody reads it: so be it */
    if (n == 0) {
        close(relayed);
        relayed = -1;
    }
}

/* Waits until `fd` is ready. If the reader of our stdout is gone the answer can reach
 * nobody: then we leave, and the daemon sees us hang up. */
static enum wait wait_for(int fd, short events, long deadline)
{
    struct pollfd watched[] = {{.fd = fd, .events = events}, {.fd = STDOUT_FILENO},
                               {.fd = relayed, .events = POLLIN}};
    for (;;) {
        long left = deadline - now_ms();
        int n = poll(watched, 3, left > 0 ? (int)left : 0);
        if (n == 0)
            return LATE;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(INTERNAL, "poll: %s", strerror(errno));
        if (watched[2].revents)
            relay_stderr();
        watched[2].fd = relayed;
        if (watched[0].revents)
            return READY;
        if (watched[1].revents & POLLERR)
            exit(1);
        if (watched[1].revents) /* hung up, yet it could still be written to */
            watched[1].fd = -1;
    }
}

/* True if all of it came before the deadline. */
static bool receive(int fd, void *into, size_t size, long deadline)
{
    char *at = into;
    while (size > 0) {
        ssize_t n = recv(fd, at, size, MSG_DONTWAIT);
        if (n == 0)
            return false;
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLIN, deadline) == LATE)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* True if all of it went before the deadline; the descriptors go with the first byte. */
static bool transmit(int fd, const struct buffer *frame, const int *fds, size_t count,
                     long deadline)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control = {0};
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    struct iovec part = {frame->data, frame->size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    while (part.iov_len > 0) {
        ssize_t n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            part.iov_base = (char *)part.iov_base + n;
            part.iov_len -= (size_t)n;
            message.msg_control = NULL;
            message.msg_controllen = 0;
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLOUT, deadline) == LATE)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

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

/* A connection to a daemon of root's or our own, or -1 with the reason. */
static int connect_daemon(const char *path, const char **reason)
{
    struct sockaddr_un address;
    struct ucred peer;
    socklen_t size = sizeof peer;
    *reason = "no daemon answers";
    if (!path || !address_of(path, &address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFL, O_NONBLOCK); /* a full queue is a busy daemon: don't wait in it */
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

/* --- the request and its answer ----------------------------------------------------------- */

static void put32(char *at, size_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (8 * i));
}

static uint32_t get(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

/* The frame, or one without data where it would be too large. */
static struct buffer encode_request(const char *plugin, const struct buffer *in)
{
    size_t name = strlen(plugin), variables = 0;
    for (char **entry = environ; *entry; entry++)
        variables += strlen(*entry) + 1;
    size_t body = 12 + name + variables + in->size;
    if (body > FRAME_LIMIT)
        return (struct buffer){NULL, 0};
    struct buffer frame = {allocate(HEADER_SIZE + body), HEADER_SIZE + body};
    char *at = frame.data;
    memcpy(at, "pynt\1\0\1\0", 8); /* version 1, kind 1 */
    put32(at + 8, body);
    put32(at + 12, name);
    put32(at + 16, variables);
    put32(at + 20, in->size);
    at = mempcpy(at + 24, plugin, name);
    for (char **entry = environ; *entry; entry++)
        at = mempcpy(at, *entry, strlen(*entry) + 1);
    memcpy(at, in->data, in->size);
    return frame;
}

/* How many descriptors there are, 0 if one that every request needs can't be opened. */
static size_t open_descriptors(const struct settings *s, int *fds)
{
    const char *paths[] = {"/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/user"};
    size_t count = 0;
    for (; count < 3; count++)
        if ((fds[count] = open(paths[count], O_RDONLY | O_CLOEXEC)) < 0)
            return 0;
    if ((fds[count++] = open(s->state, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    relayed = ends[0];
    fcntl(relayed, F_SETFL, O_NONBLOCK);
    fds[count++] = ends[1];
    const char *netns = getenv("CNI_NETNS");
    if (netns && *netns) { /* not blocking: the path may name anything, a FIFO too */
        fds[count] = open(netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        count += fds[count] >= 0;
    }
    return count;
}

/* Relays the answer and exits; comes back, with the reason, only if nothing was accepted. */
static const char *await_answer(int fd, const struct settings *s, long deadline)
{
    bool accepted = false;
    for (;;) {
        unsigned char header[HEADER_SIZE];
        char *body = NULL;
        uint32_t size = 0;
        bool whole = receive(fd, header, sizeof header, deadline)
                  && memcmp(header, "pynt", 4) == 0;
        unsigned kind = whole ? get(header + 6, 2) : 0;
        if (whole && get(header + 4, 2) != PROTOCOL_VERSION)
            kind = DECLINED;
        if (whole && (size = get(header + 8, 4)) <= FRAME_LIMIT) {
            body = allocate(size + 1);
            whole = receive(fd, body, size, deadline);
            body[size] = 0;
        }
        if (whole && body && kind == ACCEPTED && !accepted) {
            accepted = true;
            deadline = now_ms() + s->reply_ms;
            free(body);
        } else if (whole && body && kind == REPLY && size >= 4) {
            relay_stderr();
            write_all(STDOUT_FILENO, body + 4, size - 4);
            exit((int)(get((unsigned char *)body, 4) & 0xff));
        } else if (accepted) {
            fail(TRY_AGAIN_LATER, "pynetd accepted the request, then %s; it is not run a second "
                 "time. Try again later: what was begun is undone or completed by then",
                 now_ms() >= deadline ? "gave no answer in time" : "closed the connection");
        } else if (whole && body && kind == DECLINED) {
            return body;
        } else {
            return now_ms() >= deadline ? "the daemon did not accept the request in time"
                                        : "the daemon closed the connection";
        }
    }
}

/* Like `await_answer`. */
static const char *ask_daemon(const struct settings *s, const char *plugin,
                              const struct buffer *in)
{
    const char *reason;
    int fds[MOST_DESCRIPTORS];
    long deadline = now_ms() + s->accept_ms;
    int fd = connect_daemon(s->socket, &reason);
    if (fd < 0)
        return reason;
    size_t count = s->state ? open_descriptors(s, fds) : 0;
    struct buffer frame = encode_request(plugin, in);
    bool sent = count > 0 && frame.data && transmit(fd, &frame, fds, count, deadline);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (sent)
        reason = await_answer(fd, s, deadline);
    else if (count == 0)
        reason = "the namespaces of this process or the state directory can't be opened";
    else if (!frame.data)
        reason = "the request is too large for the daemon";
    else
        reason = "the daemon did not take the request";
    free(frame.data);
    close(fd);
    return reason;
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    struct settings s = configure();
    if (argc < 1)
        fail(INTERNAL, "pynet's launcher was started without a name");
    char *slash = strrchr(argv[0], '/');
    char *plugin = slash ? slash + 1 : argv[0];

    const char *command = getenv("CNI_COMMAND");
    if (!command || !*command) /* a person: told what this is, stdin is left alone */
        run_one_shot(&s, plugin, NULL);
    struct buffer in = read_stdin();
    if (s.mode != NEVER) {
        const char *reason = ask_daemon(&s, plugin, &in);
        if (s.mode == REQUIRE)
            fail(TRY_AGAIN_LATER, "PYNET_DAEMON=require, and pynetd at %s can't be used: %s",
                 s.socket ? s.socket : "(no socket path)", reason);
    }
    run_one_shot(&s, plugin, &in);
}
