"""Writes the seeds: `python3 fuzz/make_seeds.py`. Each is named by what it shows; what fuzzing finds is added by hand."""

import base64
import hmac
import marshal
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

# decode, decode_cut: flags, lengths of pieces, then the stream.
RAW, NOISE, READ_BUF = 1, 2, 4
magic = b"\x89EXN\r\n\x1a\n"


def stream(name, data, flags=0, pieces=b"\0"):
    for target in "decode", "decode_cut":
        seed(target, name, bytes([flags | len(pieces) << 4]) + pieces + data)


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

# marshal: one item, as CPython writes it, in versions 2 (which is ours) and 4; and by hand.
for name, item in {
    "none": None, "int": 42, "negative": -7, "i64": -2**63, "digits": 10**60, "float": 1.5, "complex": 1 - 2j, "bytes": b"ab",
    "text": "\u20ac", "long_text": "x" * 300, "list": [1, [True, None]], "tuple": (1, (2,)), "set": {7}, "frozenset": frozenset([(1,)]),
    "dict": {"a": 1, (2, b"k"): {"b": []}}, "surrogate": "\ud800", "ellipsis": ..., "code": compile("1", "x", "eval"),
}.items():
    seed("marshal", name, marshal.dumps(item, 2))
for name, item in {"referring": ["word", "word", ("word",)], "tuple_4": (1, "a")}.items():
    seed("marshal", name + "_in_version_4", marshal.dumps(item, 4))
for name, data in {
    "holds_itself": b"\xdb\1\0\0\0r\0\0\0\0", "interned": b"[\2\0\0\0t\1\0\0\0aZ\1b", "latin_1": b"z\1\xe9", "huge_list": b"[\xff\xff\xff\x7fN",
    "length_below_0": b"s\xff\xff\xff\xff", "list_as_key": b"{[\0\0\0\0N0", "end_for_a_value": b"{N0", "left_over": b"NN",
    "cut": b"[\2\0\0\0N", "deep": b")\1" * 300 + b"N", "deep_dicts": b"{N" * 300, "digit_too_large": b"l\1\0\0\0\xff\xff",
    "digit_0_on_top": b"l\2\0\0\0\1\0\0\0", "many_digits_claimed": b"l\0\0\0\x80",
}.items():
    seed("marshal", name, data)

# xspec: text.
for name, text in {
    "popen": "popen", "everything": "popen//python=3.12 -X dev//chdir=/tmp//nice=-5//id=a//env:A=b=c//execmodel=thread",
    "ssh": "ssh=-p 2222 'me you'@host//ssh_config=/x", "twice": "popen//popen", "empty": "", "empty_segment": "popen////id=x",
    "triple_slash": "python=///x", "typo": "pyhton=3", "unbalanced": "command=sh 'x", "unicode": "popen//id=ünï\u2028",
    "flag_with_value": "popen=1", "no_value": "popen//env:A",
}.items():
    seed("xspec", name, text.encode())

# core_ops: how the link and both sides are, then pairs of operation and argument. The operation's high bit is the side.
OPEN, ACCEPT, TRANSMIT, DELIVER, STEP, ADVANCE, QUIET, SEND = range(8)
SIGNAL, RETRY, RECEIVE, FINISH, CLOSE, DISCARD, FORGET = range(9, 16)
PING, ASK, ANSWER, INTERRUPT, TERMINATE, FAREWELL, CLOSED = range(7)
PRINT = INTERRUPT  # Which is for the connector, and this for the far end.
KEPT_ALIVE = 0x80  # In the settings of a side.
FAST, SLOW, CUT, MARSHALS, DRAIN, DEATH = 0x03, 0x0c, 0x10, 0x20, 0x40, 0x80
LENGTHS = [
    0, 1, 31, 100, 1_000, 1_024, 1_025, 4_000, 4_096, 8_191, 8_192, 16_375, 16_376, 16_383, 16_384, 16_385, 32_752, 32_760, 32_761,
    40_000, 65_527, 65_528, 65_529, 70_000, 100_000, 131_072, 200_000, 262_136, 262_144, 300_000, 1 << 20, (1 << 20) + 1,
]
BYTES, CBOR, MARSHAL = range(3)


def ops(name, *steps, link=FAST, a=0, b=0):
    """Steps are operations of one side: op, nth channel from the newest, more, high bits of the argument."""
    data = bytearray([link, a, b])
    for side, op, nth, more, arg in steps:
        data += bytes([side << 7 | more << 4 | op, arg << 4 | nth])
    seed("core_ops", name, bytes(data))


def on(side, op, nth=0, more=0, arg=0):
    return side, op, nth, more, arg


