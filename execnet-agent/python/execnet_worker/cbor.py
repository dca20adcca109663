"""Values as CBOR (PROTOCOL.md, section 9)."""

from _struct import Struct, error as StructError

MAX_DEPTH = 256
"""How many containers may stand inside each other."""

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(0, 0xE0, 0x20)
_BIG, _BIG_NEGATIVE, _SET, _COMPLEX = 2, 3, 258, 43000
_TUPLE, _FROZENSET, _CHANNEL = 45101, 45102, 45103

_byte = Struct(">BB").pack
_short = Struct(">BH").pack
_word = Struct(">BI").pack
_long = Struct(">BQ").pack
_double = Struct(">Bd").pack


class EncodeError(ValueError):
    """A value of a type that crosses, but this one does not."""


class TooDeep(EncodeError):
    """More than MAX_DEPTH containers inside each other, as in one that holds itself."""

    def __init__(self):
        super().__init__("nested deeper than %d" % MAX_DEPTH)


class DecodeError(ValueError):
    """Bytes that are not one well-formed value."""


# --- writing -----------------------------------------------------------------------------------


def dumps(value):
    """The CBOR form of `value`. TypeError or EncodeError, without a place, when there is none."""
    out = []
    _writers[type(value)](value, out.append, 0)
    return b"".join(out)


def register(kind, number):
    """Lets objects of the type `kind` cross as channels; `number(object)` gives the number."""

    def write_channel(value, write, depth):
        write(_head(_TAG, _CHANNEL) + _head(_UINT, number(value)))

    _writers[kind] = write_channel


def _head(major, n):
    """The shortest head of an item."""
    if n < 24:
        return _heads[major | n]
    if n < 0x100:
        return _byte(major | 24, n)
    if n < 0x10000:
        return _short(major | 25, n)
    if n < 0x100000000:
        return _word(major | 26, n)
    return _long(major | 27, n)


def _write_none(value, write, depth):
    write(b"\xf6")


def _write_bool(value, write, depth):
    write(b"\xf5" if value else b"\xf4")


def _write_int(value, write, depth):
    if 0 <= value < 0x10000:
        write(_heads[value] if value < 24 else
              _byte(24, value) if value < 0x100 else _short(25, value))
        return
    if value >= 0:
        major, tag = _UINT, _BIG
    else:
        major, tag, value = _NEGATIVE, _BIG_NEGATIVE, -1 - value
    if value <= 0xFFFFFFFFFFFFFFFF:
        write(_head(major, value))
    else:
        size = (value.bit_length() + 7) // 8
        write(_head(_TAG, tag) + _head(_BYTES, size) + value.to_bytes(size, "big"))


def _write_float(value, write, depth):
    write(_double(0xFB, value))


def _write_complex(value, write, depth):
    write(b"\xd9\xa7\xf8\x82" + _double(0xFB, value.real) + _double(0xFB, value.imag))


def _write_bytes(value, write, depth):
    write(_head(_BYTES, len(value)))
    write(value)


def _write_buffer(value, write, depth):
    _write_bytes(bytes(value), write, depth)


def _write_str(value, write, depth):
    data = value.encode()
    size = len(data)
    write((_heads[_TEXT | size] if size < 24 else _head(_TEXT, size)) + data)


def _items_writer(tag):
    def write_items(value, write, depth):
        if depth == MAX_DEPTH:
            raise TooDeep
        depth += 1
        items = tuple(value)  # another thread may be changing the list
        write(tag + _head(_ARRAY, len(items)))
        writers = _writers
        for item in items:
            writers[type(item)](item, write, depth)

    return write_items


def _write_dict(value, write, depth):
    if depth == MAX_DEPTH:
        raise TooDeep
    depth += 1
    write(_head(_MAP, len(value)))
    writers = _writers
    for key, item in value.items():
        writers[type(key)](key, write, depth)
        writers[type(item)](item, write, depth)


def _write_other(value, write, depth):
    """An object of a subclass goes as its base; a number of another library as Python's."""
    for base in type(value).__mro__:
        if base in _writers:
            return _writers[base](_exact.get(base, _same)(value), write, depth)
    value = _number(value)
    _writers[type(value)](value, write, depth)


def _number(value):
    import numbers

    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        return complex(value)
    kind = type(value)
    if kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(kind_name(kind))


def kind_name(kind):
    """The name of a type as it stands in messages: `datetime.datetime`, `ValueError`."""
    module, name = kind.__module__, kind.__qualname__
    return name if module == "builtins" else "%s.%s" % (module, name)


def _same(value):
    return value


class _Writers(dict):
    def __missing__(self, kind):
        return _write_other


_heads = [bytes((first,)) for first in range(256)]
# What a subclass may have overridden is not asked.
_exact = {int: lambda value: int.__add__(value, 0), float: float.__float__, str: str.__str__}
_writers = _Writers({
    type(None): _write_none,
    bool: _write_bool,
    int: _write_int,
    float: _write_float,
    complex: _write_complex,
    bytes: _write_bytes,
    bytearray: _write_buffer,
    memoryview: _write_buffer,
    str: _write_str,
    list: _items_writer(b""),
    tuple: _items_writer(_head(_TAG, _TUPLE)),
    set: _items_writer(_head(_TAG, _SET)),
    frozenset: _items_writer(_head(_TAG, _FROZENSET)),
    dict: _write_dict,
})


# --- reading -----------------------------------------------------------------------------------

