//! Every configuration key is in its sample file and in the README, with the default that it has.

use std::collections::BTreeMap;

use ha_shell::{
    ini,
    schema::{Key, Section},
};
use tidy::read;

const PROGRAMS: &[(&[Section], &str)] = &[
    (ha_server::config::SCHEMA, "conf/HAServer.conf"),
    (broker_plugin::config::SCHEMA, "conf/broker.conf"),
];

/// Section and key, in the writing of the schema, with what the document says is the default.
type Documented = BTreeMap<(String, String), String>;

fn declared(schema: &'static [Section]) -> Documented {
    let default = |key: &Key| key.default.unwrap_or_default().to_owned();
    let keys = |section: &'static Section| {
        section.keys.iter().map(|key| ((section.name.into(), key.name.into()), default(key)))
    };
    // A special case has the keys of its general section, and is documented with it.
    schema.iter().filter(|section| section.special_of.is_none()).flat_map(keys).collect()
}

/// The keys of a sample, also those that are commented out: `# KEY = value`.
fn sample(text: &str) -> Documented {
    let mut section = String::new();
    let mut keys = Documented::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, value)) = bare.split_once('=')
            && key.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            keys.insert((section.clone(), key.trim().to_owned()), value.trim().to_owned());
        }
    }
    keys
}

/// The rows of the tables that follow a line with `[SECTION]` in bold text: `| KEY | default | …`.
fn readme() -> Documented {
    let mut section = String::new();
    let mut keys = Documented::new();
    for line in read("README.md").lines() {
        let named =
            line.strip_prefix("**").and_then(|line| line.split_once("`[")?.1.split_once(']'));
        if let Some((name, _)) = named {
            section = name.to_owned();
        }
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let ["", key, default, help, ""] = cells[..]
            && line.starts_with("| `")
        {
            assert!(!help.is_empty(), "{key} has no explanation");
            keys.insert((section.clone(), key.to_owned()), default.to_owned());
        }
    }
    keys
}

#[test]
fn each_sample_has_every_key_with_its_default_and_no_other() {
    for &(schema, path) in PROGRAMS {
        assert_eq!(sample(&read(path)), declared(schema), "{path}");
    }
}

#[test]
fn the_readme_has_every_key_with_its_default_and_no_other() {
    let all = PROGRAMS.iter().flat_map(|&(schema, _)| declared(schema));
    assert_eq!(readme(), all.collect());
}

#[test]
fn each_sample_explains_each_key_in_the_line_above() {
    for &(_, path) in PROGRAMS {
        let text = read(path);
        let lines: Vec<_> = text.lines().collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            let is_key = sample(&format!("[S]\n{line}")).len() == 1 && !line.contains("MQTT_HA_");
            assert!(!is_key || above.starts_with("# "), "{path}: {line} is not explained");
        }
    }
}

#[test]
fn a_sample_with_every_key_switched_on_is_valid() {
    for &(schema, path) in PROGRAMS {
        let uncommented: Vec<_> = read(path)
            .lines()
            .map(|line| {
                let bare = line
                    .strip_prefix("# ")
                    .filter(|bare| !sample(&format!("[S]\n{bare}")).is_empty());
                // The only key without a default has to be given something.
                bare.map_or(line.to_owned(), |bare| bare.replace("NAME =", "NAME = broker-1"))
            })
            .collect();
        let document =
            ini::parse(path, uncommented.join("\n").as_bytes()).expect("it is valid INI");
        let keys = document.blocks.iter().map(|block| block.entries.len()).sum::<usize>();
        assert_eq!(keys, declared(schema).len(), "{path}");
    }
}
