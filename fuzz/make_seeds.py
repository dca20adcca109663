"""Writes the seeds: `python3 fuzz/make_seeds.py`. Each is named by what it shows; what fuzzing finds is added by hand."""

import pathlib
import re

here = pathlib.Path(__file__).parent / "seeds"


def seed(target, name, data):
    folder = here / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


document = (here / "../../execnet-proto/PROTOCOL.md").read_text()
golden = {
    name: bytes.fromhex("".join(body.split()))
    for name, body in re.findall(r"```golden (\w+)\n(.*?)```", document, re.S)
}

# decode: flags, lengths of pieces, then the stream.
RAW, NOISE, READ_BUF = 1, 2, 4
magic = b"\x89EXN\r\n\x1a\n"


def stream(name, data, flags=0, pieces=b"\0"):
    seed("decode", name, bytes([flags | len(pieces) << 4]) + pieces + data)


for name, frame in golden.items():
    stream(name, frame)
stream("all_in_one", b"".join(golden.values()), READ_BUF, b"\x0b\x02\x28")
stream("unknown_kind_is_skipped", b"\xfe\0\0\x03\0\0\0\x05abc" + golden["open"])
stream("unknown_kind_is_refused", b"\x7e\0\0\0\0\0\0\0")
stream("unknown_format", b"\x17\0\0\0\0\0\0\x01")
stream("longer_than_announced", b"\x10\xff\xff\xff\0\0\0\x01")
stream("header_cut", b"\x10\0\0")
stream("noise", b"motd\r\n" + magic[:5] + magic + golden["open"], RAW | NOISE)
stream("noise_where_none_may_be", b"motd\r\n" + magic + golden["open"], RAW)
stream("preamble_cut", magic[:6], RAW)
stream("newlines_translated", b"\x89EXN\n\x1a\n" + golden["open"], RAW)
stream("damage_is_only_in_a_payload", magic + b"\x10\0\0\x07\0\0\0\x01\x89EXN\n\x1a\n", RAW)
fault = b"\xa2\x64type\x61E\x67message\x79\x23\x28" + b"long" * 2250
stream("fault_too_long_to_pass_on", b"\x06" + len(fault).to_bytes(3, "big") + b"\0\0\0\x01" + fault)
hello = b"\xa2\x68versions\x82\x01\x01\x65facts\xa1\x61x\xf9\x7e\x00"
stream("hello_with_a_nan", b"\x01\0\0" + bytes([len(hello)]) + bytes(4) + hello)

# value: one CBOR item.
for name, text in {
    "none": "f6", "int": "182a", "negative": "3903e7", "u64": "1bffffffffffffffff",
    "bignum": "c249010000000000000000", "negative_bignum": "c349010000000000000000",
    "nan": "fb7ff8000000000000", "half_float": "f93e00", "complex": "d9a7f882fb3ff8000000000000fb0000000000000000",
    "bytes": "43010203", "text": "63e282ac", "not_utf8": "62c328", "list": "83010203",
    "indefinite_list": "9f0102ff", "indefinite_text": "7f61616162ff", "tuple": "d9b02d820120",
    "set": "d901028101", "frozenset": "d9b02e8101", "dict": "a2616101616202", "channel": "d9b02f07",
    "list_as_key": "a18001", "set_of_dict": "d9010281a0", "unknown_tag": "c074323031332d30332d32315432303a30343a30305a",
    "left_over": "0101", "cut": "8201", "huge_list": "9b00000000ffffffff", "huge_bytes": "5b0000010000000000",
    "deep": "81" * 300 + "00", "undefined": "f7",
}.items():
    seed("value", name, bytes.fromhex(text))

# xspec: text.
for name, text in {
    "popen": "popen", "everything": "popen//python=3.12 -X dev//chdir=/tmp//nice=-5//id=a//env:A=b=c//execmodel=thread",
    "ssh": "ssh=-p 2222 'me you'@host//ssh_config=/x", "twice": "popen//popen", "empty": "", "empty_segment": "popen////id=x",
    "triple_slash": "python=///x", "typo": "pyhton=3", "unbalanced": "command=sh 'x", "unicode": "popen//id=ünï\u2028",
    "flag_with_value": "popen=1", "no_value": "popen//env:A",
}.items():
    seed("xspec", name, text.encode())

# core_ops: pairs of operation and argument; the high bit of the operation is the side.
A, B, EXCHANGE = 0x00, 0x80, bytes([0x0F, 0])
OPEN, SEND, RECV, RECV_ALL, FINISH, CLOSE, FORGET, DISCARD, CARRY = 0, 1, 5, 6, 7, 8, 9, 10, 11
start = EXCHANGE + bytes([A | OPEN, 0]) + EXCHANGE
seed("core_ops", "one_message", start + bytes([A | SEND, 0x20]) + EXCHANGE + bytes([B | RECV, 0]))
seed("core_ops", "before_hello", bytes([A | OPEN, 0, A | SEND, 0x90, A | SEND, 0x90]) + EXCHANGE)
seed("core_ops", "longer_than_the_window", start + bytes([A | SEND, 0x90]) * 3 + EXCHANGE)
seed("core_ops", "crossing_closes", start + bytes([A | CLOSE, 0, B | CLOSE, 0x80]) + EXCHANGE)
seed("core_ops", "half_close_then_answer", start + bytes([A | FINISH, 0]) + EXCHANGE + bytes([B | SEND, 0x20]) + EXCHANGE)
seed("core_ops", "forget_with_unread", start + bytes([A | SEND, 0x70] * 3) + EXCHANGE + bytes([B | FORGET, 0]) + EXCHANGE)
seed("core_ops", "discard_keeps_the_peer_going", start + bytes([B | DISCARD, 0] + [A | SEND, 0x90] * 4) + EXCHANGE)
seed("core_ops", "many_long_ones", start + bytes([A | OPEN, 0] * 6) + EXCHANGE
     + bytes(b for n in range(7) for b in (A | SEND, 0x90 | n)) + bytes([A | CARRY, 255] * 9))
seed("core_ops", "both_close_behind_long_messages", start + bytes([A | SEND, 0x90, B | SEND, 0x90, A | CLOSE, 0, B | CLOSE, 0]))
seed("core_ops", "byte_by_byte", start + bytes([A | SEND, 0x20]) + bytes([A | CARRY, 0] * 60))
seed("core_ops", "both_open", EXCHANGE + bytes([A | OPEN, 0, B | OPEN, 0] * 3) + EXCHANGE + bytes([A | SEND, 0x31, B | SEND, 0x32]))

# core_bytes: flags, then frames after a good HELLO.
for name, frame in golden.items():
    seed("core_bytes", name, b"\x7f" + golden["open"] + frame)
seed("core_bytes", "overspent", b"\x7f" + golden["open"] + (b"\x10\0\x40\0\0\0\0\x01" + b"x" * 16384) * 5)
seed("core_bytes", "open_flood", b"\x7f" + b"".join(b"\x02\0\0\0" + n.to_bytes(4, "big") for n in range(1, 600, 2)))
seed("core_bytes", "ping_flood", b"\x7f" + golden["ping"] * 80)
seed("core_bytes", "credit_beyond_the_maximum", b"\x7f" + b"\x04\0\0\x04\0\0\0\0\x7f\xff\xff\xff")
seed("core_bytes", "number_left_out", b"\x7f" + b"\x02\0\0\0\0\0\0\x03")
