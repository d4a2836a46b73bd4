//! `ha-chaos`: starts a cluster, loads it, kills processes, and judges what clients saw. Exit code 0
//! when every promise was kept, 1 when one was broken, 2 when nothing can be said.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chaos::cluster::Binaries;
use chaos::race::{self, Race};
use chaos::schedule::{DISKS_MIN, Settings, Target};
use chaos::shares::{self, Shares};
use chaos::{Disk, Options, Roaming, run};
use clap::Parser;

/// Kills ha-servers and brokers under load, and judges what clients saw.
#[derive(Debug, Parser)]
#[command(name = "ha-chaos", version)]
struct Args {
    /// ha-servers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    servers: u8,
    /// Brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    brokers: u8,
    /// How long publishers publish and processes die; by default 120, with --shares 60.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_000))]
    seconds: Option<u64>,
    /// Between two faults, as 2.5s or 800ms.
    #[arg(long, value_name = "TIME", default_value = "2.5s", value_parser = time)]
    kill_every: Duration,
    /// Who is killed, with commas; none: nobody is.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0..)]
    victims: Vec<Target>,
    /// One fault in three stops a process (SIGSTOP) for so long instead.
    #[arg(long, value_name = "TIME", value_parser = time)]
    stop: Option<Duration>,
    /// What ha-servers write to. On a disk that forgets, whoever is killed loses what it had not synced;
    /// it needs Linux and a C compiler.
    #[arg(long, value_enum, default_value_t = Disk::Keeps)]
    disk: Disk,
    /// A line of the section HA_SERVER in the configuration of every ha-server; as often as there are
    /// lines.
    #[arg(long, value_name = "KEY=VALUE")]
    server_key: Vec<String>,
    /// Of chance: who is killed, and what is published.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Messages per second of all publishers together.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Publishers; by default 6, with --shares 20.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    publishers: Option<u16>,
    /// Instead of publishers and subscribers: so many clients set and read the retained messages of 100
    /// topics at the same time, and every topic must be linearizable.
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    race: Option<u64>,
    /// Instead of them: three share groups of so many durable members each, who let their connections go
    /// and come back elsewhere; each message must be acknowledged in every group, and be with one member
    /// of it at a time.
    #[arg(long, value_name = "MEMBERS", num_args = 0..=1, default_missing_value = "12")]
    #[arg(conflicts_with = "race", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    shares: Option<u16>,
    /// Each client stays with its broker.
    #[arg(long)]
    stay: bool,
    /// The folder of ha-server and ha-broker; by default that of this program.
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// Keep history, logs, configurations and data in this folder. Without it they are kept in a
    /// temporary folder when a promise was broken.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// A number with `s` or `ms`; more than zero.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| "expected a time as 2.5s or 800ms")?;
    let time = Duration::try_from_secs_f64(seconds * unit).ok();
    let fits = |time: &Duration| !time.is_zero() && *time <= Duration::from_secs(36_000);
    time.filter(fits).ok_or_else(|| "expected a time from 1ms to 36000s".into())
}

fn main() -> ExitCode {
    let args = Args::parse();
    match judge(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            tell(&format!("ha-chaos: {}", chain(&*error)));
            ExitCode::from(2)
        }
    }
}

/// Whether every promise was kept.
fn judge(args: Args) -> Result<bool, Box<dyn Error>> {
    let mut folder = Folder::new(args.keep.as_deref())?;
    tell(&format!("seed {}, folder {}", args.seed, folder.path.display()));
    let kind = match (args.race, args.shares) {
        (Some(clients), _) => Kind::Race { clients },
        (None, Some(members)) => Kind::Shares { members },
        (None, None) => Kind::Sessions,
    };
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let is_clean = runtime.block_on(async {
        tokio::select! {
            is_clean = conduct(kind, options, &folder.path) => is_clean,
            () = interrupted() => Err("interrupted".into()),
        }
    })?;
    if !is_clean {
        folder.keep();
    }
    Ok(is_clean)
}

/// What is proven.
enum Kind {
    /// Publishers and subscribers with all their promises.
    Sessions,
    /// Retained messages.
    Race { clients: u64 },
    /// Share groups.
    Shares { members: u16 },
}

async fn conduct(kind: Kind, options: Options, folder: &Path) -> Result<bool, Box<dyn Error>> {
    let (text, is_clean) = match kind {
        Kind::Sessions => {
            let report = run(options, folder, &tell).await?;
            let history = BufWriter::new(File::create(folder.join("history.jsonl"))?);
            report.history.write_lines(history)?;
            (report.to_string(), report.is_clean())
        }
        Kind::Race { clients } => {
            let outcome = race::run(Race::of(options, clients), folder, &tell).await?;
            (outcome.to_string(), outcome.is_clean())
        }
        Kind::Shares { members } => {
            let outcome = shares::run(Shares::of(options, members), folder, &tell).await?;
            (outcome.to_string(), outcome.is_clean())
        }
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(is_clean)
}

fn options(args: Args) -> io::Result<Options> {
    if args.victims.contains(&Target::Disk) && usize::from(args.servers) < DISKS_MIN {
        return Err(io::Error::other(
            "--victims disk needs --servers 3 or more: others recover it",
        ));
    }
    let bin = match args.bin {
        Some(bin) => fs::canonicalize(bin)?,
        None => std::env::current_exe()?.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    let (seconds, publishers) = if args.shares.is_some() { (60, 20) } else { (120, 6) };
    Ok(Options {
        binaries: Binaries::in_folder(&bin),
        settings: Settings {
            servers: args.servers.into(),
            brokers: args.brokers.into(),
            targets: args.victims,
            every: args.kill_every,
            stop: args.stop,
        },
        disk: args.disk,
        server_keys: args.server_key,
        lasts: Duration::from_secs(args.seconds.unwrap_or(seconds)),
        seed: args.seed,
        rate: args.rate,
        publishers: args.publishers.unwrap_or(publishers),
        roaming: if args.stay { Roaming::Never } else { Roaming::Anywhere },
    })
}

/// Where everything is; one that is not kept goes with this value.
struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn new(keep: Option<&Path>) -> io::Result<Self> {
        if let Some(keep) = keep {
            fs::create_dir_all(keep)?;
            if fs::read_dir(keep)?.next().is_some() {
                return Err(io::Error::other(format!("{} is not empty", keep.display())));
            }
            return Ok(Self { path: fs::canonicalize(keep)?, is_kept: true });
        }
        let path = std::env::temp_dir().join(format!("ha-chaos-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path, is_kept: false })
    }

    /// It is evidence.
    fn keep(&mut self) {
        self.is_kept = true;
        tell(&format!("kept: {}", self.path.display()));
    }
}

/// SIGINT or SIGTERM: the processes of the cluster must not outlive this one.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

fn tell(line: &str) {
    // Nobody is left to tell that standard error is gone.
    drop(writeln!(io::stderr(), "{line}"));
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_in_seconds_or_milliseconds_and_more_than_nothing() {
        assert_eq!(time("2.5s"), Ok(Duration::from_millis(2_500)));
        assert_eq!(time("800ms"), Ok(Duration::from_millis(800)));
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        for wrong in ["", "s", "0s", "-1s", "1h", "inf", "nan", "1e300s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