def send(side, length, nth=0, format=BYTES):
    length = LENGTHS.index(length)
    return on(side, SEND, nth, length >> 4 | format << 1, length & 15)


def signal(side, which, nth=0, arg=0):
    return on(side, SIGNAL, nth, which, arg)


A, B = 0, 1
quiet = on(A, QUIET)
start = [on(A, OPEN), quiet, on(B, ACCEPT)]
ALL = dict(more=7)
ops("one_message", *start, send(A, 31), quiet, on(B, RECEIVE))
ops("before_hello", on(A, OPEN), send(A, 300_000), send(A, 31), quiet)
ops("longer_than_the_window", *start, send(A, 300_000), quiet, on(B, RECEIVE), on(A, RETRY))
ops("longest", *start, send(A, 1 << 20), quiet)
ops("crossing_closes", *start, on(A, CLOSE), on(B, CLOSE, more=1), quiet)
ops("half_close_then_answer", *start, send(A, 1), on(A, FINISH), quiet, on(B, RECEIVE, **ALL), send(B, 100), quiet)
ops("forget_with_unread", *start, *[send(A, 8_191)] * 3, quiet, on(B, FORGET), quiet)
ops("discard_keeps_the_peer_going", *start, on(B, DISCARD), *[send(A, 300_000), quiet, on(A, RETRY)] * 3)
ops("discard_in_a_message", *start, send(A, 70_000), on(A, TRANSMIT), *[on(B, DELIVER, **ALL, arg=15)] * 2, on(B, DISCARD))
ops("close_wakes_the_reader", *start, on(B, RECEIVE), on(A, CLOSE), quiet)
ops("short_one_overtakes_a_long_one", *[on(A, OPEN)] * 2, quiet, send(A, 300_000, 1), send(A, 40_000), quiet)
ops("the_next_oldest_goes_on", *[on(A, OPEN)] * 2, send(A, 131_072, 1), quiet, send(A, 32_761, 1), send(A, 65_527))
ops("never_accepted", on(A, OPEN), send(A, 1_024), on(A, CLOSE), quiet)
ops("many_long_ones", *[on(A, OPEN)] * 7, quiet, *[send(A, 100_000, n) for n in range(7)], quiet)
ops("both_close_behind_long_messages", *start, send(A, 300_000), send(B, 300_000), on(A, CLOSE), on(B, CLOSE))
ops("both_open", quiet, *[on(A, OPEN), on(B, OPEN)] * 3, quiet, send(A, 1_000, 1), send(B, 1_024, 0))
ops("byte_by_byte", *start, send(A, 31), on(A, TRANSMIT), *[on(B, DELIVER)] * 40)
ops("slow_and_cut", *start, send(A, 131_072), *[on(A, STEP), on(A, ADVANCE, 3)] * 10, link=SLOW | CUT)
ops("small_fragments", *start, send(A, 40_000), on(B, OPEN), send(B, 40_000), a=0x04, b=0x04)
ops("death_in_a_message", *start, send(A, 70_000), on(A, TRANSMIT), on(B, DELIVER, more=1), link=FAST | DEATH, a=1)
ops("signals_overtake_messages", *start, send(A, 1 << 20), *[signal(side, which) for side in (A, B) for which in (PING, ASK, CLOSED)],
    quiet, signal(A, ANSWER), signal(B, ANSWER), signal(A, INTERRUPT), signal(A, TERMINATE, arg=5), on(A, STEP), on(A, CLOSE))
ops("interrupt_before_it_is_accepted", on(A, OPEN), signal(A, INTERRUPT), quiet)
ops("two_pings", on(A, OPEN), signal(A, PING), signal(A, PING), quiet)
ops("printed_in_pieces", *start, signal(B, PRINT, arg=15), send(B, 31), signal(B, PRINT, arg=4), quiet, a=0x04, b=0x04)
ops("told_of_close", *start, signal(A, CLOSED), signal(B, CLOSED), on(B, CLOSE, more=1), quiet, signal(A, CLOSED))
ops("marshal_where_it_is_read", on(A, OPEN), send(A, 1_000, format=MARSHAL), quiet, on(A, RETRY), on(B, ACCEPT), send(B, 1, format=MARSHAL),
    send(B, 1, format=CBOR), send(A, 40_000, format=CBOR), send(A, 70_000, format=MARSHAL), link=FAST | MARSHALS)
