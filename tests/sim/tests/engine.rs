//! The tests of `broker-core` (What no statement says) with sessions in the replicated state: the engine cannot
//! tell who holds them. Left out is what that state does not have yet.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod keeper;
#[path = "../../../broker-plugin/core/tests/spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

#[path = "../../../broker-plugin/core/tests/engine/access.rs"]
mod access;
#[path = "../../../broker-plugin/core/tests/engine/common.rs"]
mod common;
#[path = "../../../broker-plugin/core/tests/engine/delivery.rs"]
mod delivery;
#[path = "../../../broker-plugin/core/tests/engine/expiry.rs"]
mod expiry;
#[path = "../../../broker-plugin/core/tests/engine/groups.rs"]
mod groups;
#[path = "../../../broker-plugin/core/tests/engine/identifiers.rs"]
mod identifiers;
#[path = "../../../broker-plugin/core/tests/engine/late.rs"]
mod late;
#[path = "../../../broker-plugin/core/tests/engine/limits.rs"]
mod limits;
#[path = "../../../broker-plugin/core/tests/engine/opening.rs"]
mod opening;
#[path = "../../../broker-plugin/core/tests/engine/order.rs"]
mod order;
#[path = "../../../broker-plugin/core/tests/engine/paging.rs"]
mod paging;
#[path = "../../../broker-plugin/core/tests/engine/random.rs"]
mod random;
#[path = "../../../broker-plugin/core/tests/engine/takeover.rs"]
mod takeover;

use keeper::Keeper as Holder;

/// It is delivered with the options of when it is sent, if there are any.
const QUEUE_IS_FIXED: bool = false;

/// Of each random test: everything is encoded, checked and loaded again all the time.
const CASES: u32 = 16;
