//! The tests of `broker-core` (MQTT 3.1.1) with sessions in the replicated state: the engine cannot
//! tell who holds them. Left out is what that state does not have yet.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod keeper;
#[path = "../../../broker-plugin/core/tests/spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

#[path = "../../../broker-plugin/core/tests/spec_mqtt3/common.rs"]
mod common;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/connack.rs"]
mod connack;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/connect.rs"]
mod connect;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/data.rs"]
mod data;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/format.rs"]
mod format;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/messages.rs"]
mod messages;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/publish.rs"]
mod publish;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/resuming.rs"]
mod resuming;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/sessions.rs"]
mod sessions;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/subscribing.rs"]
mod subscribing;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/subscriptions.rs"]
mod subscriptions;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/topics.rs"]
mod topics;
#[path = "../../../broker-plugin/core/tests/spec_mqtt3/wills.rs"]
mod wills;

use keeper::Keeper as Holder;
