//! Rules of the layers, one sentence each: the two schemas and the sources that the tests give.

mod file;
mod settings;
mod sources;

use super::*;
use crate::schema::Required;

static SERVER: &[Section] = &[
    Section {
        name: "HA_SERVER",
        aliases: &[],
        required: Required::Yes,
        special_of: None,
        keys: &[
            Key::new("HA_port", Kind::Port, "Port for brokers")
                .default("2000")
                .json_default("8082"),
            Key::new("members", Kind::AddressList, "All servers"),
            Key::new("lease", Kind::Millis { min: 500, max: 60_000 }, "Lease").default("1s"),
        ],
    },
    Section {
        name: "LIMITS",
        aliases: &[],
        required: Required::No,
        special_of: None,
        keys: &[
            Key::new("max-packet", Kind::Bytes { min: 1, max: 16 << 20 }, "Packet").default("1M"),
            Key::new("brokers", Kind::Integer { min: 1, max: 256 }, "Brokers").default("16"),
        ],
    },
];

static BROKER: &[Section] = &[
    Section {
        name: "DISTRIBUTOR",
        aliases: &["HASERVER"],
        required: Required::No,
        special_of: None,
        keys: &[
            Key::new("DISTRIBUTION_ENABLED", Kind::Flag, "Whether to join a cluster")
                .default("NO")
                .aliases(&["HASERVER_ENABLED"]),
            Key::new("DISTRIBUTION_PORT", Kind::Port, "Port of the servers")
                .default("2000")
                .aliases(&["HASERVER_PORT"]),
        ],
    },
    Section {
        name: "CONFIG",
        aliases: &[],
        required: Required::No,
        special_of: None,
        keys: &[
            Key::new("PORT_NO", Kind::Port, "Port for clients").default("1883"),
            Key::new("ISOLATED", Kind::OneOf(&["SERVE", "CLOSE"]), "When isolated")
                .default("SERVE"),
            Key::new("BIND", Kind::Address, "Address to listen on").default("0.0.0.0"),
            Key::new("DATA", Kind::Path, "Directory").default("data"),
            Key::new("BANNER", Kind::Text, "Any text").default(""),
            Key::new("TOKEN", Kind::Secret, "Password of the cluster"),
        ],
    },
];

#[derive(Default)]
struct Given<'a> {
    file: Option<(&'a str, &'a str)>,
    environment: &'a [(&'a str, &'a str)],
    set: &'a [&'a str],
}

impl Given<'_> {
    fn load(&self, schema: &'static [Section]) -> Result<Settings, ConfigError> {
        let variable = |&(name, value): &(&str, &str)| (name.into(), value.into());
        let file =
            self.file.map(|(name, text)| ConfigFile { name: name.into(), bytes: text.into() });
        let environment: Vec<(OsString, OsString)> =
            self.environment.iter().map(variable).collect();
        let set = self.set.iter().map(ToString::to_string).collect();
        load(schema, Sources { file, environment, set })
    }

    fn error(&self, schema: &'static [Section]) -> String {
        self.load(schema).unwrap_err().to_string()
    }
}

fn server(text: &str) -> Given<'_> {
    Given { file: Some(("conf/HAServer.conf", text)), ..Given::default() }
}

fn broker(text: &str) -> Given<'_> {
    Given { file: Some(("conf/broker.conf", text)), ..Given::default() }
}

fn json(text: &str) -> Given<'_> {
    Given { file: Some(("config.json", text)), ..Given::default() }
}

fn environment<'a>(environment: &'a [(&'a str, &'a str)]) -> Given<'a> {
    Given { environment, ..Given::default() }
}

fn set<'a>(set: &'a [&'a str]) -> Given<'a> {
    Given { set, ..Given::default() }
}
