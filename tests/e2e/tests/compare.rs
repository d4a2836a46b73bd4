//! `ha-compare` with this project's own broker: what it measures ends up on the page.

use std::fs;
use std::process::Command;

use e2e::{Port, TemporaryFolder, binary, run};

/// What one broker needs of the ports that are left to `ha-compare`.
fn two_in_a_row() -> [Port; 2] {
    loop {
        let (first, second) = (Port::free(), Port::free());
        if second.number() == first.number() + 1 {
            return [first, second];
        }
    }
}

#[test]
fn measurements_of_a_broker_come_into_the_marked_part_of_a_page() {
    let folder = TemporaryFolder::new();
    let (raw, page) = (folder.path().join("raw"), folder.path().join("page.md"));
    let plots = folder.path().join("plots");
    let compare = binary("ha-compare");
    let [first, _second] = two_in_a_row();
    let mut measuring = Command::new(&compare);
    measuring.args(["run", "--peers", "ours-alone", "--loads", "pairs-1,paced-1"]);
    measuring.args(["--rounds", "1", "--seconds", "1"]);
    measuring.arg("--programs").arg(compare.parent().unwrap()).arg("--raw").arg(&raw);
    measuring.args(["--first-port", &first.to_string()]);
    let output = run(&mut measuring);
    assert!(output.status.success(), "{output:?}");

    fs::write(&page, "above\n<!-- compare: begin -->\n<!-- compare: end -->\nbelow\n").unwrap();
    let mut writing = Command::new(&compare);
    writing.arg("page").arg("--raw").arg(&raw).arg("--page").arg(&page).arg("--plots").arg(&plots);
    let output = run(&mut writing);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("above\n") && text.ends_with("below\n"), "{text}");
    assert!(text.contains("| this project, a broker alone | ha-broker "), "{text}");
    assert!(!text.contains("could not be measured"), "{text}");
    assert!(plots.join("throughput-pairs-1.svg").exists(), "{text}");
}
