"""Texts for errors; loaded when the first one occurs."""

import sys
import traceback

from . import cbor


def refusal(value, error):
    """The error of `channel.send` for a value that does not cross: it says where and why."""
    if isinstance(error, RecursionError):
        return ValueError("channel.send: item is nested too deeply for what is left of the stack")
    if isinstance(error, cbor.TooDeep):
        return ValueError("channel.send: item is %s, or holds itself" % error)
    path, error = _locate(value, error, "item", 0)
    if isinstance(error, UnicodeEncodeError):
        return ValueError("channel.send: %s has a lone surrogate at index %d" % (path, error.start))
    if isinstance(error, cbor.EncodeError):
        return ValueError("channel.send: %s: %s" % (path, error))
    return TypeError("channel.send: %s is %s" % (path, error))


def _locate(value, error, path, depth):
    """Follows the first part that does not cross by itself down to the one that is to blame."""
    if depth < cbor.MAX_DEPTH:
        for part, name in _parts(value, path):
            try:
                cbor.dumps(part)
            except (TypeError, ValueError) as inner:
                return _locate(part, inner, name, depth + 1)
    return path, error


def _parts(value, path):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, "a key of %s" % path
            yield item, "%s[%.80r]" % (path, key)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield item, "%s[%d]" % (path, index)
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield item, "a member of %s" % path


def describe(error):
    """What a CLOSE tells of an exception: its type, message and traceback."""
    kind = type(error)
    try:
        message = str(error)
    except Exception as failure:
        message = "<str() of it failed: %s>" % cbor.kind_name(type(failure))
    frames = at = error.__traceback__
    while at:  # what runs an async function stands before it
        if at.tb_frame.f_code.co_filename == "<execnet_worker.coroutine>":
            frames = at
        at = at.tb_next
    while frames and frames.tb_frame.f_code.co_filename.startswith("<execnet_worker."):
        frames = frames.tb_next
    _cut_handler(frames)
    try:
        text = "".join(traceback.format_exception(kind, error, frames))
    except Exception:
        text = "".join(traceback.format_tb(frames)) + "%s: %s\n" % (kind.__name__, message)
    return cbor.kind_name(kind), message, text


def _cut_handler(frames):
    """Takes the last frame off when it is that of our handler, which an interrupt is raised in."""
    while frames and frames.tb_next:
        code = frames.tb_next.tb_frame.f_code
        if code.co_name == "on_sigint" and code.co_filename == "<execnet_worker.execute>":
            try:
                frames.tb_next = None
            except (AttributeError, TypeError):
                pass  # Python 3.6 keeps it
        frames = frames.tb_next


def report(what, description):
    """Prints an error that no CLOSE can tell any more."""
    try:
        sys.stderr.write("execnet: %s:\n%s" % (what, description[2]))
        sys.stderr.flush()
    except Exception:
        pass  # there is nobody left
