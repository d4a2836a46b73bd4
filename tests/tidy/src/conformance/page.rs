//! Writes `docs/conformance.md`.

use std::fmt::Write;

use super::{Duty, FoundTest, Specification, Statement, catalogue, tests, tests_of};

/// Where the page is.
pub const PAGE: &str = "docs/conformance.md";

const TOP: &str = "# Conformance

Every normative statement of MQTT 3.1.1 and MQTT 5.0, and the tests that hold the broker to it. The
host `session` is meant; the rumqttd host keeps less (`docs/adr/0003-rumqttd-host.md`).

Written by `cargo run -p tidy --bin conformance` from the catalogues in `docs/conformance` and the doc
comments of tests. What a statement asks is said here in short and in our words; the OASIS standards
say it in full.

";

/// The page as it should be.
pub fn page() -> String {
    let tests = tests();
    let mut page = TOP.to_owned();
    page += "| specification | statements | tested | not applicable | not tested |\n";
    page += "|---|---|---|---|---|\n";
    for specification in Specification::ALL {
        summary(&mut page, specification, &tests);
    }
    for specification in Specification::ALL {
        write!(page, "\n## MQTT {}\n\n", specification.name()).unwrap();
        page += "| statement | what it asks | state |\n|---|---|---|\n";
        for statement in catalogue(specification) {
            let Statement { id, text, .. } = &statement;
            let state = state(specification, &statement, &tests);
            writeln!(page, "| {id} | {text} | {state} |").unwrap();
        }
    }
    page
}

fn summary(page: &mut String, specification: Specification, tests: &[FoundTest]) {
    let statements = catalogue(specification);
    let of_server: Vec<_> = statements.iter().filter(|s| s.duty == Duty::Server).collect();
    let is_tested = |s: &&&Statement| tests_of(tests, specification, s.id).next().is_some();
    let tested = of_server.iter().filter(is_tested).count();
    let (name, all, ours) = (specification.name(), statements.len(), of_server.len());
    let (other, missing) = (all - ours, ours - tested);
    writeln!(page, "| MQTT {name} | {all} | {tested} | {other} | {missing} |").unwrap();
}

fn state(specification: Specification, statement: &Statement, tests: &[FoundTest]) -> String {
    let links: Vec<_> = tests_of(tests, specification, statement.id).map(link).collect();
    let links = links.join(", ");
    let reason = match &statement.duty {
        Duty::Server if links.is_empty() => return "**NOT TESTED**".into(),
        Duty::Server => return format!("tested: {links}"),
        Duty::Client => "a duty of clients",
        Duty::Nobody(reason) => reason,
    };
    let see = if links.is_empty() { String::new() } else { format!("; but see {links}") };
    format!("not applicable: {reason}{see}")
}

fn link(test: &FoundTest) -> String {
    let file = test.file.file_name().unwrap_or_default().to_string_lossy();
    format!("[{file}::{}](../{})", test.name, test.file.display())
}
