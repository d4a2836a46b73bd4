//! A whole broker without sockets, and clients that do anything: any bytes, as a script of what
//! they do and how much time passes.
//!
//! `script.rs` reads the script, `play.rs` plays it, `ledger.rs` holds what each client is sent to
//! what it has sent. The broker is that of the tests of `broker-core`, which checks every packet by
//! itself. A rule that is broken is a panic. `FUZZ_SCRIPT=1` prints each step before it is played.

#![no_main]

#[path = "../../../broker-plugin/core/tests/spec/mod.rs"]
#[expect(dead_code, reason = "the tests need the rest")]
mod spec;

mod ledger;
mod play;
mod script;

use broker_core::holder::Holder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let prints = std::env::var_os("FUZZ_SCRIPT").is_some();
    play::play(bytes, |step| {
        if prints {
            eprintln!("{step:#?}");
        }
    });
});
