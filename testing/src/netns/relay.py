# One end of a long way: what comes out of the device here goes to the other end, and from there into the device
# after a while. python3 -c … DEVICE SOCKET SECONDS; the first to come is the near end, and listens on the socket.
#
# The ends also count round trips, as Lamport's clock does: a connection's packet with something in it belongs to the
# round trip after that of the last one that had arrived here, and its answers belong to the same. So what leaves together
# counts once, however long anybody takes. The near end answers each line of its input with the count of the newest connection.
import collections
import fcntl
import os
import select
import socket
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
TCP, SYN, ACK = 6, 0x02, 0x10
name, path, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])

device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
# Packets stay packets.
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    link.connect(path)
    near = False
    os.write(1, b"ready\n")
except FileNotFoundError:
    link.bind(path)
    link.listen(1)
    near = True
    os.write(1, b"ready\n")
    link = link.accept()[0]


def connection(packet):
    """The TCP connection, its SYN and ACK, and how much there is besides the headers; None for all else."""
    if packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    header = (packet[0] & 15) * 4
    ports = struct.unpack_from("!HH", packet, header)
    flags = packet[header + 13] & (SYN | ACK)
    carried = struct.unpack_from("!H", packet, 2)[0] - header - (packet[header + 12] >> 4) * 4
    return tuple(sorted(ports)), flags, carried


arrived = {}  # the round trip of the last packet that has arrived, by connection
said = collections.Counter()  # how often the near side has said something, by connection
newest = None


def leaves(packet):
    """The round trip that a packet belongs to; 0 where it counts for nothing."""
    global newest
    found = connection(packet)
    if not found:
        return 0
    key, flags, carried = found
    if near and flags == SYN:
        arrived[key] = 0
        said.pop(key, None)
        newest = key
    # Acknowledgements that the far side waits for count too: of TCP's handshake, and of a greeting, before
    # which its next words are not sent (Nagle's algorithm).
    counts = carried or flags & SYN or near and said[key] < 2
    if near and carried:
        said[key] += 1
    return arrived.get(key, 0) + near if counts else 0


def arrives(packet, trip):
    if trip:
        key = connection(packet)[0]
        arrived[key] = trip if not near and trip == 1 else max(trip, arrived.get(key, 0))


waiting = collections.deque()
sources = [device, link, 0] if near else [device, link]
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select(sources, [], [], left)
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, packet, trip = waiting.popleft()
        arrives(packet, trip)
        try:
            os.write(device, packet)
        except OSError:
            pass  # the device is down: the packet is lost
    if device in ready:
        packet = os.read(device, 65536)
        link.send(struct.pack("!I", leaves(packet)) + packet)
    if link in ready:
        data = link.recv(65536)
        if not data:
            break
        # As a queue of a router has it: what is too much is lost.
        if len(waiting) < 10000:
            waiting.append((now + delay, data[4:], struct.unpack_from("!I", data)[0]))
    if 0 in ready:
        asked = os.read(0, 100).count(b"\n")
        if not asked:
            break
        os.write(1, b"%d\n" % arrived.get(newest, 0) * asked)
