//! Answers the lists of the Admin service from the replicated state, as this server has it.

use ha_core::cluster::{
    PageLimits, RetainedFind, RetainedView, SessionFind, SessionView, SubscriptionFind,
    SubscriptionPlace, SubscriptionView, Which,
};
use ha_proto::v1;
use ha_types::session::{Lifetime, RetainHandling};
use ha_types::{ClusterMillis, Subscription, TopicName};
use tonic::Status;

use crate::group::Group;

/// Items of a page, and bytes of their texts.
const ITEMS_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;

/// What is looked at for one page, under the lock that applying takes too: 2.5 ms in an unoptimized
/// build, among 300,000 sessions.
const LOOKS_MAX: usize = 4_096;

fn limits(items_max: u32) -> PageLimits {
    let items = match usize::try_from(items_max) {
        Ok(0) | Err(_) => ITEMS_MAX,
        Ok(wanted) => wanted.min(ITEMS_MAX),
    };
    PageLimits { items, bytes: BYTES_MAX, looks: LOOKS_MAX }
}

fn is_said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn left(at: ClusterMillis, now: ClusterMillis) -> u64 {
    at.0.saturating_sub(now.0)
}

/// A page of sessions at this cluster time, or at that of the state if it is later.
pub(crate) fn sessions(
    group: &Group,
    now: ClusterMillis,
    request: &v1::ListSessionsRequest,
) -> v1::ListSessionsResponse {
    let find = SessionFind {
        text: &request.find,
        broker: is_said(&request.broker),
        which: if request.connected { Which::Connected } else { Which::All },
    };
    let (page, now) = group.node().read(|machine| {
        let (state, after) = (machine.state(), is_said(&request.after));
        (state.list_sessions(find, after, limits(request.items_max)), now.max(state.now()))
    });
    v1::ListSessionsResponse {
        sessions: page.items.iter().map(|view| session(view, now)).collect(),
        next: page.next.map(|next| next.to_string()).unwrap_or_default(),
    }
}

fn session(view: &SessionView, now: ClusterMillis) -> v1::SessionStatus {
    v1::SessionStatus {
        client_id: view.client_id.to_string(),
        broker: view.broker.as_ref().map(ToString::to_string).unwrap_or_default(),
        durable: view.is_durable,
        session: view.session.id.0,
        session_epoch: view.session.epoch.0,
        expiry_s: match view.lifetime {
            Lifetime::Connection => Some(0),
            Lifetime::Seconds(seconds) => Some(seconds),
            Lifetime::Unlimited => None,
        },
        ends_in_ms: view.ends_at.map(|at| left(at, now)),
        subscriptions: view.subscriptions as u64,
        waiting: view.waiting as u64,
        exchanges: view.exchanges as u64,
        will: view.has_will,
    }
}

/// A page of subscriptions.
///
/// # Errors
/// The place to go on from is none.
pub(crate) fn subscriptions(
    group: &Group,
    request: &v1::ListSubscriptionsRequest,
) -> Result<v1::ListSubscriptionsResponse, Status> {
    let find = SubscriptionFind { text: &request.find, client: is_said(&request.client) };
    let after = request.after.as_ref().map(place).transpose()?;
    let page = group.node().read(|machine| {
        machine.state().list_subscriptions(find, after.as_ref(), limits(request.items_max))
    });
    let next = page.next.map(|next| v1::SubscriptionPlace {
        client_id: next.client_id.to_string(),
        subscription: next.subscription.map(|of| of.to_string()).unwrap_or_default(),
    });
    let subscriptions = page.items.iter().map(subscription).collect();
    Ok(v1::ListSubscriptionsResponse { subscriptions, next })
}

fn place(place: &v1::SubscriptionPlace) -> Result<SubscriptionPlace, Status> {
    let subscription = is_said(&place.subscription).map(|of| Subscription::parse(of.as_bytes()));
    let subscription = subscription.transpose().map_err(|error| {
        Status::invalid_argument(format!("after {:?}: {error}", place.subscription))
    })?;
    Ok(SubscriptionPlace { client_id: place.client_id.as_str().into(), subscription })
}

fn subscription(view: &SubscriptionView) -> v1::SubscriptionStatus {
    let options = &view.options;
    let share_name = match &options.subscription {
        Subscription::Plain(_) => String::new(),
        Subscription::Shared(shared) => shared.share_name.to_string(),
    };
    v1::SubscriptionStatus {
        client_id: view.client_id.to_string(),
        filter: options.subscription.filter().to_string(),
        share_name,
        qos: options.qos as u32,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            RetainHandling::AtSubscribe => 0,
            RetainHandling::IfNew => 1,
            RetainHandling::Never => 2,
        },
        subscription_id: options.subscription_id.map_or(0, |id| id.get()),
    }
}

/// A page of retained messages that are not expired at this cluster time.
///
/// # Errors
/// The topic to go on from is none.
pub(crate) fn retained(
    group: &Group,
    now: ClusterMillis,
    request: &v1::ListRetainedRequest,
) -> Result<v1::ListRetainedResponse, Status> {
    let find = RetainedFind::of(&request.find);
    let topic = |text: &str| TopicName::parse(text.to_owned().into());
    let after = is_said(&request.after).map(topic).transpose();
    let after = after
        .map_err(|error| Status::invalid_argument(format!("after {:?}: {error}", request.after)))?;
    let (page, now) = group.node().read(|machine| {
        let (limits, now) = (limits(request.items_max), now.max(machine.state().now()));
        (machine.state().list_retained(&find, after.as_ref(), now, limits), now)
    });
    let one = |view: &RetainedView| v1::RetainedStatus {
        topic: view.topic.to_string(),
        qos: view.qos as u32,
        bytes: view.bytes as u64,
        expires_in_ms: view.expires_at.map(|at| left(at, now)),
    };
    let next = page.next.map(|next| next.to_string()).unwrap_or_default();
    Ok(v1::ListRetainedResponse { retained: page.items.iter().map(one).collect(), next })
}
