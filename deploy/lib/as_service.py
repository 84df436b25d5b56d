#!/usr/bin/python3
"""Runs a program in another root as a service manager or a container engine would: as a user that has no
name there, without capabilities, without a way to get privileges, and where --mdwe is said without
memory that may be written and then run. What systemd and engines do beyond that (seccomp, namespaces)
is not done.

  as_service.py ROOT UID:GID [--mdwe] [--cd DIR] [NAME=VALUE…] -- PROGRAM ARGUMENT…
"""

import ctypes
import os
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65


def prctl(option, argument):
    """Capabilities that the kernel does not know are not an error; all else is."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0 and option != PR_CAPBSET_DROP:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def main():
    split = sys.argv.index("--")
    (root, who, *options), program = sys.argv[1:split], sys.argv[split + 1:]
    user, group = map(int, who.split(":"))
    folder, variables = "/", {}
    while options:
        word = options.pop(0)
        if word == "--cd":
            folder = options.pop(0)
        elif word != "--mdwe":
            name, variables[name] = word.split("=", 1)
    os.chroot(root)
    os.chdir(folder)
    for capability in range(64):
        prctl(PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if "--mdwe" in sys.argv[:split]:
        prctl(PR_SET_MDWE, 1)
    os.execve(program[0], program, variables)


if __name__ == "__main__":
    main()
