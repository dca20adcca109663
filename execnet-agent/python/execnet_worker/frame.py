"""Frames and the HELLO (PROTOCOL.md, sections 1 to 3)."""

import sys
from _struct import Struct

from . import cbor

PREAMBLE = b"\x89EXN\r\n\x1a\n"
HELLO, OPEN, EXEC, CREDIT, EOF, CLOSE, INTERRUPT, TERMINATE, PING, PONG = range(1, 11)
DATA, MORE, STATUS = 0x10, 0x08, 0x81
BYTES, CBOR, MARSHAL = 0, 1, 2
VERSION = 1

HEADER = Struct(">II")
"""A kind and a length in one word, and a channel's number."""

LIMITS = {
    "max_frame": 131072,  # DATA is no longer than half of a channel's first window
    "max_message": 2147483648,
    "max_channels": 1000000,
    "channel_window": 262144,
    "connection_window": 67108864,
}
"""What this side holds for the other."""

FORMATS = ["bytes", "cbor"]
"""What this side reads. The marshal of other Pythons is not CPython's."""
if sys.implementation.name == "cpython":
    FORMATS.append("marshal")

MAX_WINDOW = 0x7FFFFFFF
MAX_FAULT = 65536

LEAST = {
    "max_frame": 16384,
    "max_message": 1048576,
    "max_channels": 256,
    "channel_window": 65536,
    "connection_window": 262144,
}
"""What a side announces at least, and what holds when it announces nothing."""

_MOST = {"max_frame": 0xFFFFFF, "max_message": 0xFFFFFFFFFFFFFFFF}


class ProtocolError(Exception):
    """The other side broke the rules: the connection ends."""


class VersionMismatch(Exception):
    """The two sides have no version of the protocol in common."""


class SettingError(Exception):
    """Something that the connector asked for could not be applied."""


def frame(kind, number, payload=b""):
    return HEADER.pack(kind << 24 | len(payload), number) + payload


def fault(kind, message, traceback=None, limit=MAX_FAULT):
    """The payload of a CLOSE with an error, its texts cut in the middle to fit in `limit`."""
    limit = min(limit, MAX_FAULT)
    room = limit
    while True:
        entries = {"type": _cut(kind, 256), "message": _cut(message, room)}
        if traceback is not None:
            entries["traceback"] = _cut(traceback, room)
        payload = cbor.dumps(entries)
        if len(payload) <= limit:
            return payload
        room = room * 3 // 4


def _cut(text, room):
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= room:
        return text
    half = room // 2
    return "%s\n[%d characters cut]\n%s" % (text[:half], len(text) - 2 * half, text[-half:])


def read_fault(payload):
    """The fault in a CLOSE, None when it is empty."""
    if not payload:
        return None
    entries = {"type": None, "message": "", "traceback": ""}
    entries.update(_read_map(payload, "CLOSE"))
    for key in "type", "message", "traceback":
        if type(entries[key]) is not str:
            raise ProtocolError("CLOSE: %s is %r" % (key, entries[key]))
    return entries


def read_hello(payload):
    """The map of a HELLO, complete with what it left out."""
    texts = {"formats": ["bytes", "cbor"], "software": "", "settings": {}, "keepalive_ms": 0}
    hello = dict(LEAST, **texts)
    hello.update(_read_map(payload, "HELLO"))
    versions = hello.get("versions")
    if type(versions) is not list or list(map(type, versions)) != [int, int]:
        raise ProtocolError("HELLO: versions is %r" % (versions,))
    if not versions[0] <= VERSION <= versions[1]:
        raise VersionMismatch("the worker speaks version %d, the controller %d to %d"
                              % (VERSION, versions[0], versions[1]))
    for key, least in LEAST.items():
        most = _MOST.get(key, MAX_WINDOW)
        if type(hello[key]) is not int or not least <= hello[key] <= most:
            raise ProtocolError("HELLO: %s is %r, not from %d to %d"
                                % (key, hello[key], least, most))
    for key, default in texts.items():
        if type(hello[key]) is not type(default):
            raise ProtocolError("HELLO: %s is %r" % (key, hello[key]))
    return hello


def _read_map(payload, what):
    try:
        entries = cbor.loads(payload)
    except cbor.DecodeError as error:
        raise ProtocolError("%s: %s" % (what, error)) from None
    if type(entries) is not dict:
        raise ProtocolError("%s: not a map" % what)
    return entries
