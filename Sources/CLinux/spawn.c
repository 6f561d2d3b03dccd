#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

static int prepare(posix_spawn_file_actions_t *actions, const char *directory, int output, int errors) {
    int code = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (code == 0) code = posix_spawn_file_actions_adddup2(actions, output, 1);
    if (code == 0) code = posix_spawn_file_actions_adddup2(actions, errors, 2);
    if (code == 0) code = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (code == 0 && directory) code = posix_spawn_file_actions_addchdir_np(actions, directory);
    return code;
}

/// Undoes what a test runner, or a thread with its signals blocked, would hand down.
static int reset_signals(posix_spawnattr_t *attributes) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int code = posix_spawnattr_setsigdefault(attributes, &all);
    if (code == 0) code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0) code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return code;
}

static int spawn(
    pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *directory, int output,
    int errors) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) return code;
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = prepare(&actions, directory, output, errors);
        if (code == 0) code = reset_signals(&attributes);
        if (code == 0) code = posix_spawn(pid, path, &actions, &attributes, argv, envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

int clinux_spawn(
    const char *path, char *const argv[], char *const envp[], const char *directory, int *output, int *errors) {
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) < 0) return -errno;
    if (pipe2(err, O_CLOEXEC) < 0) {
        int code = errno;
        close(out[0]);
        close(out[1]);
        return -code;
    }
    pid_t pid = 0;
    int code = spawn(&pid, path, argv, envp, directory, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    if (code != 0) {
        close(out[0]);
        close(err[0]);
        return -code;
    }
    *output = out[0];
    *errors = err[0];
    return pid;
}
