"""`postlane` without its start-up: a process that has imported every command forks once for each one that is called.

A page of documentation calls the command dozens of times, and each start costs a second of imports. What is run is the
real `main`, in a process of its own, with the caller's words, folder, environment and file descriptors.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.main import COMMANDS, main

CLIENT = """\
#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(call).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(call)
    sys.exit(int(server.recv(4) or b"1"))
"""
"""The program that a shell finds under the name `postlane`."""


@contextlib.contextmanager
def resident(path: Path) -> Iterator[None]:
    """Commands are run for whoever asks at this socket, until the block is left."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = os.fork()
        if server == 0:
            _serve(listener)
    try:
        yield
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def _serve(listener: socket.socket) -> None:
    for entry in COMMANDS:
        importlib.import_module(entry.target.partition(":")[0])
    gc.freeze()  # else each child's collector touches, and so copies, all that was imported: three quarters of its work
    while True:
        client, _ = listener.accept()
        with client:
            size, handles, _, _ = socket.recv_fds(client, 4, 3)
            words, folder, environment = json.loads(client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
            child = os.fork()
            if child == 0:
                _run(handles, words, folder, environment)
            for handle in handles:
                os.close(handle)
            _, status = os.waitpid(child, 0)
            client.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(handles: list[int], words: list[str], folder: str, environment: dict[str, str]) -> None:
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    status: object = 1
    try:
        main(words)
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)
