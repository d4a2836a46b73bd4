//! A lone node that proposes without end, and prints the key of each command that was answered.
//!
//! `cargo run -p ha-node --example lone -- directory first-key fsync|memory`. Made to be killed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]
#![expect(dead_code, reason = "it shares the machine of the tests, which use more of it")]

#[path = "../tests/node/key_values.rs"]
mod key_values;
#[path = "../tests/forgetful/lone.rs"]
mod lone;

use std::collections::VecDeque;
use std::env;

use ha_node::Durability;
use key_values::put;

/// Commands on their way at once.
const OUTSTANDING: usize = 16;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let [directory, first, durability] = [(); 3].map(|()| arguments.next().unwrap());
    let durability = if durability == "memory" { Durability::Memory } else { Durability::Fsync };
    let first: u64 = first.parse().unwrap();
    let node = lone::start(directory.as_ref(), durability).await;
    let mut waiting = VecDeque::new();
    for key in first.. {
        waiting.push_back((key, node.submit(put(&key.to_string(), &[7; 100])).await.unwrap()));
        if waiting.len() == OUTSTANDING {
            let (key, answer) = waiting.pop_front().unwrap();
            answer.await.unwrap();
            println!("{key}");
        }
    }
}
