import ast
import os
import socket
import sys

# The line is as long as the argument says; then the connection is the client's.
connection = os.dup(0)
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(2, 1)
os.close(null)
sys.stdout = sys.stderr
clientsock = socket.socket(fileno=connection)
missing = int(sys.argv[1])
parts = []
while missing:
    parts.append(clientsock.recv(missing))
    if not parts[-1]:
        sys.exit("the client left")
    missing -= len(parts[-1])
source = ast.literal_eval(b"".join(parts).decode().strip())
del sys.argv[1:]
exec(compile(source + "\n", "<socket server>", "exec"), {"clientsock": clientsock, "address": ("", 0)})
