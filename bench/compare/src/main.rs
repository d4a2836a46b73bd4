//! `ha-compare`: this project beside other brokers and clusters, on one machine, in one run.
//!
//! [`run`] starts the [`peers`] in rotation, each freshly, and has `ha-bench` put the same [`loads`] on each;
//! [`results`] is what came of it; [`page`] makes tables and plots of that.

mod figures;
mod loads;
mod page;
mod peers;
mod results;
mod run;
mod site;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::results::{Machine, Record, Results, Store};
use crate::run::{Keeps, Plan};
use crate::site::{Site, said};

/// Compares this project with other brokers and clusters.
#[derive(Debug, Parser)]
#[command(name = "ha-compare", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures, and keeps each measurement in a file.
    Run(RunArgs),
    /// Writes the tables and plots of what was measured.
    Page(PageArgs),
    /// Lists peers and loads.
    List,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Where measurements are added, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    raw: PathBuf,
    /// Some peers only, with commas between them.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Some loads only; "paced" stands for all that begin like this.
    #[arg(long, value_delimiter = ',')]
    loads: Vec<String>,
    /// Peers whose curves are measured.
    #[arg(long, value_delimiter = ',', default_value = "ours-1-2,mosquitto-bridged,nats")]
    growing: Vec<String>,
    /// Of each measurement; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that count in a measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Where this project's programs are.
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    programs: PathBuf,
    /// Where data and logs are kept, in a new folder for each start; by default they are deleted.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The first of 50 ports.
    #[arg(long, default_value_t = 23_000, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    first_port: u16,
}

#[derive(Debug, clap::Args)]
struct PageArgs {
    /// What "run" has kept.
    #[arg(long, value_name = "FILE")]
    raw: PathBuf,
    /// The page in which the part between the two marks is written anew.
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    page: PathBuf,
    /// Where the plots go: a folder below the page's.
    #[arg(long, value_name = "DIR", default_value = "docs/benchmarks")]
    plots: PathBuf,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => args.run(),
        Command::Page(args) => args.run(),
        Command::List => {
            list();
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ha-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn list() {
    for peer in peers::all() {
        println!("{:<18} {}", peer.name(), peer.title());
    }
    println!();
    for load in loads::all() {
        println!("{:<18} {}", load.name, load.title);
    }
}

impl RunArgs {
    fn run(self) -> io::Result<()> {
        // Beside the measurements: data belongs on a disk, and a folder for what is temporary may be memory.
        let beside = self.raw.parent().filter(|folder| !folder.as_os_str().is_empty());
        let temporary = tempfile::tempdir_in(beside.unwrap_or(Path::new(".")))?;
        let (folder, keeps) = match &self.folder {
            Some(folder) => (folder.clone(), Keeps::Folders),
            None => (temporary.path().to_owned(), Keeps::Nothing),
        };
        let folder = std::path::absolute(folder)?;
        std::fs::create_dir_all(&folder)?;
        let programs = std::path::absolute(&self.programs)?;
        let site = Site { programs, folder, first_port: self.first_port };
        let loads = chosen(loads::all(), &self.loads, "load", |load| &load.name)?;
        let growing = chosen(peers::all(), &self.growing, "peer", |peer| peer.name())?;
        let candidates = chosen(peers::all(), &self.peers, "peer", |peer| peer.name())?;
        let machine = machine(&site, self.seconds);
        if self.raw.exists() {
            let accepted = Results::read(&self.raw)?.accept(machine.clone());
            accepted.map_err(|why| io::Error::other(format!("{}: {why}", self.raw.display())))?;
        }
        let mut store = Store::open(&self.raw)?;
        store.add(&Record::Machine(machine))?;
        let mut peers = Vec::new();
        for peer in candidates {
            let (name, version) = (peer.name().to_owned(), peer.version(&site));
            store.add(&match version {
                Ok(version) => {
                    peers.push(peer);
                    Record::Peer { peer: name, version }
                }
                Err(error) => {
                    eprintln!("{name} does not take part: {error}");
                    Record::Missing { peer: name, why: error.to_string() }
                }
            })?;
        }
        let growing = growing.iter().map(|peer| peer.name().to_owned()).collect();
        let Self { rounds, seconds, .. } = self;
        run::run(&Plan { peers, loads, rounds, seconds, site, keeps, growing }, &mut store)
    }
}

impl PageArgs {
    fn run(self) -> io::Result<()> {
        let results = Results::read(&self.raw)?;
        page::write(&results, &self.page, &self.plots)
    }
}

/// Those that are named, by name or its beginning; all, if nothing is named.
fn chosen<T>(
    all: Vec<T>,
    wanted: &[String],
    what: &str,
    name: impl Fn(&T) -> &str,
) -> io::Result<Vec<T>> {
    let fits = |one: &T, wanted: &String| {
        let name = name(one);
        name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('-'))
    };
    let unknown = wanted.iter().find(|wanted| !all.iter().any(|one| fits(one, wanted)));
    if let Some(unknown) = unknown {
        let why = format!("there is no {what} {unknown:?}; \"ha-compare list\" lists them");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let is_chosen = |one: &T| wanted.is_empty() || wanted.iter().any(|wanted| fits(one, wanted));
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// What cannot be found out stays empty.
fn machine(site: &Site, seconds: u64) -> Machine {
    let first = |program: &str, arguments: &[&str]| {
        let text = said(program, arguments).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    Machine {
        date: first("date", &["-u", "+%F"]),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        processor: model.unwrap_or_default().into(),
        kernel: read("/proc/sys/kernel/osrelease").trim().into(),
        commit: first("git", &["describe", "--always", "--dirty"]),
        disk: first("stat", &["-f", "-c", "%T", &site.folder.to_string_lossy()]),
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> io::Result<Vec<String>> {
        let wanted: Vec<_> = wanted.iter().map(|&name| name.to_owned()).collect();
        let chosen = chosen(loads::all(), &wanted, "load", |load: &loads::Load| &load.name)?;
        Ok(chosen.into_iter().map(|load| load.name).collect())
    }

    #[test]
    fn beginning_of_a_name_stands_for_all_that_begin_like_it() {
        assert_eq!(
            names(&["paced", "idle"]).unwrap(),
            ["paced-0", "paced-1", "paced-durable-1", "idle"]
        );
        assert_eq!(names(&["pairs-1"]).unwrap(), ["pairs-1"]);
        assert_eq!(names(&[]).unwrap().len(), loads::all().len());
    }

    #[test]
    fn name_of_nothing_is_refused() {
        let error = names(&["pairs-1", "pair"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no load \"pair\""), "{error}");
    }
}
