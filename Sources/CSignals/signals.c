// Catches signals from the first instruction of the program and keeps them until it takes them.
//
// SIGHUP ends a process that has not said what it wants with it, and a reload may be asked for while the configuration
// is still being read for the first time, or a log of a gigabyte is being checked. To block the signals would not do:
// libdispatch lets the main thread wait with none blocked.

#define _GNU_SOURCE
#include "CSignals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

// Written before the handlers are installed; -1 until then.
static int reading = -1;
static int writing = -1;

static void caught(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe drops a signal; otherwise it could block the thread that it interrupted.
    ssize_t ignored = write(writing, &byte, 1);
    (void)ignored;
    errno = saved;
}

int csignals_catch(void) {
    if (writing >= 0) return 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    reading = ends[0];
    writing = ends[1];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = caught;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

int csignals_next(void) {
    unsigned char byte = 0;
    ssize_t count;
    do {
        count = read(reading, &byte, 1);
    } while (count < 0 && errno == EINTR);
    return count == 1 ? byte : (count < 0 ? -errno : -EPIPE);
}

static void catch_if_gateway(int count, char **arguments, char **environment) {
    (void)environment;
    if (count < 2 || !arguments || !arguments[1]) return;
    const char *verb = arguments[1];
    if (!strcmp(verb, "serve") || !strcmp(verb, "try") || !strcmp(verb, "demo")) (void)csignals_catch();
}

#ifdef __linux__
// In front of the constructors of all libraries, which take some milliseconds.
__attribute__((section(".preinit_array"), used)) static void (*const catch_first)(int, char **, char **) =
    catch_if_gateway;
#endif