ops("marshal_where_it_is_not", on(A, OPEN), send(A, 1_000, format=MARSHAL), quiet, on(A, RETRY), send(A, 31, format=MARSHAL), send(A, 1))
ops("too_long", on(A, OPEN), send(A, (1 << 20) + 1), quiet, on(A, RETRY), send(A, 1))
ops("kept_alive", *start, on(A, ADVANCE, 5, **ALL), send(B, 100), on(B, RECEIVE), on(A, ADVANCE, 5, **ALL), link=SLOW, b=KEPT_ALIVE)
ops("farewell_behind_a_long_message", *start, send(A, 300_000), send(B, 1), link=FAST | DRAIN)
ops("farewell_of_both", *start, send(A, 40_000), send(B, 131_072), signal(B, FAREWELL), on(A, STEP), on(A, OPEN), send(A, 1), link=SLOW | DRAIN)
ops("death_is_told_to_all", *start, send(B, 300_000), send(B, 300_000), on(B, RECEIVE), signal(B, CLOSED), quiet, link=FAST | DEATH)
ops("a_long_story", *[step for n in range(8) for step in (
    on(A, OPEN), on(B, OPEN), quiet, on(A, ACCEPT), on(B, ACCEPT), send(A, LENGTHS[2 * n], n), send(B, LENGTHS[2 * n + 1], n),
    on(A, TRANSMIT), on(B, DELIVER, more=1), on(B, RECEIVE, n), on(A, RETRY, n), on(B, RETRY, n),
    on(A, FINISH, n // 2), on(B, CLOSE, n // 3), on(A, STEP), on(A, RECEIVE, n, **ALL))], link=CUT)

# core_bytes: flags, then frames; behind a good HELLO unless RAW.
CONNECTOR, FAR_END, RAW, WHOLE = 0, 1, 2, 0xfc


def frames(name, *frames, flags=FAR_END | WHOLE):
    seed("core_bytes", name, bytes([flags]) + b"".join(frames))


def frame(kind, channel, payload=b""):
    return bytes([kind]) + len(payload).to_bytes(3, "big") + channel.to_bytes(4, "big") + payload


for name, bytes_ in golden.items():
    frames(name, golden["open"], bytes_)
frames("raw_hello", magic, golden["hello_minimal"], golden["open"], flags=FAR_END | RAW)
frames("frame_before_hello", magic, golden["open"], flags=FAR_END | RAW)
frames("no_preamble", b"SSH-2.0-OpenSSH\r\n", flags=CONNECTOR | RAW)
frames("hello_of_another_version", magic, frame(1, 0, b"\xa1\x68versions\x82\x02\x03"), flags=RAW)
frames("hello_with_a_small_limit", magic, frame(1, 0, b"\xa2\x68versions\x82\x01\x01\x69max_frame\x01"), flags=RAW)
frames("overspent", golden["open"], frame(0x10, 1, b"x" * 16384) * 5)
frames("open_flood", *[frame(2, n) for n in range(1, 600, 2)])
frames("open_and_close_flood", *[frame(2, n) + frame(6, n) for n in range(1, 600, 2)])
frames("ping_flood", golden["ping"] * 80)
frames("status_flood", golden["status_request"] * 80)
frames("unasked_pong", golden["pong"])
frames("credit_beyond_the_maximum", frame(4, 0, b"\x7f\xff\xff\xff"))
frames("number_left_out", frame(2, 3))
frames("number_of_the_wrong_side", frame(2, 4))
frames("twice_closed", frame(2, 1), frame(6, 1), frame(6, 1))
frames("data_after_eof", frame(2, 1), frame(5, 1), frame(0x10, 1, b"x"))
frames("eof_inside_a_message", frame(2, 1), frame(0x18, 1, b"x"), frame(5, 1))
frames("format_changes_inside_a_message", frame(2, 1), frame(0x18, 1, b"x"), frame(0x11, 1, b"x"))
frames("empty_fragment", frame(2, 1), frame(0x18, 1))
frames("marshal_unannounced", frame(2, 1), frame(0x12, 1, b"N"))
frames("exec_at_the_connector", frame(3, 2), flags=CONNECTOR | WHOLE)
frames("output_at_the_far_end", frame(0x82, 0, b"\x01x"))
frames("answers_to_our_channels", *[frame(0x10, n, b"x") + frame(6, n) for n in (1, 3, 5)], flags=CONNECTOR | WHOLE)
frames("farewell", frame(6, 0))
frames("refused", frame(6, 0, b"\xa2\x64type\x61E\x67message\x62no"), flags=CONNECTOR | WHOLE)
frames("interrupt_at_the_connector", frame(7, 1), flags=CONNECTOR | WHOLE)
frames("eof_twice", frame(2, 1), frame(5, 1), frame(5, 1))
frames("close_inside_a_message", frame(2, 1), frame(0x18, 1, b"x"), frame(6, 1))
frames("credit_of_a_channel_beyond_the_maximum", frame(2, 1), frame(4, 1, b"\x7f\xff\xff\xff"))

# hello_server: how it is cut and whether the preamble is the input's own, then the stream.
def greeting(name, *parts, cut=0x0d):
    seed("hello_server", name, bytes([cut]) + b"".join(parts))


greeting("minimal", golden["hello_minimal"])
greeting("own_preamble", magic, golden["hello_minimal"], cut=0x0c)
greeting("with_what_follows", golden["hello_minimal"], golden["open"], golden["data_bytes"], cut=0xff)
greeting("native_worker", frame(1, 0, b"\xa2\x68versions\x82\x01\x01\x68settings\xa1\x66worker\x66native"))
greeting("python_is_no_list", frame(1, 0, b"\xa2\x68versions\x82\x01\x01\x68settings\xa1\x66python\x63abc"))
greeting("variable_with_nul", frame(1, 0, b"\xa2\x68versions\x82\x01\x01\x68settings\xa1\x63env\xa1\x61A\x61\x00"))
greeting("claims_16_mib", b"\x01\xff\xff\xff\0\0\0\0")
greeting("another_frame_first", golden["open"])
greeting("line_of_py_execnet", b"'import os'\n", cut=0x02)
greeting("http", b"GET / HTTP/1.1\r\n\r\n", cut=0x06)
greeting("byte_by_byte", golden["hello_minimal"], golden["ping"], golden["close"], cut=0x01)

# known_hosts: how the name is made and whether what is written is hashed; a host; the file.
USUAL, ALIAS, PORT, HASHED = 0, 1, 2, 4


def known_hosts(name, host, *lines, flags=USUAL, end="\n"):
    seed("known_hosts", name, bytes([flags]) + "\n".join([host, *lines]).encode() + end.encode())


def key(body, key_type="ssh-ed25519"):
    wire = len(key_type).to_bytes(4, "big") + key_type.encode() + body
    return f"{key_type} {base64.b64encode(wire).decode()}"


def hashed(host, salt=b"01234567890123456789"):
    mac = hmac.new(salt, host.encode(), "sha1").digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(mac).decode()}"


one, two, rsa = key(b"one"), key(b"two"), key(b"three", "ssh-rsa")
known_hosts("known", "web1", "# mine", f"web1,10.0.0.1 {one} a comment", "", f"db {two}")
known_hosts("changed", "web1", f"db {one}", f"web1 {rsa}", f"web* {two}")
known_hosts("revoked", "web1", f"web1 {one}", f"@revoked * {one}", flags=HASHED)
known_hosts("revoked_without_port", "web1", f"@revoked web1 {one}", f"[web1]:2222 {one}", flags=PORT)
known_hosts("authority", "a.example.org", f"@cert-authority *.example.org {one}", f"@marker * {one}")
known_hosts("port", "web1", f"web1 {one}", f"[web1]:2222 {two}", flags=PORT)
known_hosts("port_unknown", "web1", f"web1 {one}", flags=PORT | HASHED)
known_hosts("alias", "prod", f"prod {one}", f"[prod]:2222 {two}", flags=ALIAS)
known_hosts("hashed", "web1", f"{hashed('db')} {one}", f"{hashed('web1')} {two}", flags=HASHED)
known_hosts("hashed_port", "web1", f"{hashed('[web1]:2222')} {one}", flags=PORT | HASHED)
known_hosts("hashes_of_no_length", "web1", f"|1|| {one}", f"|2{hashed('web1')[2:]} {one}", f"|1|AA==|AA== {one}")
known_hosts("negated", "old.example.org", f"*.example.org,!old.* {one}", f"!web1 {two}", f"*,?*,!?????? {rsa}")
known_hosts("stars", "a" * 60, f"{'*a' * 30}*b {one}", f"*?*?*a* {two}")
known_hosts("upper_case", "WEB1.Example.ORG", f"Web1.EXAMPLE.org {one}", f"*.\u0130 {two}")
known_hosts("dos", "web1", f"web1 {one}\r", "\r", f"db {two}\r", end="\r\n")
known_hosts("no_end", "web1", "# no newline", end="")
known_hosts("protocol_1", "web1", "web1 1024 35 123456789", f"web1 ssh-rsa {one.split()[1]}", "web1 ssh-ed25519", "web1")
known_hosts("unwritable_name", "web1,web2 *", f"web2 {one}", flags=ALIAS)
known_hosts("fields_of_space", "web1", f" \tweb1\t  {one}", f"\vweb1\f{two}", f"web1\u00a0{one}")
seed("known_hosts", "not_utf8", b"\0web\xff\nweb\xff " + one.encode() + b"\n\xfe\xff\n")
