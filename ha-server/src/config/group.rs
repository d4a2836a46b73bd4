//! The group of servers: who is in it, and what a majority of it promises.

use std::collections::BTreeSet;

use ha_node::{Durability, Failover, Member, NodeId};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;
use ha_shell::schema::{Endpoint, Kind};

use super::SECTION;

/// Servers of one group. Each publish waits for a majority, so that more make it slower, not safer.
pub const MEMBERS_MAX: usize = 9;

/// Bytes of the name of a cluster: it is in each request between servers.
const CLUSTER_BYTES_MAX: usize = 64;

/// What this server must know about its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Name of the cluster.
    pub cluster: String,
    /// This server.
    pub node: NodeId,
    /// What to do on an empty data directory. Later the group knows its members itself.
    pub begin: Begin,
    /// A server with a higher one takes over the lead.
    pub priority: u32,
    /// How soon a silent leader is replaced.
    pub failover: Failover,
    /// What an acknowledgement means.
    pub durability: Durability,
}

/// How a server with an empty data directory begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// As a group of one.
    Alone,
    /// As a group of these, this server among them.
    With(Vec<Member>),
    /// It waits until the leader of a group adds it.
    Join,
}

impl GroupConfig {
    pub(super) fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let cluster = settings.text(SECTION, "CLUSTER").trim().to_owned();
        if cluster.is_empty() || cluster.len() > CLUSTER_BYTES_MAX {
            let message = format!("expected a name of 1 to {CLUSTER_BYTES_MAX} bytes");
            return Err(settings.error_at(SECTION, "CLUSTER", message));
        }
        Ok(Self {
            cluster,
            node: NodeId(settings.integer(SECTION, "NODE_ID")),
            begin: begin(settings)?,
            priority: settings.integer(SECTION, "LEADER_PRIORITY"),
            failover: match settings.one_of(SECTION, "FAILOVER") {
                "FAST" => Failover::Fast,
                "WAN" => Failover::Wan,
                _ => Failover::Normal,
            },
            durability: match settings.one_of(SECTION, "DURABILITY") {
                "MEMORY" => Durability::Memory,
                _ => Durability::Fsync,
            },
        })
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let Begin::With(members) = &self.begin else { return Vec::new() };
        let count = members.len();
        let is_even = count.is_multiple_of(2);
        let warning = || {
            let fewer = count - 1;
            format!("MEMBERS has {count} servers: they survive no more losses than {fewer} would")
        };
        is_even.then(warning).into_iter().collect()
    }
}

fn begin(settings: &Settings) -> Result<Begin, ConfigError> {
    let text = settings.if_set(SECTION, "MEMBERS").map_or("", |value| value.text().trim());
    let joins = settings.flag(SECTION, "JOIN");
    if text.is_empty() {
        return Ok(if joins { Begin::Join } else { Begin::Alone });
    }
    if joins {
        let message = "MEMBERS is set: a server that joins learns them from the leader";
        return Err(settings.error_at(SECTION, "JOIN", message));
    }
    let members = members(text);
    let members = members.map_err(|wrong| settings.error_at(SECTION, "MEMBERS", wrong))?;
    let node = NodeId(settings.integer(SECTION, "NODE_ID"));
    if members.iter().all(|member| member.id != node) {
        let ids: Vec<_> = members.iter().map(|member| member.id.to_string()).collect();
        let message = format!("expected one of MEMBERS, which has {}", ids.join(", "));
        return Err(settings.error_at(SECTION, "NODE_ID", message));
    }
    Ok(Begin::With(members))
}

/// A list such as `1@ha1:2000, 2@ha2:2000`, or what is wrong with it.
fn members(text: &str) -> Result<Vec<Member>, String> {
    let members: Vec<_> =
        text.split(',').map(|part| member(part.trim())).collect::<Result<_, _>>()?;
    let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for Member { id, address } in &members {
        if !ids.insert(*id) {
            return Err(format!("server {id} is there twice"));
        }
        if !addresses.insert(address) {
            return Err(format!("{address} is there twice"));
        }
    }
    if members.len() > MEMBERS_MAX {
        return Err(format!("expected at most {MEMBERS_MAX} servers"));
    }
    Ok(members)
}

