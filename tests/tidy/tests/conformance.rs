//! The conformance page is true, as far as what tests say of themselves is.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;

use tidy::conformance::{
    Citation, Duty, PAGE, Specification, Statement, StatementId, catalogue, cited, comments, page,
    tests, tests_in, tests_of,
};
use tidy::{files, read};

const V311: Specification = Specification::V311;
const V5: Specification = Specification::V5;

fn citation(specification: Specification, id: &str) -> Citation {
    Citation { specification, id: StatementId::parse(id).unwrap() }
}

#[test]
fn the_page_is_what_the_generator_writes() {
    assert!(read(PAGE) == page(), "{PAGE} is old: cargo run -p tidy --bin conformance");
}

#[test]
fn every_statement_that_obliges_a_server_is_tested() {
    let tests = tests();
    let mut missing = Vec::new();
    for specification in Specification::ALL {
        let statements = catalogue(specification).into_iter();
        for Statement { id, text, .. } in statements.filter(|s| s.duty == Duty::Server) {
            if tests_of(&tests, specification, id).next().is_none() {
                missing.push(format!("{} [{id}] {text}", specification.name()));
            }
        }
    }
    assert!(missing.is_empty(), "no test names\n{}", missing.join("\n"));
}

/// As many as Appendix B of each standard has.
#[test]
fn the_catalogues_are_complete_and_in_order() {
    for (specification, count) in [(V311, 141), (V5, 251)] {
        let ids: Vec<_> = catalogue(specification).iter().map(|statement| statement.id).collect();
        assert_eq!(ids.len(), count, "{}", specification.name());
        assert!(ids.is_sorted_by(|a, b| a < b), "{}", specification.name());
    }
}

#[test]
fn what_a_statement_asks_is_said_in_a_hundred_characters() {
    for Statement { id, text, .. } in Specification::ALL.into_iter().flat_map(catalogue) {
        assert!((1..=100).contains(&text.chars().count()), "{id}: {text}");
    }
}

/// The names in a comment that no catalogue has.
fn unknown(comment: &str, default: Specification) -> Vec<String> {
    let is_unknown = |&Citation { specification, id }: &Citation| {
        catalogue(specification).iter().all(|statement| statement.id != id)
    };
    match cited(comment, default) {
        Ok(citations) => {
            let unknown = citations.into_iter().filter(is_unknown);
            unknown.map(|c| format!("{} [{}]", c.specification.name(), c.id)).collect()
        }
        Err(number) => vec![format!("[MQTT-{number}]")],
    }
}

#[test]
fn comments_name_statements_that_exist() {
    let mut wrong = Vec::new();
    for path in files() {
        let is_source = path.extension().is_some_and(|ending| ending == "rs");
        if !is_source || path.starts_with("tests/tidy") {
            continue;
        }
        for (line, comment) in comments(&read(&path)) {
            let unknown = unknown(&comment, Specification::of_file(&path));
            wrong.extend(unknown.iter().map(|id| format!("{}:{line}: {id}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "these do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn name_that_no_catalogue_has_is_unknown() {
    assert_eq!(unknown("[MQTT-2.2.1-1], [MQTT-2.2.1-2]", V5), ["5.0 [MQTT-2.2.1-1]"]);
    assert_eq!(unknown("3.1.1 [MQTT-3.1.2-30]", V5), ["3.1.1 [MQTT-3.1.2-30]"]);
    assert_eq!(unknown("[MQTT-2.1.2]", V5), ["[MQTT-2.1.2]"]);
}

#[test]
fn number_is_read_in_the_forms_of_the_standards_only() {
    let id = StatementId { section: [3, 8, 3], number: 4 };
    assert_eq!(StatementId::parse("MQTT-3.8.3-4"), Some(id));
    assert_eq!(StatementId::parse("MQTT-3-8.3-4"), Some(id));
    assert_eq!(id.to_string(), "MQTT-3.8.3-4");
    for other in ["MQTT-3.8-4", "MQTT-3.8.3.4", "3.8.3-4", "MQTT-3.8.3-", "MQTT-3.8.3-4.1"] {
        assert_eq!(StatementId::parse(other), None, "{other}");
    }
}

#[test]
fn specification_holds_for_a_list_and_no_further() {
    let comment = "[MQTT-2.1.3-1], 3.1.1 [MQTT-2.2.2-1], [MQTT-2.2.2-2]; [MQTT-3.6.1-1]";
    let expected = [
        citation(V5, "MQTT-2.1.3-1"),
        citation(V311, "MQTT-2.2.2-1"),
        citation(V311, "MQTT-2.2.2-2"),
        citation(V5, "MQTT-3.6.1-1"),
    ];
    assert_eq!(cited(comment, V5), Ok(expected.to_vec()));
    assert_eq!(cited("5.0 [MQTT-1.5.5-1]", V311), Ok(vec![citation(V5, "MQTT-1.5.5-1")]));
    let section = "3.1.1 §3.2.2.3, [MQTT-3.2.2-6]";
    assert_eq!(cited(section, V5), Ok(vec![citation(V5, "MQTT-3.2.2-6")]));
}

#[test]
fn range_names_all_between() {
    let range = cited("3.1.1 [MQTT-3.1.2-13] to [MQTT-3.1.2-15]", V5).unwrap();
    let ids = ["MQTT-3.1.2-13", "MQTT-3.1.2-14", "MQTT-3.1.2-15"];
    assert_eq!(range, ids.map(|id| citation(V311, id)));
}

#[test]
fn number_of_another_form_is_told() {
    assert_eq!(cited("[MQTT-2.1.2]", V5), Err("2.1.2".into()));
    assert_eq!(cited("[MQTT-2.1.2-1", V5), Err("2.1.2-1".into()));
}

#[test]
fn comment_of_several_lines_is_one() {
    let found = comments("a\n  /// 3.1.1\n  /// [x]\n\n// b\nc // d\n");
    assert_eq!(found, [(2, "3.1.1 [x]".into()), (5, "b".into())]);
}

const SOURCE: &str = "
/// [MQTT-3.1.2-1]
fn no_test() {}

/// [MQTT-3.1.2-2]
#[test]
#[should_panic(
    expected = \"x\"
)]
fn plain() {

    /// [MQTT-3.1.2-3],
    /// [MQTT-3.1.2-4]
    #[tokio::test(start_paused = true)]
    async fn waits() {

    #[test]
    fn says_nothing() {

/// [MQTT-3.1.2-5]
#[test]
#[ignore]
fn never_runs() {

proptest! {
    #[test]
    /// [MQTT-3.1.2-6]
    fn any(bytes in vec(any::<u8>(), 0..256)) {
";

#[test]
fn tests_are_functions_that_run_and_say_what_they_test() {
    let found = tests_in(Path::new("a/spec_mqtt3/b.rs"), SOURCE);
    let named = |name: &str| {
        let citations = found.iter().filter(|test| test.name == name);
        citations.flat_map(|test| test.citations.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found.len(), 3);
    assert_eq!(named("plain"), [citation(V311, "MQTT-3.1.2-2")]);
    let both = [citation(V311, "MQTT-3.1.2-3"), citation(V311, "MQTT-3.1.2-4")];
    assert_eq!(named("waits"), both);
    assert_eq!(named("any"), [citation(V311, "MQTT-3.1.2-6")]);
    let elsewhere = tests_in(Path::new("a/spec_mqtt5.rs"), SOURCE);
    assert_eq!(elsewhere[0].citations, [citation(V5, "MQTT-3.1.2-2")]);
}
