//! `ha-server clients`, `sessions`, `subscriptions` and `retained`: ask a running ha-server page by page,
//! and print what it has. `ha-server client kick` ends what they show.

mod print;

use std::time::Duration;

use clap::{Args, Subcommand};
use ha_proto::v1::admin_client::AdminClient;
use ha_proto::v1::{
    KickClientRequest, ListRetainedRequest, ListSessionsRequest, ListSubscriptionsRequest,
};
use tonic::transport::Channel;

use crate::cli::OutputForm;
use crate::member_commands::{CommandError, refused};
use crate::status::client;

/// How long one page may take.
const PAGE_MAX: Duration = Duration::from_secs(10);

/// How much to show, whom to ask, and how to print.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Lines to show; 0 or "all": as many as there are
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: usize,
    /// Any server of the group
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2000")]
    server: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = OutputForm::Table)]
    output: OutputForm,
}

fn limit(text: &str) -> Result<usize, String> {
    match text {
        "0" | "all" => Ok(usize::MAX),
        number => number.parse().map_err(|_| "expected a number or \"all\"".to_owned()),
    }
}

/// `ha-server clients` and `ha-server sessions`
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Only those with this text in the client identifier
    #[arg(long, value_name = "TEXT", default_value = "")]
    find: String,
    /// Only those that are connected to this broker
    #[arg(long, value_name = "NAME", default_value = "")]
    broker: String,
    #[command(flatten)]
    listing: Listing,
}

/// `ha-server subscriptions`
#[derive(Debug, Args)]
pub(crate) struct SubscriptionArgs {
    /// Only those with this text in the topic filter
    #[arg(long, value_name = "TEXT", default_value = "")]
    find: String,
    /// Only those of this client
    #[arg(long, value_name = "ID", default_value = "")]
    client: String,
    #[command(flatten)]
    listing: Listing,
}

/// `ha-server retained`
#[derive(Debug, Args)]
pub(crate) struct RetainedArgs {
    /// Only topics with this text; a topic filter with wildcards: only topics that match it
    #[arg(long, value_name = "TEXT", default_value = "")]
    find: String,
    #[command(flatten)]
    listing: Listing,
}

/// `ha-server client …`
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Ends the connection of a client; its session stays, and its will goes out.
    Kick {
        /// Its client identifier.
        #[arg(value_name = "ID")]
        id: String,
        /// Also ends the session, connected or not, with all that waits for it
        #[arg(long)]
        forget: bool,
        /// Any server of the group
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2000")]
        server: String,
    },
}

/// Does it, and says what was done.
pub(crate) async fn client_command(command: ClientCommand) -> Result<(), CommandError> {
    let ClientCommand::Kick { id, forget, server } = command;
    let request = KickClientRequest { client_id: id.clone(), forget, forwarded: false };
    let kicked = client(&server, PAGE_MAX).await?.kick_client(request).await;
    let broker = kicked.map_err(|status| refused(&status))?.into_inner().broker;
    print::kicked(&id, &broker, forget);
    Ok(())
}

/// What is listed so far.
struct Found<T> {
    items: Vec<T>,
    limit: usize,
    /// There are more than were wanted.
    more: bool,
}

impl<T> Found<T> {
    fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit, more: false }
    }

    /// One more than is wanted, to know whether there is one.
    fn wanted(&self) -> u32 {
        let left = (self.limit - self.items.len()).saturating_add(1);
        u32::try_from(left).unwrap_or(0)
    }

    /// Whether it has all that was wanted.
    fn take(&mut self, page: Vec<T>) -> bool {
        self.items.extend(page);
        self.more = self.items.len() > self.limit;
        self.items.truncate(self.limit);
        self.more
    }
}

impl Listing {
    async fn client(&self) -> Result<AdminClient<Channel>, CommandError> {
        Ok(client(&self.server, PAGE_MAX).await?)
    }
}

/// Clients that are connected.
pub(crate) async fn clients(args: SessionArgs) -> Result<(), CommandError> {
    let request = ListSessionsRequest { connected: true, ..ListSessionsRequest::default() };
    let (found, output) = fetch_sessions(args, request).await?;
    print::clients(&found, output);
    Ok(())
}

/// Sessions, connected or not.
pub(crate) async fn sessions(args: SessionArgs) -> Result<(), CommandError> {
    let (found, output) = fetch_sessions(args, ListSessionsRequest::default()).await?;
    print::sessions(&found, output);
    Ok(())
}

async fn fetch_sessions(
    args: SessionArgs,
    request: ListSessionsRequest,
) -> Result<(Found<ha_proto::v1::SessionStatus>, OutputForm), CommandError> {
    let SessionArgs { find, broker, listing } = args;
    let mut client = listing.client().await?;
    let mut found = Found::new(listing.limit);
    let mut after = String::new();
    loop {
        let request = ListSessionsRequest {
            find: find.clone(),
            broker: broker.clone(),
            after,
            items_max: found.wanted(),
            ..request
        };
        let page = client.list_sessions(request).await.map_err(|status| refused(&status))?;
        let page = page.into_inner();
        if found.take(page.sessions) || page.next.is_empty() {
            return Ok((found, listing.output));
        }
        after = page.next;
    }
}

/// Subscriptions of all sessions.
pub(crate) async fn subscriptions(args: SubscriptionArgs) -> Result<(), CommandError> {
    let SubscriptionArgs { find, client: of, listing } = args;
    let mut client = listing.client().await?;
    let mut found = Found::new(listing.limit);
    let mut after = None;
    loop {
        let request = ListSubscriptionsRequest {
            find: find.clone(),
            client: of.clone(),
            after,
            items_max: found.wanted(),
            forwarded: false,
        };
        let page = client.list_subscriptions(request).await.map_err(|status| refused(&status))?;
        let page = page.into_inner();
        if found.take(page.subscriptions) || page.next.is_none() {
            break;
        }
        after = page.next;
    }
    print::subscriptions(&found, listing.output);
    Ok(())
}

/// Retained messages.
pub(crate) async fn retained(args: RetainedArgs) -> Result<(), CommandError> {
    let RetainedArgs { find, listing } = args;
    let mut client = listing.client().await?;
    let mut found = Found::new(listing.limit);
    let mut after = String::new();
    loop {
        let request = ListRetainedRequest {
            find: find.clone(),
            after,
            items_max: found.wanted(),
            forwarded: false,
        };
        let page = client.list_retained(request).await.map_err(|status| refused(&status))?;
        let page = page.into_inner();
        if found.take(page.retained) || page.next.is_empty() {
            break;
        }
        after = page.next;
    }
    print::retained(&found, listing.output);
    Ok(())
}
