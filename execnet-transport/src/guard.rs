use std::fmt;

use crate::{BoxFuture, Ending};

/// Keeps the far end of a [`Link`](crate::Link) alive, and kills it when dropped.
///
/// All methods take `&self`: share a guard in an `Arc` to wait in one task and kill from another.
#[must_use = "dropping a guard kills its far end"]
pub struct Guard {
    far_end: Box<dyn FarEnd>,
}

impl Guard {
    /// Guards a far end of your own making.
    pub fn new(far_end: impl FarEnd + 'static) -> Self {
        Self { far_end: Box::new(far_end) }
    }

    /// Names this far end in messages, as `popen python3 [pid 123]`.
    pub fn address(&self) -> &str {
        self.far_end.address()
    }

    /// The process on this machine that the link depends on, if there is one.
    ///
    /// For a command such as `docker exec` that is the local command, not what it started. The
    /// number may belong to somebody else once the process has ended: it is for messages only.
    pub fn pid(&self) -> Option<u32> {
        self.far_end.pid()
    }

    /// Waits until the far end has ended, and tells how.
    ///
    /// Any number of tasks may wait at the same time, or after the end: all get the same answer.
    /// Bytes that the far end sent before its end can still be on the way in the reader.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn wait(&self) -> Ending {
        self.far_end.wait().await
    }

    /// Ends the far end at once, without asking it: `SIGKILL` to the whole process group, or a
    /// closed link where there is no process. Does nothing to one that has ended.
    ///
    /// Returns at once, and needs no runtime; [`wait`](Self::wait) tells when it is done.
    pub fn kill(&self) {
        self.far_end.kill();
    }

    /// Asks the far end to stop what it is doing: `SIGINT`, to the process itself and not to those
    /// it has started, which in Python raises `KeyboardInterrupt` in the main thread. Does nothing
    /// to one that has ended, or where there is no process.
    pub fn interrupt(&self) {
        self.far_end.interrupt();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.far_end.kill();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.address()).finish()
    }
}

/// What a [`Guard`] guards: implemented by each transport.
///
/// The guard calls [`kill`](Self::kill) when it is dropped. Afterwards nothing of the far end may
/// be left on this machine, except what an implementation documents.
pub trait FarEnd: Send + Sync {
    /// Names this far end in messages. The same text every time, and free of secrets.
    fn address(&self) -> &str;

    /// The process on this machine that the link depends on; by default there is none.
    fn pid(&self) -> Option<u32> {
        None
    }

    /// Resolves once the far end has ended. Where there is no process to ask, that is when both directions of
    /// the link have reached their end.
    ///
    /// Cancel safe, callable any number of times from any task, at any time, with one answer.
    fn wait(&self) -> BoxFuture<'_, Ending>;

    /// Ends the far end at once: afterwards [`wait`](Self::wait) resolves, and both directions of
    /// the link reach their end.
    ///
    /// Callable any number of times, also after the end and outside of a runtime. Must not block.
    fn kill(&self);

    /// Asks the far end to stop what it is doing; by default it cannot be asked.
    fn interrupt(&self) {}
}
