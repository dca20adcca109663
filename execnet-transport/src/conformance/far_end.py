# The far end of the conformance suite, as a program for Python 3.6 or later: does what the first line on its
# standard input asks for. `peer.rs` has the same for far ends within the process.
import os
import signal
import socket
import sys

# Nothing stays for ever, whatever the link under test forgets.
signal.alarm(600)
# Held open as long as this process lives: that is how the suite knows.
witness = socket.create_connection(("127.0.0.1", @PORT@))


def hold():
    while True:
        signal.pause()


def command():
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            # The link was given up before it said anything.
            @UNTOLD@
        line += byte
    return line.decode("ascii").split()


def received():
    while True:
        data = os.read(0, 65536)
        if not data:
            return
        yield data


def say(data, fd=1):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data):]


verb, *rest = command()
if verb == "echo":
    for data in received():
        say(data)
elif verb == "count":
    say(b"ok\n")
    say(b"%d\n" % sum(map(len, received())))
elif verb == "give":
    say(bytes(i % 251 for i in range(int(rest[0]))))
elif verb == "exit":
    sys.exit(int(rest[0]))
elif verb == "die":
    os.kill(os.getpid(), signal.SIGKILL)
elif verb == "hold":
    say(b"ok\n")
    hold()
elif verb == "complain":
    for data in received():
        pass
    say(b"complaint\n" * 100000, fd=2)
    say(b"last words\n", fd=2)
    sys.exit(3)
elif verb == "interrupt":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        say(b"ok\n")
        hold()
    except KeyboardInterrupt:
        say(b"interrupted\n")
else:
    sys.exit("no such command: " + verb)
