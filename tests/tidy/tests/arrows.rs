//! Who may depend on whom. A new arrow needs an ADR and a line here.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidy::packages;

/// Each crate of the product with the workspace crates that it may name, tests included.
const ARROWS: &[(&str, &[&str])] = &[
    ("ha-types", &[]),
    (FOREIGN, &[]),
    ("ha-shell", &[FOREIGN]),
    ("ha-proto", &["ha-types"]),
    ("ha-core", &["ha-types"]),
    ("ha-node", &[FOREIGN, "ha-types", "ha-proto", FOR_TESTS]),
    ("ha-member", &["ha-types", "ha-core", "ha-node"]),
    (FOR_TESTS, &[]),
    ("broker-core", &["ha-types"]),
    ("rumqttd-host", &["ha-types", "broker-core"]),
    ("broker-listen", &[]),
    ("broker-auth", &["ha-types", "broker-core"]),
    ("session-host", &["ha-types", "broker-core"]),
    (
        "ha-server",
        &["ha-types", FOREIGN, "ha-shell", "ha-proto", "ha-core", "ha-node", "ha-member"],
    ),
    (
        "broker-plugin",
        &[
            "ha-types",
            FOREIGN,
            "ha-shell",
            "ha-proto",
            "ha-member",
            "broker-core",
            "broker-auth",
            "broker-listen",
            "rumqttd-host",
            "session-host",
        ],
    ),
];

/// What tests of the product and observers use, and no program of the product contains.
const FOR_TESTS: &str = "faulty-disk";

/// The one crate with lints of its own: the workspace's forbid unsafe code, and it calls a C interface.
const FOREIGN: &str = "ha-heap";

/// Crates that run or measure the product. Only other observers may depend on [`SHARED`], and nothing
/// on the rest.
const OBSERVERS: &[&str] = &[
    "bench-compare",
    "bench-core",
    "bench-guard",
    "bench-load",
    "bench-wire",
    "chaos",
    "e2e",
    "history",
    "sim",
    "tidy",
];

/// What observers hand their observations to, and what they measure in more than one way.
const SHARED: &[&str] = &["history", "bench-core", "bench-wire"];

/// What decides has no other dependency: no runtime, no network, no clock, no log.
const PURE: &[(&str, &[&str])] = &[
    ("ha-types", &["bytes", "thiserror"]),
    ("ha-core", &["bytes", "thiserror"]),
    ("broker-core", &["bytes", "thiserror"]),
];

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Workspace,
    External,
}

/// The names of a package's dependencies; with `tests` also those for its tests and its build.
fn dependencies(package: &Value, kind: Kind, tests: bool) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let wanted = all.filter(|dependency| {
        let found = if dependency["path"].is_null() { Kind::External } else { Kind::Workspace };
        found == kind && (tests || dependency["kind"].is_null())
    });
    wanted.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

fn by_name() -> BTreeMap<String, Value> {
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    packages().into_iter().map(|package| (name(&package), package)).collect()
}

#[test]
fn every_crate_has_its_place_in_the_table() {
    let known = ARROWS.iter().map(|&(name, _)| name).chain(OBSERVERS.iter().copied());
    let known: BTreeSet<_> = known.map(str::to_owned).collect();
    let found: BTreeSet<_> = by_name().into_keys().collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "say in tests/tidy what these may depend on: {unknown:?}");
}

#[test]
fn arrows_point_one_way() {
    let packages = by_name();
    for &(name, allowed) in ARROWS {
        let found = dependencies(&packages[name], Kind::Workspace, true);
        let wrong: Vec<_> =
            found.iter().filter(|found| !allowed.contains(&found.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

#[test]
fn nothing_depends_on_what_only_observes() {
    for (name, package) in by_name() {
        let found = dependencies(&package, Kind::Workspace, true);
        let may_ask = OBSERVERS.contains(&name.as_str());
        let is_wrong = |found: &&String| {
            OBSERVERS.contains(&found.as_str()) && !(may_ask && SHARED.contains(&found.as_str()))
        };
        let wrong: Vec<_> = found.iter().filter(is_wrong).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

#[test]
fn nothing_of_the_product_contains_what_is_for_its_tests() {
    let packages = by_name();
    for &(name, _) in ARROWS {
        let found = dependencies(&packages[name], Kind::Workspace, false);
        assert!(!found.contains(FOR_TESTS), "{name} must not depend on {FOR_TESTS}");
    }
}

#[test]
fn what_decides_depends_on_nothing_that_waits() {
    let packages = by_name();
    for &(name, allowed) in PURE {
        let found = dependencies(&packages[name], Kind::External, false);
        let wrong: Vec<_> =
            found.iter().filter(|found| !allowed.contains(&found.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

#[test]
fn only_the_rumqttd_host_names_rumqttd() {
    let packages = by_name();
    let naming = packages
        .iter()
        .filter(|(_, package)| dependencies(package, Kind::External, true).contains("rumqttd"));
    assert_eq!(naming.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["rumqttd-host"]);
}

#[test]
fn every_crate_takes_lints_and_licence_from_the_workspace() {
    for (name, package) in by_name() {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        let workspace = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(workspace, name != FOREIGN, "{name}: [lints] of the workspace");
        assert!(manifest.contains("license.workspace = true"), "{name} has no licence");
        assert_eq!(package["publish"], serde_json::json!([]), "{name} would be published");
    }
}
