/* The settings: the file beside the binary, then the environment, which wins.
 *
 * What the file says is put into the environment where that says nothing: so it means the same to
 * the daemon and the one-shot, who read the environment alone. */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONFIG_LIMIT 16384

enum { STATE, SOCKET, DAEMON, ACCEPT_MS, REPLY_MS, PYTHON, SETTINGS };

static const struct {
    const char *key, *variable;
} known[SETTINGS] = {
    [STATE] = {"state", "PYNET_STATE_DIR"},     [SOCKET] = {"socket", "PYNET_SOCKET"},
    [DAEMON] = {"daemon", "PYNET_DAEMON"},      [ACCEPT_MS] = {"accept_ms", "PYNET_ACCEPT_MS"},
    [REPLY_MS] = {"reply_ms", "PYNET_REPLY_MS"}, [PYTHON] = {"python", "PYNET_PYTHON"},
};

/* Digits alone, and more than none. */
static bool set_ms(long *ms, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    *ms = digits < 10 ? strtol(value, NULL, 10) : 0;
    return value[digits] == 0 && *ms > 0;
}

static bool set_mode(enum mode *mode, const char *value)
{
    static const char *const modes[] = {"auto", "never", "require"};
    for (*mode = AUTO; *mode <= REQUIRE; ++*mode)
        if (strcmp(value, modes[*mode]) == 0)
            return true;
    return false;
}

/* False if the value means nothing. */
static bool set(struct settings *s, int which, const char *value)
{
    switch (which) {
    case STATE: s->state = value; break;
    case SOCKET: s->socket = value; break;
    case PYTHON: s->python = value; break;
    case DAEMON: return set_mode(&s->mode, value);
    case ACCEPT_MS: return set_ms(&s->accept_ms, value);
    case REPLY_MS: return set_ms(&s->reply_ms, value);
    }
    return true;
}

static int named(const char *key)
{
    int which = 0;
    while (which < SETTINGS && strcmp(key, known[which].key) != 0)
        which++;
    return which; /* SETTINGS: a key of a later version */
}

static char *joined(const char *first, char separator, const char *second)
{
    size_t length = strlen(first), size = strlen(second) + 1;
    char *text = allocate(length + 1 + size);
    memcpy(text, first, length);
    text[length] = separator;
    memcpy(text + length + 1, second, size);
    return text;
}

static char *join(const char *folder, const char *name)
{
    return joined(folder, '/', name);
}

/* Or /dev/null, which stands for an empty one. Of a pipe or a terminal nobody knows the end. */
static bool is_file(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0
        && (S_ISREG(about.st_mode)
            || (S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3)));
}

/* The file's text, NULL where there is none; the settings keep pointing into it. */
static char *read_configuration(const char *path)
{
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        fail(INTERNAL, "can't read %s: %s", path, strerror(errno));
    if (!is_file(fd))
        fail(INTERNAL, "can't read %s: it is no file; `pynet install` writes one, once it is gone",
             path);
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

/* Values of the file, by setting; NULL where it has none. */
static void configure_from_file(struct settings *s, const char **given)
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
        int which = named(line);
        if (!*value || which == SETTINGS)
            continue;
        if (!set(s, which, value))
            fail(INTERNAL, "%s: %s=%s is not a value pynet knows", path, line, value);
        given[which] = value;
    }
}

static void configure_from_environment(struct settings *s, const char **given)
{
    for (int which = 0; which < SETTINGS; which++) {
        const char *value = getenv(known[which].variable);
        if (!value || !*value)
            continue;
        if (!set(s, which, value))
            fail(INTERNAL, "%s=%s is not a value pynet knows", known[which].variable, value);
        given[which] = NULL; /* it is there already */
    }
}

/* Not by setenv(): it asks the kernel for memory. `python` is for us alone to know. */
static void add_to_environment(const char *const *given)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **larger = allocate((count + SETTINGS + 1) * sizeof *larger);
    memcpy(larger, environ, (count + 1) * sizeof *environ);
    for (int which = 0; which < PYTHON; which++) {
        if (!given[which])
            continue;
        char *entry = joined(known[which].variable, '=', given[which]);
        size_t name = strlen(known[which].variable) + 1, at = 0;
        while (at < count && strncmp(larger[at], entry, name) != 0)
            at++; /* it may be there, and empty */
        larger[at] = entry;
        if (at == count)
            larger[++count] = NULL;
    }
    environ = larger;
}

struct settings configure(void)
{
    struct settings s = {.mode = AUTO, .accept_ms = 1000, .reply_ms = 30000};
    const char *given[SETTINGS] = {NULL};
    /* A caller with fewer rights than ours must not choose what we run: and CNI_PATH is its own. */
    if (getauxval(AT_SECURE))
        fail(INTERNAL, "pynet's launcher was given more rights than its caller has (a set-user-ID "
             "or set-group-ID bit, file capabilities, or a security policy): that would let the "
             "caller run programs with them; `chmod ug-s` and `setcap -r` take them away");
    configure_from_file(&s, given);
    configure_from_environment(&s, given);
    add_to_environment(given);
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (!s.state && geteuid() == 0)
        s.state = "/run/pynet";
    else if (!s.state && runtime && *runtime)
        s.state = join(runtime, "pynet");
    if (!s.socket && s.state)
        s.socket = join(s.state, "pynetd.sock");
    return s;
}
