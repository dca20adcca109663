# One end of a long way: what comes out of the device here goes to the other end, and from there into the device
# after a while. python3 -c … DEVICE SOCKET SECONDS; the first to come listens on the socket.
import collections
import fcntl
import os
import select
import socket
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
name, path, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])

device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
# Packets stay packets.
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    link.connect(path)
    os.write(1, b"ready\n")
except FileNotFoundError:
    link.bind(path)
    link.listen(1)
    os.write(1, b"ready\n")
    link = link.accept()[0]

waiting = collections.deque()
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select([device, link], [], [], left)
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        try:
            os.write(device, waiting.popleft()[1])
        except OSError:
            pass  # the device is down: the packet is lost
    if device in ready:
        link.send(os.read(device, 65536))
    if link in ready:
        packet = link.recv(65536)
        if not packet:
            break
        # As a queue of a router has it: what is too much is lost.
        if len(waiting) < 10000:
            waiting.append((now + delay, packet))
