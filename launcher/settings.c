/* The settings: the file beside the binary, then the environment, which wins. */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define CONFIG_LIMIT 16384

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

static char *join(const char *folder, const char *name)
{
    size_t length = strlen(folder), size = strlen(name) + 1;
    char *path = allocate(length + 1 + size);
    memcpy(path, folder, length);
    path[length] = '/';
    memcpy(path + length + 1, name, size);
    return path;
}

/* The file's text, NULL where there is none; the settings keep pointing into it. */
static char *read_configuration(const char *path)
{
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        fail(INTERNAL, "can't read %s: %s", path, strerror(errno));
    char *text = allocate(CONFIG_LIMIT + 1);
    size_t size = 0;
    while (size < CONFIG_LIMIT) {
        ssize_t n = read(fd, text + size, CONFIG_LIMIT - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(INTERNAL, "can't read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        size += (size_t)n;
    }
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
    char *path = join(binary, "pynet-launcher.conf");
    char *rest = read_configuration(path);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');
        if (*line == '#' || !value)
            continue;
        *value++ = 0;
        if (*value && !set(s, line, value))
            fail(INTERNAL, "%s: %s=%s is not a value pynet knows", path, line, value);
    }
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

struct settings configure(void)
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
        s.state = join(runtime, "pynet");
    if (!s.socket && s.state)
        s.socket = join(s.state, "pynetd.sock");
    return s;
}
