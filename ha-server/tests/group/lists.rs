//! What an operator can list of sessions, subscriptions and retained messages.

use ha_types::link::{Downstream, Upstream};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, Open, Progress, RetainHandling, SessionKey, Start,
    SubscribeOptions, Tell,
};
use ha_types::{AskNumber, Qos, Subscription, Ticket};
use serde_json::{Value, json};

use crate::server::{Group, Server};
use crate::streams::{Broker, attach};

/// A broker's asks, in order.
pub(crate) struct Asking {
    pub(crate) broker: Broker,
    last: u64,
}

impl Asking {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, last: 0 }
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        self.last += 1;
        self.broker.send(Upstream::Ask { number: AskNumber(self.last), ask });
    }

    /// The next thing that an engine is told.
    pub(crate) async fn told(&mut self) -> Tell {
        loop {
            let item = self.broker.next().await.expect("the stream is open");
            if let Downstream::Tell { tell, .. } = item {
                return tell;
            }
        }
    }

    /// A CONNECT whose session is kept for a minute.
    pub(crate) async fn open(&mut self, client_id: &str) -> SessionKey {
        let connection = ConnectionId(self.last + 1);
        self.ask(Ask::Open(Open {
            connection,
            client_id: client_id.into(),
            start: Start::Resume,
            lifetime: Lifetime::Seconds(60),
            will: None,
            receive_maximum: 10,
        }));
        match self.told().await {
            Tell::Opened(opened) => opened.session,
            other => panic!("{other:?} instead of Opened"),
        }
    }

    async fn subscribe(&mut self, session: SessionKey, filter: &str) {
        let options = SubscribeOptions {
            subscription: Subscription::parse(filter.as_bytes()).unwrap(),
            qos: Qos::AtLeastOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: RetainHandling::Never,
            subscription_id: None,
        };
        let (ticket, subscriptions) = (Ticket(1), vec![options]);
        self.ask(Ask::Subscribe { session, ticket, subscriptions });
        let told = self.told().await;
        assert!(matches!(told, Tell::Subscribed { .. }), "{told:?}");
    }

    /// Its answer says that this was done.
    pub(crate) async fn close(&mut self, session: SessionKey) {
        let (cause, progress) = (CloseCause::Failure, Progress::default());
        self.ask(Ask::Close { session, cause, progress, lifetime: None });
        self.open("last").await;
    }
}

fn listed(server: &Server, arguments: &[&str]) -> Value {
    let text = server.told(&[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

fn clients(list: &Value, name: &str) -> Vec<String> {
    let items = list[name].as_array().unwrap().iter();
    items.map(|item| item["client_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn any_server_lists_and_finds_sessions_subscriptions_and_retained_messages() {
    // No heartbeats are sent.
    let mut group = Group::start_with(3, |server| server.set("LEASE", "60 s"));
    let (broker, _) = attach(&group).await;
    let mut asking = Asking::new(broker);
    let pump = asking.open("pump-1").await;
    asking.subscribe(pump, "pump/+").await;
    asking.subscribe(pump, "$share/all/valve").await;
    let away = asking.open("pump-2").await;
    asking.close(away).await;
    asking.broker.publish_retained(1);
    asking.broker.accepted().await;

    let follower = group.follower();
    for id in [group.leader(), follower] {
        let server = group.server(id);
        let connected = listed(server, &["clients"]);
        assert_eq!(clients(&connected, "clients"), ["last", "pump-1"]);
        assert_eq!(connected["clients"][1]["broker"], "b");
        let all = listed(server, &["sessions", "--find", "pump"]);
        assert_eq!(clients(&all, "sessions"), ["pump-1", "pump-2"]);
        assert_eq!(all["sessions"][1]["connected"], false);
        let left = all["sessions"][1]["ends_in_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        let page = listed(server, &["sessions", "--limit", "1"]);
        assert_eq!(
            (clients(&page, "sessions"), &page["more"]),
            (vec!["last".into()], &json!(true))
        );
        assert!(clients(&listed(server, &["sessions", "--broker", "c"]), "sessions").is_empty());
        let found = listed(server, &["subscriptions", "--client", "pump-1", "--find", "valve"]);
        assert_eq!(found["subscriptions"][0]["share_name"], "all");
        assert_eq!(found["more"], false);
        let found = listed(server, &["retained", "--find", "#", "--limit", "all"]);
        assert_eq!(
            found["retained"],
            json!([{ "topic": "t", "qos": 1, "bytes": 1, "expires_in_ms": null }])
        );
    }
    let table = group.server(follower).told(&["subscriptions", "--limit", "1"]);
    assert!(table.contains("pump/+") && table.contains("no local"), "{table}");
    assert!(table.contains("More than 1 subscriptions"), "{table}");
    group.server(follower).told(&["clients", "--find", "nobody"]);
}
