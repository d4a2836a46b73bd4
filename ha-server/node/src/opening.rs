//! Opens the files of a node, and decides what it may do with what they hold.
//!
//! What is damaged is moved aside where others can give it back; a lone node does not start.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use ha_proto::raft::{Applied, Recovering, StoredMembership};

use crate::config::Config;
use crate::error::StartError;
use crate::identity;
use crate::log::Log;
use crate::machine::Machine;
use crate::recovery::{Marker, Standing, membership_of};
use crate::replica::{self, Replica};
use crate::store::Store;

/// The open files of a node.
pub(crate) struct Opened<M: Machine> {
    pub(crate) log: Log,
    pub(crate) replica: Replica<M>,
    pub(crate) nudged: Receiver<()>,
    /// Where unfinished snapshots lie. Empty.
    pub(crate) incoming: PathBuf,
    pub(crate) standing: Standing,
    /// Who belonged to the group when records were lost.
    pub(crate) noted: StoredMembership,
    pub(crate) marker: Marker,
    /// Closed last: until then the directory is ours.
    pub(crate) lock: File,
}

/// Log and store that fit each other, and up to where the machine is loaded.
struct Records {
    log: Log,
    store: Store,
    applied: Applied,
    standing: Standing,
}

/// Opens everything in the directory of `config`.
pub(crate) fn open<M: Machine>(config: &Config, mut machine: M) -> Result<Opened<M>, StartError> {
    let io = |source| StartError::Io { path: config.directory.clone(), source };
    let lock = identity::claim(config)?;
    let marker = Marker::in_directory(&config.directory);
    marker.finish_set_aside().map_err(io)?;
    let mut recovering = marker.read().map_err(io)?;
    let opened = match records(config, &mut machine) {
        Err(damage) if damage.is_damage() => {
            recovering = Some(leave_behind(config, &marker, recovering, damage)?);
            records(config, &mut machine)
        }
        opened => opened,
    };
    let Records { log, store, applied, mut standing } = opened?;
    let mut noted = membership_of(&config.members);
    if let Some(recovering) = recovering {
        standing = Standing::Asking;
        noted = recovering.membership.unwrap_or(noted);
    }
    let (replica, nudged) =
        Replica::new(store, (machine, &applied), log.synced(), config.limits.save_bytes);
    let incoming = config.directory.join("incoming");
    empty(&incoming).map_err(io)?;
    Ok(Opened { log, replica, nudged, incoming, standing, noted, marker, lock })
}

fn empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    }
}

fn records(config: &Config, machine: &mut impl Machine) -> Result<Records, StartError> {
    let [logs, stores] = ["log", "store"].map(|name| config.directory.join(name));
    let log_is_there = logs.exists();
    for dir in [&logs, &stores] {
        let io = |source| StartError::Io { path: dir.clone(), source };
        fs::create_dir_all(dir).map_err(io)?;
    }
    let log = Log::open(&logs, config.durability, config.limits.log_file_bytes)?;
    let store = Store::open(&stores)?;
    let applied = replica::load(machine, &store)?;
    // The log of a lone node may be taken away on purpose, as the last way to start it.
    let without_log = !log_is_there && others(config, applied.membership.as_ref()).is_none();
    if let Some(reason) = gap(&log, &applied).filter(|_| !without_log) {
        return Err(StartError::Gap { path: config.directory.clone(), reason });
    }
    let state = log.state();
    let nothing = state.vote.is_none() && state.last.is_none() && applied.last.is_none();
    let founding = nothing && config.members.len() > 1;
    let standing = if founding { Standing::Founding } else { Standing::Member };
    Ok(Records { log, store, applied, standing })
}

/// What is missing between store and log. Each alone may be intact and yet not what it was.
fn gap(log: &Log, applied: &Applied) -> Option<String> {
    let state = log.state();
    let stored = replica::last_of(applied).map(|at| at.index);
    let last = state.last.max(state.purged).map(|at| at.index);
    if applied.logged > last {
        let logged = applied.logged.unwrap_or_default();
        return Some(match last {
            Some(last) => format!("the log ends at entry {last}, but was written up to {logged}"),
            None => format!("the log is empty, but was written up to entry {logged}"),
        });
    }
    let purged = state.purged.map(|at| at.index);
    (purged > stored).then(|| {
        let upto = purged.unwrap_or_default();
        let stored = stored.map_or("nothing".to_owned(), |stored| format!("entry {stored}"));
        format!("the log begins behind entry {upto}, but the store has {stored}")
    })
}

/// The membership that is known, when others belong to it: the stored one, or the first members.
fn others(config: &Config, stored: Option<&StoredMembership>) -> Option<StoredMembership> {
    let known = |it: &&StoredMembership| {
        it.membership.as_ref().is_some_and(|membership| !membership.configs.is_empty())
    };
    let membership = stored.filter(known).cloned();
    let membership = membership.unwrap_or_else(|| membership_of(&config.members));
    let members = membership.membership.as_ref().map(|it| &it.members);
    let alone = members.is_none_or(|members| members.iter().all(|it| it.id == config.node.0));
    (!alone).then_some(membership)
}

/// Notes that this node recovers, and moves what it has out of the way.
fn leave_behind(
    config: &Config,
    marker: &Marker,
    before: Option<Recovering>,
    damage: StartError,
) -> Result<Recovering, StartError> {
    let path = config.directory.clone();
    let reason = chain(&damage);
    if let Some(before) = before {
        tracing::error!(reason, "what was gathered while recovering is damaged; from the start");
        marker.discard().map_err(|source| StartError::Io { path, source })?;
        return Ok(before);
    }
    let Some(membership) = others(config, stored_membership(&config.directory).as_ref()) else {
        return Err(StartError::Lost { path, source: Box::new(damage) });
    };
    tracing::error!(
        reason,
        kept = %path.join("damaged").display(),
        "records are lost; the node recovers from the others and does not vote until it has"
    );
    let noted = Recovering { reason, membership: Some(membership) };
    let moved = marker.write(&noted).and_then(|()| marker.set_aside());
    moved.map_err(|source| StartError::Io { path, source })?;
    Ok(noted)
}

/// What the store says, when it can be read although something is damaged.
fn stored_membership(dir: &Path) -> Option<StoredMembership> {
    let path = dir.join("store");
    // Opening would make it.
    let store = path.exists().then(|| Store::open(&path).ok())??;
    store.image().ok()?.applied.membership
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
