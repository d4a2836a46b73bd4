//! What operators see of the programs: configuration errors, exit codes, status, health, metrics.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::{Command, Output};

use e2e::{
    Client, Cluster, Program, TemporaryFolder, Version, binary, get, run,
    wait::{self, LONG},
    without_our_environment,
};

/// Runs a program to its end in a folder that has this configuration file.
fn run_with(program: &str, file: &str, content: &[u8], arguments: &[&str]) -> Output {
    let folder = TemporaryFolder::new();
    folder.write(file, content);
    let mut command = without_our_environment(Command::new(binary(program)));
    run(command.current_dir(folder.path()).args(arguments))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Starting with the file and checking it must say the same, first `expected`, and exit with 2.
fn assert_bad(program: &str, content: impl AsRef<[u8]>, expected: &str) {
    for arguments in [["--config", "x.conf"], ["check-config", "x.conf"]] {
        let output = run_with(program, "x.conf", content.as_ref(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_key() {
    let expected = "x.conf:3: unknown key HA_prot in [HA_SERVER]; did you mean HA_port?\n";
    assert_bad("ha-server", "[HA_SERVER]\n\nHA_prot = 2000\n", expected);
    let expected = "x.conf:2: unknown key PORTNO in [CONFIG]; did you mean PORT_NO?\n";
    assert_bad("ha-broker", "[CONFIG]\r\nPORTNO = 1883", expected);
}

#[test]
fn a_port_of_99999_is_told_with_its_line() {
    let told = |key| format!("x.conf:2: {key} = 99999: expected a port between 1 and 65535\n");
    assert_bad("ha-server", "[HA_SERVER]\nHA_port = 99999\n", &told("HA_port"));
    assert_bad("ha-broker", "[CONFIG]\nPORT_NO = 99999\n", &told("PORT_NO"));
}

#[test]
fn a_missing_section_is_told() {
    assert_bad("ha-server", "", "x.conf:1: section [HA_SERVER] is missing\n");
    assert_bad("ha-broker", "[DISTRIBUTOR]\n", "x.conf:1: section [CONFIG] is missing\n");
}

#[test]
fn binary_garbage_is_told_with_its_line() {
    let garbage: Vec<u8> =
        (0..4096_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for program in ["ha-server", "ha-broker"] {
        assert_bad(program, &garbage, "x.conf:1: not text: byte 0x");
        assert_bad(program, b"# text\n\xff\xfe", "x.conf:2: not text: byte 0xff");
    }
}

#[test]
fn what_does_not_fit_together_is_told_with_its_line() {
    let expected = "x.conf:3: HEARTBEAT = 800ms: expected at most half of LEASE";
    assert_bad("ha-server", "[HA_SERVER]\nLEASE = 1s\nHEARTBEAT = 800ms\n", expected);
    let expected = "x.conf:2: HTTP_PORT = 1883: PORT_NO is the same\n";
    assert_bad("ha-broker", "[CONFIG]\nHTTP_PORT = 1883\n", expected);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let output = run_with("ha-server", "other", b"", &["--config", "x.conf"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("x.conf: cannot be read: "), "{}", stderr(&output));
}

#[test]
fn set_is_stronger_than_the_environment_and_that_than_the_file() {
    let settings = |environment: Option<&str>, arguments: &[&str]| {
        let folder = TemporaryFolder::new();
        folder.write("x.conf", "[CONFIG]\nNAME = file\n");
        let mut command = without_our_environment(Command::new(binary("ha-broker")));
        environment.map(|name| command.env("MQTT_HA_CONFIG__NAME", name));
        command.current_dir(folder.path()).args(arguments).args(["check-config", "x.conf"]);
        let output = run(&mut command);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let set = ["--set", "CONFIG.NAME=set"];
    assert!(settings(None, &[]).contains("[CONFIG] NAME = file (x.conf:2)\n"));
    assert!(settings(Some("env"), &[]).contains("[CONFIG] NAME = env (MQTT_HA_CONFIG__NAME)\n"));
    assert!(settings(Some("env"), &set).contains("[CONFIG] NAME = set (--set CONFIG.NAME)\n"));
}

#[test]
fn a_second_server_on_the_same_port_says_so_in_one_sentence() {
    let cluster = Cluster::start(1);
    let other = |key: &str, port: u16, http: u16, http_key: &str| {
        let folder = TemporaryFolder::new();
        let program = if key == "PORT_NO" { "ha-broker" } else { "ha-server" };
        let section = if key == "PORT_NO" { "CONFIG" } else { "HA_SERVER" };
        let mut command = without_our_environment(Command::new(binary(program)));
        command.current_dir(folder.path());
        for (name, value) in [
            ("BIND", "127.0.0.1".to_owned()),
            (key, port.to_string()),
            (http_key, http.to_string()),
        ] {
            command.arg(format!("--set={section}.{name}={value}"));
        }
        run(&mut command)
    };
    let spare = e2e::Port::free();
    for (key, port) in
        [("HA_port", &cluster.servers[0].port), ("PORT_NO", &cluster.brokers[0].port)]
    {
        let output = other(key, port.number(), spare.number(), "HTTP_PORT");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = format!(
            "127.0.0.1:{port} is in use: another server runs there; stop it or choose another {key}"
        );
        let errors = stderr(&output);
        let last = errors.lines().last().unwrap_or_default();
        assert!(last.ends_with(&told), "{errors}");
    }
}

#[test]
fn sigterm_and_sigint_end_both_programs_with_0_and_brokers_hear_a_goodbye() {
    for signal in ["TERM", "INT"] {
        let mut cluster = Cluster::start(1);
        cluster.servers[0].signal(signal);
        assert_eq!(cluster.servers[0].process().wait().code(), Some(0));
        cluster.brokers[0].wait_log("ha-server stops", LONG);
        cluster.brokers[0].signal(signal);
        assert_eq!(cluster.brokers[0].process().wait().code(), Some(0));
    }
}

#[test]
fn status_shows_each_broker_with_its_state_lease_age_and_rates() {
    let cluster = Cluster::start(2);
    let mut subscriber = Client::connect(cluster.port(1), Version::V5, "subscriber");
    subscriber.subscribe("t/#", 0);
    let mut publisher = Client::connect(cluster.port(0), Version::V5, "publisher");
    wait::until("rates", LONG, || {
        (0..50).for_each(|_| publisher.publish("t/1", "x", 1));
        let [first, second] = ["broker-1", "broker-2"].map(|name| cluster.status_of(name).unwrap());
        assert_eq!((&first["state"], &second["state"]), (&"attached".into(), &"attached".into()));
        assert!(first["lease_age_ms"].as_u64() < Some(1_000), "{first}");
        assert_eq!((&first["filters"], &second["filters"]), (&0.into(), &1.into()));
        (first["published_per_second"].as_f64() > Some(1.0)
            && second["delivered_per_second"].as_f64() > Some(1.0))
        .then_some(())
    });
    let address = cluster.servers[0].address();
    let output = run(Command::new(binary("ha-server")).args(["status", "--server", &address]));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("2 attached"), "{table}");
    for name in ["broker-1", "broker-2"] {
        let row = table.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(row.contains("attached") && row.contains("ms"), "{table}");
    }
}

#[test]
fn status_without_a_server_says_where_it_asked() {
    let spare = e2e::Port::free();
    let address = format!("127.0.0.1:{spare}");
    let output = run(Command::new(binary("ha-server")).args(["status", "--server", &address]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("no ha-server answers at {address}")), "{output:?}");
}

#[test]
fn metrics_count_what_clients_did() {
    let cluster = Cluster::start(2);
    let mut subscriber = Client::connect(cluster.port(1), Version::V5, "subscriber");
    subscriber.subscribe("t", 0);
    let mut publisher = Client::connect(cluster.port(0), Version::V5, "publisher");
    (0..10).for_each(|_| publisher.publish("t", "x", 1));
    (0..10).for_each(|_| drop(subscriber.receive(LONG).expect("a message")));
    let [first, second] = &cluster.brokers[..] else { panic!("two brokers") };
    wait::until("the first broker counts 10 messages and a client", LONG, || {
        let counted = [
            first.metric("ha_broker_received_messages_total"),
            first.metric("ha_broker_connections"),
        ];
        (counted == [Some(10.0), Some(1.0)]).then_some(())
    });
    wait::until("the second broker has sent 10 messages", LONG, || {
        (second.metric("ha_broker_sent_messages_total") == Some(10.0)).then_some(())
    });
    wait::until("ha-server counts them for each broker", LONG, || {
        let published =
            cluster.servers[0].metric(r#"ha_server_published_messages_total{broker="broker-1"}"#);
        let delivered =
            cluster.servers[0].metric(r#"ha_server_delivered_messages_total{broker="broker-2"}"#);
        ((published, delivered) == (Some(10.0), Some(10.0))).then_some(())
    });
    let (status, page) = get(first.http.number(), "/metrics").unwrap();
    assert!(status == 200 && page.ends_with("# EOF\n"), "{page}");
    assert_eq!(get(first.http.number(), "/livez").unwrap(), (200, "ok".to_owned()));
}

#[test]
fn with_distribution_disabled_a_broker_works_alone() {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("alone", folder.path());
    broker.start_ready();
    assert_eq!(broker.readyz().1["ready"], true);
    let mut subscriber = Client::connect(broker.port.number(), Version::V311, "subscriber");
    subscriber.subscribe("t", 2);
    let mut publisher = Client::connect(broker.port.number(), Version::V5, "publisher");
    publisher.publish("t", "x", 2);
    assert_eq!(subscriber.receive(LONG).expect("a message").qos, 2);
    publisher.retain("kept", "y", 1);
    let mut late = Client::connect(broker.port.number(), Version::V5, "late");
    late.subscribe("kept", 1);
    assert!(late.receive(LONG).expect("the retained message").retain);
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn a_broker_without_its_ha_server_is_not_ready_until_that_comes() {
    let folder = TemporaryFolder::new();
    let mut server = Program::server(folder.path());
    let mut broker = Program::broker_of(std::slice::from_ref(&server), "early", folder.path());
    broker.start();
    wait::until("the broker answers", LONG, || get(broker.http.number(), "/readyz").ok());
    let (status, report) = broker.readyz();
    assert_eq!((status, &report["ready"]), (503, &false.into()), "{report}");
    server.start_ready();
    broker.wait_ready();
    assert_eq!(broker.readyz().1["isolated"], false);
}

#[test]
fn the_older_spellings_and_config_json_make_a_cluster_and_are_noted_in_the_log() {
    let folder = TemporaryFolder::new();
    let mut server = Program::new("ha-server", "ha-server", folder.path());
    let json = format!(
        r#"{{"HA_port": {}, "HTTP_PORT": {}, "BIND": "127.0.0.1"}}"#,
        server.port, server.http
    );
    let json = folder.write("config.json", json);
    server.argument(&format!("--config={}", json.display()));
    server.start_ready();
    let mut broker = Program::new("ha-broker", "old", folder.path());
    let text = format!(
        "\u{feff}[config]\r\nport_no = {}\r\nhttp_port = {}\r\nbind = 127.0.0.1\r\n\r\n\
         [HASERVER]  \r\nHASERVER_ENABLED = ENABLED\r\nHASERVER_IP = 127.0.0.1\r\n\
         HASERVER_PORT = {}",
        broker.port, broker.http, server.port
    );
    let text = folder.write("old.conf", text);
    broker.argument(&format!("--config={}", text.display()));
    broker.start_ready();
    assert_eq!(broker.readyz().1["link"], "attached");
    assert!(broker.log().contains("old.conf:6: [HASERVER] is the older spelling of [DISTRIBUTOR]"));
    assert!(server.log().contains("JSON is the older form"));
}

#[test]
fn the_log_is_json_when_asked_for() {
    let folder = TemporaryFolder::new();
    let mut server = Program::server(folder.path());
    server.argument("--log-format=json");
    server.start_ready();
    let log = server.log();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
}
