/* The front of every plugin: asks pynetd, and where there is none runs the same code in Python.
 *
 * Called by a runtime as `bridge`, `portmap` ...: the base name of argv[0] is the plugin.
 * A request that the daemon has accepted is never run a second time; one that it has not
 * accepted is always run, by the one-shot. On stdout stands exactly one document.
 *
 * It runs as root before every container: it touches as little memory, and asks the kernel as
 * rarely, as it can. daemon.c asks the daemon, settings.c says which, output.c reports errors.
 */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ONE_SHOT "from pynet.daemon.one_shot_start import main; main()"

/* A descriptor of ours must never become stdin, stdout or stderr. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) /* the lowest free one */
            fail(INTERNAL, "descriptor %d is closed, and /dev/null can't be opened", fd);
}

static void grow(struct request *request)
{
    request->room *= 2;
    char *larger = allocate(request->room);
    request->frame = memcpy(larger, request->frame, request->size);
}

static void read_stdin(struct request *request)
{
    for (;;) {
        if (request->size == request->room)
            grow(request);
        ssize_t n = read(STDIN_FILENO, request->frame + request->size,
                         request->room - request->size);
        if (n == 0)
            return;
        if (n > 0) {
            request->size += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd readable = {.fd = STDIN_FILENO, .events = POLLIN};
            poll(&readable, 1, -1);
        } else if (errno != EINTR) {
            fail(INTERNAL, "can't read the network configuration from stdin: %s", strerror(errno));
        }
        if (request->size - request->stdin_at > FRAME_LIMIT / 2)
            fail(DECODING_FAILURE, "the network configuration on stdin is larger than %u MiB",
                 FRAME_LIMIT >> 21);
    }
}

/* What was read of stdin is there to be read once more. */
static void put_stdin_back(const struct request *request)
{
    int fd = memfd_create("stdin", 0);
    if (fd < 0)
        fail(INTERNAL, "can't hand stdin on: memfd_create: %s", strerror(errno));
    write_all(fd, request->frame + request->stdin_at, request->size - request->stdin_at);
    lseek(fd, 0, SEEK_SET);
    dup2(fd, STDIN_FILENO);
    close(fd);
}

/* `words` are what a person has said behind the name, if anything. */
__attribute__((noreturn))
static void run_one_shot(const struct settings *s, char *plugin, char **words, size_t count)
{
    if (!s->python || *s->python != '/')
        fail(INTERNAL, "pynet's launcher knows no absolute path of a Python interpreter: "
             "run `pynet install`, or write python=/... into pynet-launcher.conf beside it");
    signal(SIGPIPE, SIG_DFL); /* an ignored signal would stay ignored in all that follows */
    char **argv = allocate((count + 6) * sizeof *argv);
    char *before[] = {(char *)s->python, "-I", "-c", ONE_SHOT};
    memcpy(argv, before, sizeof before);
    memcpy(argv + 4, words, count * sizeof *words);
    argv[count + 4] = plugin;
    argv[count + 5] = NULL;
    execv(s->python, argv);
    fail(INTERNAL, "can't run the Python interpreter %s: %s; "
         "correct python= in pynet-launcher.conf, or run `pynet install` again",
         s->python, strerror(errno));
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
        run_one_shot(&s, plugin, argv + 1, (size_t)argc - 1);
    struct request request = begin_request(plugin);
    read_stdin(&request);
    if (s.mode != NEVER) {
        const char *reason = ask_daemon(&s, &request);
        if (s.mode == REQUIRE)
            fail(TRY_AGAIN_LATER, "PYNET_DAEMON=require, and pynetd at %s can't be used: %s",
                 s.socket ? s.socket : "(no socket path)", reason);
    }
    put_stdin_back(&request);
    run_one_shot(&s, plugin, argv, 0);
}
