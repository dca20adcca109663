//! The Python worker as text: what an interpreter is given to run, and what it is sent.

use std::sync::LazyLock;

/// Run first: it reads the modules, and makes them importable.
const STUB: &str = include_str!("../python/stub.py");

/// The worker's modules. Most are compiled when they are first imported, some never are.
const MODULES: &[(&str, &str)] = &[
    ("execnet_worker", include_str!("../python/execnet_worker/__init__.py")),
    ("execnet_worker.cbor", include_str!("../python/execnet_worker/cbor.py")),
    ("execnet_worker.channel", include_str!("../python/execnet_worker/channel.py")),
    ("execnet_worker.command", include_str!("../python/execnet_worker/command.py")),
    ("execnet_worker.connect", include_str!("../python/execnet_worker/connect.py")),
    ("execnet_worker.coroutine", include_str!("../python/execnet_worker/coroutine.py")),
    ("execnet_worker.deadline", include_str!("../python/execnet_worker/deadline.py")),
    ("execnet_worker.execute", include_str!("../python/execnet_worker/execute.py")),
    ("execnet_worker.explain", include_str!("../python/execnet_worker/explain.py")),
    ("execnet_worker.fileio", include_str!("../python/execnet_worker/fileio.py")),
    ("execnet_worker.frame", include_str!("../python/execnet_worker/frame.py")),
    ("execnet_worker.lease", include_str!("../python/execnet_worker/lease.py")),
    ("execnet_worker.main", include_str!("../python/execnet_worker/main.py")),
    ("execnet_worker.marshaling", include_str!("../python/execnet_worker/marshaling.py")),
    ("execnet_worker.mux", include_str!("../python/execnet_worker/mux.py")),
    ("execnet_worker.reader", include_str!("../python/execnet_worker/reader.py")),
    ("execnet_worker.service", include_str!("../python/execnet_worker/service.py")),
    ("execnet_worker.simplequeue", include_str!("../python/execnet_worker/simplequeue.py")),
    ("execnet_worker.sources", include_str!("../python/execnet_worker/sources.py")),
    ("execnet_worker.stream", include_str!("../python/execnet_worker/stream.py")),
    ("execnet_worker.turn", include_str!("../python/execnet_worker/turn.py")),
    ("execnet_worker.writer", include_str!("../python/execnet_worker/writer.py")),
    ("execnet_worker.zygote", include_str!("../python/execnet_worker/zygote.py")),
];

/// One line of Python for `python -c`, which reads the start of [`bootstrap_source`] from fd 0.
///
/// It holds no character that `sh`, `csh` or `fish` would change inside single or double quotes,
/// so it survives a remote shell quoted either way. Not run by Python 2 or before 3.6: those end
/// with a message on stderr that says what is needed.
///
/// ```
/// let line = execnet_agent::bootstrap_line();
/// assert!(line.starts_with("import os,io;"));
/// ```
#[must_use]
pub fn bootstrap_line() -> String {
    line(STUB)
}

fn line(stub: &str) -> String {
    format!("import os,io;f=io.BufferedReader(io.FileIO(os.dup(0)));exec(f.read({}))", stub.len())
}

/// What to write on the link first, right after the start and before the preamble.
///
/// Nothing has to be awaited before or after it: preamble, HELLO and requests may follow in the
/// same packet. About 130 KiB, the same bytes for every interpreter.
#[must_use]
pub fn bootstrap_source() -> &'static [u8] {
    static SOURCE: LazyLock<Vec<u8>> = LazyLock::new(|| source(STUB, &[]));
    &SOURCE
}

/// The [`bootstrap_source`] with what an interpreter has compiled of it before: its answer to a request of the kind `compiled`.
///
/// An interpreter of another version or another build does not use it, and compiles for itself; its fact `from_source`
/// tells. It runs as code: give to an interpreter only what one started in the same way has said.
#[must_use]
pub fn bootstrap_source_with(compiled: &[u8]) -> Vec<u8> {
    source(STUB, compiled)
}

/// The [`bootstrap_source`] for a long way or a narrow one: a quarter as long, which saves round trips as well, for TCP
/// sends the first 14 KiB without an answer and then no more than as much again for each. Making it takes some milliseconds, once; unpacking it
/// about one, and an interpreter with zlib.
#[must_use]
pub fn bootstrap_source_deflated() -> &'static [u8] {
    static SOURCE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let deflated = miniz_oxide::deflate::compress_to_vec_zlib(&block(), 9);
        with_parts(STUB, &[], &deflated)
    });
    &SOURCE
}

fn source(stub: &str, compiled: &[u8]) -> Vec<u8> {
    with_parts(stub, compiled, &block())
}

/// The modules, each with its name and the lengths of both.
fn block() -> Vec<u8> {
    let mut block = Vec::new();
    for (name, text) in MODULES {
        block.extend((name.len() as u16).to_be_bytes());
        block.extend(name.as_bytes());
        block.extend((text.len() as u32).to_be_bytes());
        block.extend(text.as_bytes());
    }
    block
}

fn with_parts(stub: &str, compiled: &[u8], block: &[u8]) -> Vec<u8> {
    let len = |part: &[u8]| (part.len() as u32).to_be_bytes();
    [stub.as_bytes(), &len(compiled), compiled, &len(block), block].concat()
}

/// What runs first in a warm interpreter: it forks workers instead of being one.
static WARM_STUB: LazyLock<String> =
    LazyLock::new(|| STUB.replace("execnet_worker.main", "execnet_worker.zygote"));

/// The [`bootstrap_line`] of a warm interpreter that forks workers.
///
/// Its standard input is a unix socket, on which descriptors for each worker's link and standard error come: the
/// transport `Prefork` of `execnet-transport` says what is spoken there.
#[must_use]
pub fn prefork_line() -> String {
    line(&WARM_STUB)
}

/// What to write to a warm interpreter first, with what an interpreter has compiled as in [`bootstrap_source_with`]; empty when
/// there is nothing.
#[must_use]
pub fn prefork_source_with(compiled: &[u8]) -> Vec<u8> {
    source(&WARM_STUB, compiled)
}
