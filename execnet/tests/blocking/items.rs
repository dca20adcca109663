//! Items, channels among them, there and back.

use std::time::Duration;

use execnet::blocking::Channel;
use execnet::{Ending, ReceiveError, Value};

use super::WATCHDOG;
use super::common::threads::on_one;

#[test]
fn items_go_there_and_back() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
        channel.send(&(1, "ä", [1.5])).unwrap();
        let item: (i64, String, Vec<f64>) = channel.receive().unwrap();
        assert_eq!(item, (1, "ä".to_owned(), vec![1.5]));
        channel.send_bytes(vec![7; 3 << 20]).unwrap();
        assert_eq!(channel.receive_value().unwrap(), Value::from(vec![7; 3 << 20]));
        channel.finish_sending();
        assert!(matches!(channel.receive_value(), Err(ReceiveError::End)));
        channel.wait_close().unwrap();
        assert!(channel.is_closed());

        assert_eq!(channel.gateway().id(), "gw0");
        assert!(gw.is_same(&channel.gateway()));
        assert!(gw.ping().unwrap() > Duration::ZERO);
        let Value::Dict(status) = gw.status().unwrap() else { panic!("a dict") };
        assert!(status.iter().any(|(key, _)| key.as_str() == Some("channels")), "{status:?}");
    });
}

#[test]
fn iteration_yields_items_then_at_most_one_error_then_ends() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("for n in range(3): channel.send(n)").unwrap();
        let mut items = Vec::new();
        for item in &mut channel {
            items.push(item.unwrap().as_i64().unwrap());
        }
        assert_eq!(items, [0, 1, 2]);
        assert!(channel.next().is_none(), "for ever");

        let mut failing = gw.remote_exec("channel.send(1); 1/0").unwrap();
        assert!(failing.next().unwrap().is_ok());
        let error = failing.next().unwrap().unwrap_err();
        assert!(
            matches!(&error, ReceiveError::Remote(error) if error.kind() == "ZeroDivisionError")
        );
        assert!(failing.next().is_none());

        let source = "channel.send(1); channel.send('two'); channel.send(3)";
        let typed = gw.remote_exec(source).unwrap().typed::<(), i64>();
        let items: Vec<_> = typed.map(|item| item.ok()).collect();
        assert_eq!(items, [Some(1), None, Some(3)], "an item of another type, and the others");
        let mut failing = gw.remote_exec("channel.send(1); 1/0").unwrap().typed::<(), i64>();
        assert_eq!(failing.next().unwrap().unwrap(), 1);
        assert!(matches!(failing.next(), Some(Err(ReceiveError::Remote(_)))));
        assert!(failing.next().is_none());

        let (_sender, receiver) =
            gw.remote_exec("channel.send(1)\nimport os; os._exit(9)").unwrap().split();
        let last = receiver.last().unwrap();
        let Err(ReceiveError::Lost(lost)) = last else { panic!("{last:?}") };
        assert_eq!(lost.ending(), Some(Ending::Exited(9)));
    });
}

#[test]
fn a_typed_channel_half_closes() {
    on_one(|gw| {
        let source = "channel.send(sum(channel))";
        let mut channel = gw.remote_exec(source).unwrap().typed::<i64, i64>();
        channel.send(&40).unwrap();
        channel.send_timeout(&2, WATCHDOG).unwrap();
        channel.finish_sending();
        assert_eq!(channel.receive_timeout(WATCHDOG).unwrap(), 42);
        channel.wait_close_timeout(WATCHDOG).unwrap();
        assert!(matches!(channel.receive(), Err(ReceiveError::End)));
    });
}

#[test]
fn channels_cross_in_both_directions() {
    #[derive(serde::Deserialize)]
    struct Offer {
        price: f64,
        buy: Channel,
    }
    on_one(|gw| {
        let source = "buy = channel.gateway.newchannel()\n\
             channel.send({'price': 1.5, 'buy': buy})\n\
             buy.send('sold for %s' % buy.receive())\n\
             made = channel.gateway.newchannel()\n\
             channel.send(made); made.send(7)";
        let mut channel = gw.remote_exec(source).unwrap();
        let mut offer: Offer = channel.receive().unwrap();
        offer.buy.send(&offer.price).unwrap();
        assert_eq!(offer.buy.receive::<String>().unwrap(), "sold for 1.5");
        let Value::Channel(id) = channel.receive_value().unwrap() else { panic!("a channel") };
        assert_eq!(gw.channel(id).unwrap().receive::<i64>().unwrap(), 7);

        let (sender, mut receiver) = gw.new_channel().unwrap().split();
        let mut channel = gw.remote_exec("channel.receive()['to'].send('here')").unwrap();
        channel.send(&std::collections::BTreeMap::from([("to", &receiver)])).unwrap();
        assert_eq!(receiver.receive::<String>().unwrap(), "here");
        drop(sender);
        let mut channel = gw.remote_exec("channel.receive()").unwrap();
        channel.close_with_error("not wanted");
        assert!(channel.is_closed());
    });
}
