"""Becomes the agent that lies beside this file.

AgentCore's code deployment starts a Python file and nothing else. This one replaces itself with the agent,
which keeps the process id and gets arguments, environment and signals as if it had been started itself.
Needs Python 3.10 and its standard library.
"""

import errno
import os
import shutil
import signal
import sys
import tempfile

# `vitracka package` puts the agent's name here.
BINARY = "AGENT"

# What an ELF file says it was built for, in the two bytes from the 18th on.
MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


def main():
    program = os.path.join(os.path.dirname(os.path.realpath(__file__)), BINARY)
    arguments = [program, *sys.argv[1:]]
    # Python ignores these two, and what is ignored stays so in the program that follows.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    refusals = []
    for way in (as_it_is, made_executable, from_memory, from_a_copy):
        try:
            way(program, arguments)
        except FileNotFoundError:
            sys.exit(f"vitracka: {BINARY} is not beside {__file__}; deploy what `vitracka package` made, all of it")
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                sys.exit(foreign(program))
            refusals.append(f"{way.__name__.replace('_', ' ')}: {error.strerror}")
    sys.exit(f"vitracka: this machine does not let {program} start ({'; '.join(refusals)})")


def as_it_is(program, arguments):
    os.execv(program, arguments)


def made_executable(program, arguments):
    """Some tools lose the exec bit when they zip."""
    os.chmod(program, 0o755)
    os.execv(program, arguments)


def from_memory(program, arguments):
    """Where the folder cannot be written to, or nothing in it may be executed."""
    memory = os.memfd_create(BINARY)
    with open(program, "rb") as source, os.fdopen(memory, "wb", closefd=False) as target:
        shutil.copyfileobj(source, target)
    os.execv(f"/proc/self/fd/{memory}", arguments)


def from_a_copy(program, arguments):
    """Where memory may not be executed either. The copy stays as long as the machine."""
    copy = os.path.join(tempfile.mkdtemp(prefix="agent-"), BINARY)
    shutil.copyfile(program, copy)
    os.chmod(copy, 0o700)
    os.execv(copy, arguments)


def foreign(program):
    with open(program, "rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF" or len(header) < 20:
        return f"vitracka: {program} is no program for Linux; make it again with `vitracka package`"
    number = int.from_bytes(header[18:20], "little")
    machine = MACHINES.get(number, f"machine type {number}")
    return (
        f"vitracka: {BINARY} is built for {machine} and this machine is {os.uname().machine}; "
        "deploy what `vitracka package` made, with platform linux/arm64"
    )


if __name__ == "__main__":
    main()
