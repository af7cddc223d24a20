/* What the launcher's files share; what it is, and what it promises, stands in main.c. */

#ifndef PYNET_LAUNCHER_H
#define PYNET_LAUNCHER_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>

#define FRAME_LIMIT (16u << 20)

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

/* The frame that the daemon is sent. What comes on stdin is its end, and read to its place. */
struct request {
    char *frame;
    size_t size;     /* of all of it, so far */
    size_t stdin_at; /* where in it stdin begins */
    size_t room;     /* what fits into `frame` */
};

extern char **environ;

/* --- output.c --- */

/* False if it can't be written. */
bool write_whole(int fd, const char *data, size_t size);

/* Ends the process if it can't be written: nobody is left to tell. */
void write_all(int fd, const char *data, size_t size);

/* One CNI document on stdout, exit status 1. */
__attribute__((format(printf, 2, 3), noreturn))
void fail(enum code code, const char *format, ...);

/* Memory for as long as the process lives. */
void *allocate(size_t size);

/* --- settings.c --- */

/* From the file beside the binary, then from the environment. */
struct settings configure(void);

/* --- daemon.c --- */

/* All of the request but for stdin. */
struct request begin_request(const char *plugin);

/* Relays the daemon's answer and exits. Comes back, with the reason, only if the daemon has not
 * accepted the request and never will. */
const char *ask_daemon(const struct settings *s, struct request *request);

#endif
