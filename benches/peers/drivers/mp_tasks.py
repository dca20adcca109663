"""What runs in the worker of multiprocessing."""

import os


def first(connection):
    connection.send(1)


def worker(connection):
    values = {}
    while True:
        work, argument, n = connection.recv()
        if work == "echo":
            for _ in range(n):
                connection.send(connection.recv())
        elif work == "up":
            if argument not in values:
                values[argument] = eval(argument)
            value = values[argument]
            for _ in range(n):
                connection.send(value)
        elif work == "up_bytes":
            for _ in range(n):
                connection.send_bytes(b"x" * (1 << 20))
        elif work == "down":
            for _ in range(n):
                connection.recv()
            connection.send(n)
        elif work == "down_bytes":
            for _ in range(n):
                connection.recv_bytes()
            connection.send(n)
        elif work == "pid":
            connection.send(os.getpid())
