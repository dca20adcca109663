//! Tasks with their types erased.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use execnet_channel::Message;
use execnet_proto::{Fault, cbor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::panic::{Caught, catch};
use super::{BlockingContext, Context, fault, request};

/// What a task makes: its result as CBOR, or why there is none.
pub(super) type Outcome = Result<Bytes, Fault>;
pub(super) type OutcomeFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One of the agent's functions.
#[derive(Clone)]
pub(super) enum Task {
    Async(Arc<Start>),
    Blocking(Arc<Run>),
}

/// Given its name, its context and the request.
type Start = dyn Fn(&str, Context, &Message) -> Result<OutcomeFuture, Fault> + Send + Sync;
type Run = dyn Fn(&str, BlockingContext, &Message) -> Outcome + Send + Sync;

impl Task {
    pub(super) fn asynchronous<F, Args, Fut, Out, E>(task: F) -> Self
    where
        F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
        Args: DeserializeOwned + Send + 'static,
        Fut: Future<Output = Result<Out, E>> + Send + 'static,
        Out: Serialize + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        Self::Async(Arc::new(move |name, context, request| {
            let args = request::arguments(name, request)?;
            let future = catch(|| task(context, args))?;
            let name = name.to_owned();
            Ok(Box::pin(async move {
                // Two boxes for each call; the first keeps what is polled in place when it panics.
                outcome(&name, Caught(Box::pin(future)).await?)
            }))
        }))
    }

    pub(super) fn blocking<F, Args, Out, E>(task: F) -> Self
    where
        F: Fn(BlockingContext, Args) -> Result<Out, E> + Send + Sync + 'static,
        Args: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        Self::Blocking(Arc::new(move |name, context, request| {
            let args = request::arguments(name, request)?;
            outcome(name, catch(|| task(context, args))?)
        }))
    }
}

fn outcome<Out, E>(name: &str, result: Result<Out, E>) -> Outcome
where
    Out: Serialize,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let value = result.map_err(fault::of_task)?;
    cbor::to_bytes(&value).map_err(|error| {
        Fault::new(
            "EncodeError",
            format!("the result of the task {name:?} does not cross: {error}"),
        )
    })
}
