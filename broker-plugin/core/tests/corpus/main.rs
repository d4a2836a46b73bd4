//! What fuzzing found worth keeping: the scripts of `fuzz/corpus/connection`, played by the fuzz
//! target's own code. That the target fits the engine is found here, without the tools it needs.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../../fuzz/fuzz_targets/connection/ledger.rs"]
mod ledger;
#[path = "../../../../fuzz/fuzz_targets/connection/play.rs"]
mod play;
#[path = "../../../../fuzz/fuzz_targets/connection/script.rs"]
mod script;
#[path = "../spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

use std::fs;
use std::path::Path;

use broker_core::holder::Holder;

#[test]
fn every_kept_script_is_played_without_a_finding() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/connection");
    let mut played = 0;
    for file in fs::read_dir(&corpus).unwrap() {
        let path = file.unwrap().path();
        // Shown when it fails.
        println!("{}", path.display());
        play::play(&fs::read(&path).unwrap(), |_| ());
        played += 1;
    }
    assert!(played > 100, "{} has {played} scripts", corpus.display());
}