/// `ID@HOST:PORT`, or what is wrong with it.
pub(crate) fn member(text: &str) -> Result<Member, String> {
    let wrong = |what: &str| format!("{text:?}: expected ID@HOST:PORT, {what}");
    let (id, address) = text.split_once('@').ok_or_else(|| wrong("for example 1@ha1:2000"))?;
    let range = Kind::Integer { min: 1, max: u32::MAX.into() };
    let id = range.parse(id.trim()).map_err(|_| wrong("with a number above 0 before the @"))?;
    let parsed = Kind::AddressList.parse(address.trim());
    let parsed = parsed.map_err(|_| wrong("with a host name or IP address after the @"))?;
    match parsed.list() {
        [Endpoint { host, port: Some(port) }] => {
            let address = match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            };
            Ok(Member { id: NodeId(id.integer()), address })
        }
        _ => Err(wrong("with a port after the host")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::configured;
    use super::*;

    fn error(lines: &str) -> String {
        configured("x.conf", &format!("[HA_SERVER]\n{lines}")).unwrap_err()
    }

    fn group(lines: &str) -> GroupConfig {
        configured("x.conf", &format!("[HA_SERVER]\n{lines}")).unwrap().group
    }

    #[test]
    fn no_key_at_all_is_a_group_of_one() {
        let group = group("");
        assert_eq!((group.cluster.as_str(), group.node), ("mqtt-ha", NodeId(1)));
        assert_eq!((group.begin, group.priority), (Begin::Alone, 0));
        assert_eq!((group.failover, group.durability), (Failover::Normal, Durability::Fsync));
    }

    #[test]
    fn members_are_names_and_addresses_of_both_families() {
        let group = group("NODE_ID = 2\nMEMBERS = 1@ha1:2000 ,2@10.0.0.2:2000,3@[::1]:2001\n");
        let Begin::With(members) = group.begin else { panic!() };
        let addresses: Vec<_> = members.iter().map(|member| member.address.as_str()).collect();
        assert_eq!(addresses, ["ha1:2000", "10.0.0.2:2000", "[::1]:2001"]);
        assert_eq!(members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn wrong_lists_are_told_with_their_line() {
        for (list, told) in [
            ("1", "for example 1@ha1:2000"),
            ("0@a:1", "a number above 0"),
            ("1@a", "with a port"),
            ("1@a:0", "a host name or IP address"),
            ("1@a b:1", "a host name or IP address"),
            ("1@a:1,", "for example 1@ha1:2000"),
            ("1@a:1,1@b:1", "server 1 is there twice"),
            ("1@a:1,2@a:1", "a:1 is there twice"),
        ] {
            let error = error(&format!("MEMBERS = {list}\n"));
            assert!(error.starts_with("x.conf:2: MEMBERS = ") && error.contains(told), "{error}");
        }
        let list: Vec<_> = (1..=10).map(|id| format!("{id}@h{id}:1")).collect();
        assert!(error(&format!("MEMBERS = {}\n", list.join(","))).contains("at most 9"));
    }

    #[test]
    fn own_number_must_be_among_the_members() {
        let error = error("MEMBERS = 1@a:1, 2@b:1, 3@c:1\nNODE_ID = 4\n");
        assert_eq!(error, "x.conf:3: NODE_ID = 4: expected one of MEMBERS, which has 1, 2, 3");
    }

    #[test]
    fn server_joins_without_members_only() {
        assert_eq!(group("JOIN = YES\nNODE_ID = 4\n").begin, Begin::Join);
        let error = error("JOIN = YES\nMEMBERS = 1@a:1\n");
        assert!(error.starts_with("x.conf:2: JOIN = YES: MEMBERS is set"), "{error}");
    }

    #[test]
    fn even_number_of_members_is_a_warning() {
        let warnings = |list: &str| {
            let text = format!("[HA_SERVER]\nMEMBERS = {list}\n");
            configured("x.conf", &text).unwrap().warnings
        };
        assert_eq!(warnings("1@a:1, 2@b:1, 3@c:1"), Vec::<String>::new());
        assert_eq!(warnings("1@a:1, 2@b:1").len(), 1);
    }

    #[test]
    fn name_of_the_cluster_is_not_empty() {
        assert!(error("CLUSTER =\n").starts_with("x.conf:2: CLUSTER = : expected a name"));
    }
}
