//! Subscriptions by client identifier.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use ha_types::Subscription;
use ha_types::session::SubscribeOptions;

use super::super::ClusterState;
use super::{Filling, Listed, PageLimits};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionFind<'a> {
    /// A part of the topic filter, with its share name if it has one; empty: any.
    pub text: &'a str,
    /// Of this client; `None`: of all.
    pub client: Option<&'a str>,
}

/// Where a list of subscriptions goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionPlace {
    /// With this client's,
    pub client_id: Arc<str>,
    /// behind this one; `None`: behind all of that client's.
    pub subscription: Option<Subscription>,
}

/// One subscription of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    /// Of its client.
    pub client_id: Arc<str>,
    /// Filter, share name and options.
    pub options: SubscribeOptions,
}

/// Bytes of a line beside its texts.
const LINE_BYTES: usize = 32;

impl ClusterState {
    /// Subscriptions from the one behind `after` on; `None`: from the first.
    #[must_use]
    pub fn list_subscriptions(
        &self,
        find: SubscriptionFind<'_>,
        after: Option<&SubscriptionPlace>,
        limits: PageLimits,
    ) -> Listed<SubscriptionView, SubscriptionPlace> {
        let mut filling = Filling::new(limits);
        let mut last: Option<SubscriptionPlace> = None;
        for (client_id, id) in self.clients_from(find, after) {
            if let Some(last) = last.take_if(|_| !filling.has_room()) {
                return filling.goes_on(last);
            }
            let Some(session) = self.sessions.get(id) else { continue };
            let behind = after.filter(|after| after.client_id == *client_id);
            let behind = behind.and_then(|after| after.subscription.as_ref());
            let first = behind.map_or(0, |behind| match session.find(behind) {
                Ok(at) => at + 1,
                Err(at) => at,
            });
            let place =
                |subscription| SubscriptionPlace { client_id: Arc::clone(client_id), subscription };
            let mut before = behind;
            for subscribed in &session.subscriptions[first..] {
                if !filling.has_room() && before.is_some() {
                    return filling.goes_on(place(before.cloned()));
                }
                filling.look_at(1);
                let options = &subscribed.options;
                before = Some(&options.subscription);
                let text = options.subscription.to_string();
                if text.contains(find.text) {
                    let view = SubscriptionView {
                        client_id: Arc::clone(client_id),
                        options: options.clone(),
                    };
                    filling.push(view, client_id.len() + text.len() + LINE_BYTES);
                }
            }
            // Behind its subscriptions, so that each page comes at least one further.
            filling.look_at(1);
            last = Some(place(None));
        }
        filling.ends()
    }

    /// Clients whose subscriptions may follow.
    fn clients_from<'a>(
        &'a self,
        find: SubscriptionFind<'_>,
        after: Option<&SubscriptionPlace>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a ha_types::SessionId)> {
        let from = after.map_or(Unbounded, |after| match after.subscription {
            Some(_) => Included(after.client_id.as_ref()),
            None => Excluded(after.client_id.as_ref()),
        });
        let one = find.client.and_then(|client| self.by_client.get_key_value(client));
        let one = one.filter(|(client_id, _)| match from {
            Included(from) => client_id.as_ref() >= from,
            Excluded(from) => client_id.as_ref() > from,
            Unbounded => true,
        });
        let all = find.client.is_none().then(|| self.by_client.range::<str, _>((from, Unbounded)));
        one.into_iter().chain(all.into_iter().flatten())
    }
}
