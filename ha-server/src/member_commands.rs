//! `ha-server member` and `ha-server leader`: ask a running ha-server, which hands what changes
//! something to the leader.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::NOTHING};
use ha_node::Member;
use ha_proto::v1::change_members_request::Change;
use ha_proto::v1::{
    AddMember, ChangeMembersRequest, MemberStatus, MembersRequest, MembersResponse, PromoteMembers,
    RemoveMembers, TransferLeaderRequest,
};
use ha_shell::program::print;
use serde_json::{Value, json};

use crate::cli::OutputForm;
use crate::config;
use crate::status::{StatusError, client};

/// How long a change may take: a new member copies the whole state.
const CHANGE_MAX: Duration = Duration::from_secs(660);

/// Whom to ask, and how to print.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Any server of the group
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2000")]
    server: String,
    /// How to print the members
    #[arg(long, value_enum, default_value_t = OutputForm::Table)]
    output: OutputForm,
}

/// `ha-server member …`
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Shows the members of the group.
    List {
        #[command(flatten)]
        asked: Asked,
    },
    /// Adds a running server without a vote and waits until it has the state; or says a new address.
    ///
    /// The new server must have been started with JOIN = YES and an empty data directory.
    Add {
        /// Its NODE_ID and where the others reach it.
        #[arg(value_name = "ID@HOST:PORT", value_parser = config::member)]
        member: Member,
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives a vote to members that have the state.
    ///
    /// The number of votes stays odd: promote two at a time, or replace another member.
    Promote {
        /// Their numbers.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        /// Members that leave in the same step, in their place
        #[arg(long, value_name = "ID", num_args = 1..)]
        replace: Vec<u64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Removes members; stop their servers afterwards, their numbers are never used again.
    Remove {
        /// Their numbers.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// `ha-server leader …`
#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Shows who leads.
    Show {
        #[command(flatten)]
        asked: Asked,
    },
    /// Hands the lead to another member, at once.
    Transfer {
        /// To whom; otherwise to the one with the highest LEADER_PRIORITY.
        #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
        to: Option<u64>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Why a command did nothing, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Connect(#[from] StatusError),
    /// The sentence of the server.
    #[error("{0}")]
    Refused(String),
    #[error("no leader is known")]
    NoLeader,
}

pub(crate) fn refused(status: &tonic::Status) -> CommandError {
    let unknown = status.code() == tonic::Code::Unimplemented;
    let older = "this ha-server is of a version that does not have this".to_owned();
    CommandError::Refused(if unknown { older } else { status.message().to_owned() })
}

pub(crate) async fn member(command: MemberCommand) -> Result<(), CommandError> {
    let (change, asked) = match command {
        MemberCommand::List { asked } => {
            show(&fetch(&asked).await?, asked.output);
            return Ok(());
        }
        MemberCommand::Add { member: Member { id, address }, asked } => {
            (Change::Add(AddMember { id: id.0, address }), asked)
        }
        MemberCommand::Promote { ids, replace, asked } => {
            (Change::Promote(PromoteMembers { ids, replaced: replace }), asked)
        }
        MemberCommand::Remove { ids, asked } => (Change::Remove(RemoveMembers { ids }), asked),
    };
    let request = ChangeMembersRequest { change: Some(change), forwarded: false };
    let changed = client(&asked.server, CHANGE_MAX).await?.change_members(request).await;
    show(&changed.map_err(|status| refused(&status))?.into_inner(), asked.output);
    Ok(())
}

pub(crate) async fn leader(command: LeaderCommand) -> Result<(), CommandError> {
    match command {
        LeaderCommand::Show { asked } => {
            let group = fetch(&asked).await?;
            let leads = |member: &&MemberStatus| member.id == group.leader;
            let leader = group.members.iter().find(leads).ok_or(CommandError::NoLeader)?;
            match asked.output {
                OutputForm::Table => print(&format!("server {} at {}", leader.id, leader.address)),
                OutputForm::Json => print(&format!("{:#}", member_json(leader, &group))),
            }
        }
        LeaderCommand::Transfer { to, asked } => {
            let request = TransferLeaderRequest { to: to.unwrap_or(0), forwarded: false };
            let moved = client(&asked.server, CHANGE_MAX).await?.transfer_leader(request).await;
            show(&moved.map_err(|status| refused(&status))?.into_inner(), asked.output);
        }
    }
    Ok(())
}

async fn fetch(asked: &Asked) -> Result<MembersResponse, CommandError> {
    let members = client(&asked.server, CHANGE_MAX).await?.members(MembersRequest {}).await;
    Ok(members.map_err(|status| refused(&status))?.into_inner())
}

fn show(group: &MembersResponse, output: OutputForm) {
    match output {
        OutputForm::Table => print(table(group).trim_end()),
        OutputForm::Json => print(&format!("{:#}", json(group))),
    }
}

fn role(member: &MemberStatus, group: &MembersResponse) -> &'static str {
    match member.votes {
        _ if member.id == group.leader => "leader",
        true => "voter",
        false => "learner",
    }
}

fn state(member: &MemberStatus) -> String {
    match &member.said {
        None => "silent".to_owned(),
        Some(said) if said.fault.is_empty() => "runs".to_owned(),
        Some(said) => format!("stopped: {}", said.fault),
    }
}

/// Entries that the leader has applied and this member has not; `None`: one of them does not answer.
fn behind(member: &MemberStatus, group: &MembersResponse) -> Option<u64> {
    let leader = group.members.iter().find(|member| member.id == group.leader)?;
    Some(leader.said.as_ref()?.applied.saturating_sub(member.said.as_ref()?.applied))
}

/// The members, a line for each.
pub(crate) fn table(group: &MembersResponse) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["SERVER", "ROLE", "STATE", "APPLIED", "BEHIND", "PRIORITY", "ADDRESS"]);
    for member in &group.members {
        let said = |what: fn(&ha_proto::v1::NodeResponse) -> u64| {
            member.said.as_ref().map_or("-".to_owned(), |said| what(said).to_string())
        };
        table.add_row([
            member.id.to_string(),
            role(member, group).to_owned(),
            state(member),
            said(|said| said.applied),
            behind(member, group).map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
            said(|said| said.priority.into()),
            member.address.clone(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// The group for programs.
pub(crate) fn json(group: &MembersResponse) -> Value {
    let members = group.members.iter().map(|member| member_json(member, group));
    json!({
        "cluster": group.cluster,
        "term": group.term,
        "leader": (group.leader != 0).then_some(group.leader),
        "feature_level": group.feature_level,
        "members": members.collect::<Vec<_>>(),
    })
}

fn member_json(member: &MemberStatus, group: &MembersResponse) -> Value {
    let said = member.said.as_ref();
    json!({
        "id": member.id,
        "address": member.address,
        "role": role(member, group),
        "state": state(member),
        "applied": said.map(|said| said.applied),
        "behind": behind(member, group),
        "priority": said.map(|said| said.priority),
        "software": said.map(|said| &said.software),
    })
}
