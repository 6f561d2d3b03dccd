"""A service manager in small: listens, passes its socket to a program as systemd does (sd_listen_fds(3)), and keeps it over
restarts. SIGUSR1 restarts the program, SIGTERM ends it. Usage: socket_manager.py PROGRAM ARGUMENT...
"""

import os
import signal
import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(65535)


def start():
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD])
        if listener.fileno() != 3:
            os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        names = os.environ.get("SOCKET_NAMES", "freshet.socket")
        environment = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=names)
        os.execve(sys.argv[1], sys.argv[1:], environment)
    return child


def end(child):
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD])
child = start()
print(f"http://127.0.0.1:{listener.getsockname()[1]} is passed on", flush=True)
while True:
    received = signal.sigwait([signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD])
    if received == signal.SIGUSR1:
        code = end(child)
        print(f"ended with {code}", flush=True)
        child = start()
    elif received == signal.SIGTERM:
        sys.exit(end(child))
    else:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == child:
            sys.exit(os.waitstatus_to_exitcode(status))
