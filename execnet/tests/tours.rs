//! The asynchronous and the blocking API do the same: their tours print the same.

mod common;

#[path = "../examples/blocking_tour.rs"]
#[allow(dead_code, reason = "its main function")]
mod blocking_tour;
#[path = "../examples/tour.rs"]
#[allow(dead_code, reason = "its main function")]
mod tour;

use common::bounded;
use common::threads::{spec, watched};

#[tokio::test]
async fn both_tours_print_the_same() {
    let Some(spec) = spec() else { return };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    bounded(tour::tour(&spec, &mut with)).await.unwrap();
    let without = watched(move || {
        blocking_tour::tour(&spec, &mut without).map_err(|error| error.to_string()).unwrap();
        without
    });
    let (with, without) = (String::from_utf8(with).unwrap(), String::from_utf8(without).unwrap());
    assert_eq!(with, without);
    assert!(with.ends_with("after terminate: 0 gateways\n"), "{with}");
}
