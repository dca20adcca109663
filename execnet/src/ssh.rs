//! What only a person knows, asked for while connecting over ssh: implement [`Prompt`], and give it to
//! [`GroupBuilder::prompt`](crate::GroupBuilder::prompt).

pub use execnet_transport::BoxFuture;
pub use execnet_transport::ssh::{Prompt, Question, Topic};
