//! What a server refuses to start with.

use ha_member::FeatureLevel;
use ha_proto::peers::RaftRequest;
use ha_proto::peers::peers_client::PeersClient;
use tempfile::TempDir;
use tonic::Code;

use crate::server::{Server, stderr, until};

fn assert_refused(server: &Server, code: i32, sentence: &str) {
    let output = server.run();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
}

#[test]
fn data_of_another_cluster_or_number_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::new(1, &folder);
    server.start();
    server.knows_leader(|leader| leader == 1);
    server.stop();
    server.set("CLUSTER", "other");
    let told = "belongs to another node: it has cluster = \"mqtt-ha\", we have cluster = \"other\"";
    assert_refused(&server, 1, told);
    server.set("CLUSTER", "mqtt-ha");
    server.set("NODE_ID", "2");
    assert_refused(&server, 1, "it has node = 1, we have node = 2");
}

#[test]
fn members_without_this_server_are_refused() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::new(4, &folder);
    server.set("MEMBERS", "1@a:1, 2@b:1, 3@c:1");
    assert_refused(&server, 2, "NODE_ID=4: expected one of MEMBERS, which has 1, 2, 3");
}

/// Or a server that is too old would leave out what it does not understand.
#[tokio::test]
async fn request_of_a_group_that_uses_more_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::new(1, &folder);
    server.start();
    server.knows_leader(|leader| leader == 1);
    let mut peers = PeersClient::connect(format!("http://{}", server.address())).await.unwrap();
    let mut send = async |feature_level: u32| {
        let request = RaftRequest { feature_level, ..RaftRequest::default() };
        peers.send(request).await.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(send(FeatureLevel::NEWEST.0).await, Ok(()));
    assert_eq!(send(FeatureLevel::NEWEST.0 + 1).await, Err(Code::FailedPrecondition));
}

/// Both believe that the other one belongs to their group; neither begins one with it.
#[test]
fn servers_of_different_clusters_do_not_begin_a_group() {
    let folder = TempDir::new().unwrap();
    let mut servers = [Server::new(1, &folder), Server::new(2, &folder)];
    let members: Vec<_> =
        servers.iter().map(|server| format!("{}@{}", server.id, server.address())).collect();
    for (server, cluster) in servers.iter_mut().zip(["one", "two"]) {
        server.set("MEMBERS", &members.join(","));
        server.set("CLUSTER", cluster);
        server.start();
    }
    let [one, two] = &mut servers;
    for server in [&*one, &*two] {
        until("it says what it knows", || server.group());
        assert!(server.group().unwrap()["leader"].is_null());
    }
    two.kill();
    two.set("DATA_DIR", folder.path().join("2-again").to_str().unwrap());
    two.set("CLUSTER", "one");
    two.start();
    one.knows_leader(|_| true);
}
