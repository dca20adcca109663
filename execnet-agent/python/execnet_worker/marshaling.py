"""Values as marshal (PROTOCOL.md, section 10), where that means the same as our CBOR.

marshal itself is not careful: it takes a number of numpy or an array for bytes, writes code objects
and lone surrogates, and never comes back from a list that holds itself twice. So what is to be
written is looked at first, level by level and in C: asking for the types of a million items takes
20 ms, or 12 when they are all of one, where writing them takes 10 and CBOR 600.
"""

from gc import get_referents
from itertools import chain, compress, groupby, islice
from marshal import dumps as _write
from operator import itemgetter

from .cbor import MAX_DEPTH

VERSION = 2
"""Of marshal: no item refers to another."""

_SCALARS = frozenset((type(None), bool, int, float, complex, bytes, str))
_CONTAINERS = frozenset((list, tuple, set, frozenset, dict))
_BASIC = _SCALARS | _CONTAINERS
# From CPython 3.11 on a set is written twice, the first time for its order: sets in sets in sets
# take twice as long for each level.
_SETS = frozenset((set, frozenset))
_MOST_SETS = 3
_SHORT = 1000
_MANY_RUNS = 9
_first = itemgetter(0)
_is_container = _CONTAINERS.__contains__
_is_text = frozenset((str,)).__contains__
_is_dict = frozenset((dict,)).__contains__
# What holds itself grows from level to level: from so many items, or so many levels, on each
# container is looked at once.
_MANY = 1000000
_DEEP = 16


def dumps(item):
    """The marshal form of the container `item`; None when CBOR must tell what it or its fault is."""
    many = type(item) is list and len(item) > _SHORT
    items = item if many else get_referents(item)
    kinds = _kinds(items) if many else set(map(type, items))
    texts = str in kinds or type(item) is dict
    if not kinds <= _SCALARS:
        if many:
            items = tuple(item)  # what is looked into may not change meanwhile
            kinds = _kinds(items)
        deeper = _look_into(items, kinds)
        if deeper is None:
            return None
        texts = texts or deeper
    try:
        data = _write(item, VERSION)
    except ValueError:
        return None  # another thread has put something into it
    # The bytes of a surrogate can be those of a number.
    if texts and b"\xed" in data and _may_have_surrogates(data) and not _is_sound(item):
        return None
    return data


def _kinds(items):
    """The types of all `items`: by runs of the same one, which takes less time unless there are many."""
    runs = list(map(_first, islice(groupby(items, type), _MANY_RUNS)))
    return set(runs if len(runs) < _MANY_RUNS else map(type, items))


def _look_into(items, kinds):
    """Whether there may be texts among `items` and in them; None when not all is basic."""
    texts = False
    sets = 0
    for depth in range(MAX_DEPTH - 1):
        sets += not kinds.isdisjoint(_SETS)
        if sets > _MOST_SETS or not kinds <= _BASIC:
            return None
        texts = texts or str in kinds or dict in kinds
        level = _containers(items, kinds, depth)
        if not level:
            return texts
        # The keys of a dict are among these unless all are texts.
        items = get_referents(*level)
        kinds = _kinds(items)
    return texts if kinds <= _SCALARS else None


def _containers(items, kinds, depth):
    """Those that are containers."""
    if kinds.isdisjoint(_CONTAINERS):
        return ()
    if not kinds <= _CONTAINERS:
        items = tuple(compress(items, map(_is_container, map(type, items))))
    if len(items) > 1 and (depth > _DEEP or sum(map(len, items)) > _MANY):
        if len(set(map(id, items))) < len(items):
            items = tuple(dict(zip(map(id, items), items)).values())
    return items


def _may_have_surrogates(data):
    import re
    return re.search(b"\xed[\xa0-\xbf][\x80-\xbf]", data)


def _is_sound(item):
    """Whether all texts are free of surrogates."""
    items = (item,)
    depth = 0
    try:
        while items:
            depth += 1
            kinds = set(map(type, items))
            _join_texts(items)
            level = _containers(items, kinds, depth)
            # Most dicts have the same keys.
            _join_texts(set(chain.from_iterable(compress(level, map(_is_dict, map(type, level))))))
            items = get_referents(*level)
    except (UnicodeEncodeError, RuntimeError):
        return False
    return True


def _join_texts(items):
    "".join(compress(items, map(_is_text, map(type, items)))).encode()
