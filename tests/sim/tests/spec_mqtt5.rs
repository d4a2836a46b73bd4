//! The tests of `broker-core` (MQTT 5.0) with sessions in the replicated state: the engine cannot
//! tell who holds them. Left out is what that state does not have yet.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod keeper;
#[path = "../../../broker-plugin/core/tests/spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

#[path = "../../../broker-plugin/core/tests/spec_mqtt5/acknowledgements.rs"]
mod acknowledgements;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/aliases.rs"]
mod aliases;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/authentication.rs"]
mod authentication;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/closing.rs"]
mod closing;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/common.rs"]
mod common;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/connack.rs"]
mod connack;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/connect.rs"]
mod connect;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/connecting.rs"]
mod connecting;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/data.rs"]
mod data;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/ending.rs"]
mod ending;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/expiry.rs"]
mod expiry;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/flow.rs"]
mod flow;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/format.rs"]
mod format;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/forwarding.rs"]
mod forwarding;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/incoming.rs"]
mod incoming;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/order.rs"]
mod order;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/outgoing.rs"]
mod outgoing;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/publish.rs"]
mod publish;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/remarks.rs"]
mod remarks;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/retained.rs"]
mod retained;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/sessions.rs"]
mod sessions;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/shared.rs"]
mod shared;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/subscribing.rs"]
mod subscribing;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/subscriptions.rs"]
mod subscriptions;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/topics.rs"]
mod topics;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/unsubscribing.rs"]
mod unsubscribing;
#[path = "../../../broker-plugin/core/tests/spec_mqtt5/wills.rs"]
mod wills;

use keeper::Keeper as Holder;
