//! The group that the whole process shares.

use std::sync::LazyLock;

use execnet_xspec::{SpecError, XSpec};

use crate::{Gateway, GatewayError, Group};

/// The group of the whole process, with the default settings; `blocking::default_group` gives the same one.
///
/// For scripts. Libraries, and tests that run side by side, do better with a [`Group`] of their own.
///
/// It is never dropped. When the process ends, its links do: workers interrupt what runs on them and are gone within about a
/// second, as after a crash. Call [`terminate`](Group::terminate) to let them end in order and to wait for it. Each gateway lives on the
/// runtime that it was made on, and ends with that.
pub fn default_group() -> &'static Group {
    static GROUP: LazyLock<Group> = LazyLock::new(Group::new);
    &GROUP
}

/// Starts a gateway in the [`default_group`]; see [`Group::make_gateway`]. Dropping the future leaves nothing behind.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gw = execnet::make_gateway("popen").await?;
/// let mut channel = gw.remote_exec("channel.send(6 * 7)").await?;
/// assert_eq!(channel.receive::<i64>().await?, 42);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`GatewayError`]; nothing is left behind then.
pub async fn make_gateway<S>(spec: S) -> Result<Gateway, GatewayError>
where
    S: TryInto<XSpec>,
    S::Error: Into<SpecError>,
{
    default_group().make_gateway(spec).await
}
