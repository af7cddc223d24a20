/* What the launcher itself has to say: one CNI document on stdout, and exit status 1. */

#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool write_whole(int fd, const char *data, size_t size)
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

void write_all(int fd, const char *data, size_t size)
{
    if (!write_whole(fd, data, size))
        exit(1);
}

void fail(enum code code, const char *format, ...)
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

void *allocate(size_t size)
{
    /* Most calls need so little that the kernel need not be asked: its pages are there, unused
     * ones cost nothing, and the first malloc alone takes half a dozen system calls. */
    static _Alignas(16) char reserve[64 << 10];
    static size_t used;
    if (size <= sizeof reserve - used) {
        void *memory = reserve + used;
        used = (used + size + 15) & ~(size_t)15;
        return memory;
    }
    void *memory = malloc(size);
    if (!memory)
        fail(INTERNAL, "pynet's launcher is out of memory (%zu bytes)", size);
    return memory;
}