_read_short = Struct(">H").unpack_from
_read_word = Struct(">I").unpack_from
_read_long = Struct(">Q").unpack_from
_read_half = Struct(">e").unpack_from
_read_single = Struct(">f").unpack_from
_read_double = Struct(">d").unpack_from
# What may stand behind each tag.
_tagged = {_BIG: _BYTES, _BIG_NEGATIVE: _BYTES, _SET: _ARRAY, _COMPLEX: _ARRAY,
           _TUPLE: _ARRAY, _FROZENSET: _ARRAY, _CHANNEL: _UINT}


def loads(data, channel=None):
    """The one value in the bytes `data`. DecodeError when they are anything else.

    `channel(number)` gives the channel with that number, or raises DecodeError.
    """
    try:
        value, at = _read(data, channel)
    except (IndexError, StructError):
        raise DecodeError("the value is cut off") from None
    except UnicodeDecodeError as error:
        raise DecodeError("text that is not UTF-8: %s" % error.reason) from None
    if at != len(data):
        raise DecodeError("%d bytes left over behind the value" % (len(data) - at))
    return value


def _read(data, channel):
    """The first item and where it ends. A loop: how deep it nests is no matter of the stack."""
    size = len(data)
    at = 0
    # The containers around this place, and the innermost: its items, keys and values in turn in a
    # map; how many are to come, less than 0 when a break ends it; its tag, or _ARRAY or _MAP.
    outer = []
    items, left, kind = None, 0, 0
    tag = 0  # in front of the next item
    while True:
        first = data[at]
        at += 1
        major = first & 0xE0
        n = first & 0x1F
        if n >= 24 and major != 0xE0:
            if n == 24:
                n = data[at]
                at += 1
            elif n == 25:
                n, = _read_short(data, at)
                at += 2
            elif n == 26:
                n, = _read_word(data, at)
                at += 4
            elif n == 27:
                n, = _read_long(data, at)
                at += 8
            elif n == 31 and _BYTES <= major <= _MAP:
                n = -1
            else:
                raise DecodeError("no item starts with the byte %02x" % first)

        if major == _TEXT or major == _BYTES:
            if n < 0:
                value, at = _join_pieces(data, at, major)
            else:
                end = at + n
                if end > size:
                    raise DecodeError("a string of %d bytes where %d are left" % (n, size - at))
                value = data[at:end].decode() if major == _TEXT else data[at:end]
                at = end
            if tag:
                value = int.from_bytes(value, "big")
                if tag == _BIG_NEGATIVE:
                    value = -1 - value
                tag = 0
        elif major == _UINT:
            value = n
            if tag:
                tag = 0
                if not 0 < n <= 0xFFFFFFFF or channel is None:
                    raise DecodeError("%d is no channel's number here" % n)
                value = channel(n)
        elif major == _NEGATIVE:
            value = -1 - n
        elif major == _ARRAY or major == _MAP:
            if major == _MAP:
                n *= 2
            if n > size - at:
                raise DecodeError("%d items where %d bytes are left" % (n, size - at))
            if len(outer) >= MAX_DEPTH and tag != _COMPLEX:
                raise DecodeError("nested deeper than %d" % MAX_DEPTH)
            outer.append((items, left, kind))
            items, left, kind = [], n, tag or major
            tag = 0
            if n:
                continue
            value = _build(kind, items)
            items, left, kind = outer.pop()
        elif major == _TAG:
            if _tagged.get(n) != data[at] & 0xE0:
                raise DecodeError("the tag %d in front of the byte %02x" % (n, data[at]))
            tag = n
            continue
        elif n == 22:
            value = None
        elif n == 21:
            value = True
        elif n == 20:
            value = False
        elif n == 27:
            value, = _read_double(data, at)
            at += 8
        elif n == 26:
            value, = _read_single(data, at)
            at += 4
        elif n == 25:
            value, = _read_half(data, at)
            at += 2
        elif n == 31 and left < 0 and (kind != _MAP or len(items) % 2 == 0):
            value = _build(kind, items)
            items, left, kind = outer.pop()
        else:
            raise DecodeError("no value: the byte %02x" % first)

        while items is not None:
            items.append(value)
            left -= 1
            if left:
                break
            value = _build(kind, items)
            items, left, kind = outer.pop()
        else:
            return value, at


def _build(kind, items):
    """A container of its items."""
    if kind == _ARRAY:
        return items
    if kind == _TUPLE:
        return tuple(items)
    if kind == _COMPLEX:
        if list(map(type, items)) != [float, float]:
            raise DecodeError("a complex that is not two floats")
        return complex(*items)
    try:
        if kind == _MAP:
            return dict(zip(items[::2], items[1::2]))
        return set(items) if kind == _SET else frozenset(items)
    except TypeError as error:
        raise DecodeError("the key of a dict or member of a set is an %s" % error) from None


def _join_pieces(data, at, major):
    """A string of indefinite length, and where it ends."""
    pieces = []
    while data[at] != 0xFF:
        n = data[at] & 0x1F
        if data[at] & 0xE0 != major or n > 27:
            raise DecodeError("a string with the byte %02x among its pieces" % data[at])
        at += 1
        if n >= 24:
            width = 1 << n - 24
            n = int.from_bytes(data[at:at + width], "big")
            at += width
        if at + n > len(data):
            raise DecodeError("a piece of %d bytes where %d are left" % (n, len(data) - at))
        pieces.append(data[at:at + n])
        at += n
    if major == _TEXT:
        return "".join([piece.decode() for piece in pieces]), at + 1
    return b"".join(pieces), at + 1
