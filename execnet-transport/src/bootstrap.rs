/// What a far end wants on its link before it speaks the protocol.
///
/// This only describes. Whoever owns the link feeds it: a transport never writes to one itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bootstrap {
    /// The far side is an interpreter that was started with the bootstrap line as its program. It
    /// wants the worker's source first. Until that runs, other text may arrive on the link, such
    /// as the greeting of a login shell.
    Python,
    /// The far side is a stock socket server of py.execnet: it reads one line and evaluates it.
    ReadlineExec,
    /// The far side already speaks the protocol, from its first byte to its last.
    None,
}
