"""What runs in the worker of mitogen, which sends it there."""

import os

import mitogen.core

VALUES = {}


def first():
    return 1


def pid():
    return os.getpid()


def echo(value):
    return value


def up(sender, text, n):
    if text not in VALUES:
        VALUES[text] = mitogen.core.Blob(b"x" * (1 << 20)) if text == "MIB" else eval(text)
    value = VALUES[text]
    for _ in range(n):
        sender.send(value)


@mitogen.core.takes_router
def sink(sender, n, router):
    """Sends where to send, then says when `n` items have come."""
    receiver = mitogen.core.Receiver(router)
    sender.send(receiver.to_sender())
    for _ in range(n):
        receiver.get().unpickle()
    sender.send(n)
