//! Figures for Prometheus, and whether all is well, over HTTP.

use super::figures::{Board, Figures, TIMES_US, Times};
use super::operate::{holes, lag};
use crate::base::Lsn;
use crate::runtime::{Other, STAGE_ENDS_US, Stage, StageTimes, Survey};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest request, in bytes: there is nothing to be said in one.
const REQUEST_BYTES_MAX: usize = 4 << 10;

/// How long one who asks may take: others wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a figure is, its name, and one sentence.
type Described = (&'static str, &'static str, &'static str);

/// A figure and how it is had.
type Figure = (Described, fn(&Figures) -> f64);

/// All figures that are one number. docs/redis.md has the same list.
const FIGURES: [Figure; 10] = [
    (("gauge", "traft_connections", "Open connections."), |f| f.connections as f64),
    (("counter", "traft_connections_total", "Connections that were accepted."), |f| {
        f.accepted as f64
    }),
    (("counter", "traft_connections_turned_away_total", "Connections beyond the limit."), |f| {
        f.turned_away as f64
    }),
    (("gauge", "traft_commands_waiting", "Commands that are not answered."), |f| f.waiting as f64),
    (("counter", "traft_commands_tried_again_total", "Tries that nobody took."), |f| {
        f.retried as f64
    }),
    (("counter", "traft_commands_refused_total", "Commands that were not done."), |f| {
        f.refused as f64
    }),
    (("counter", "traft_commands_unknown_total", "Commands whose outcome is not known."), |f| {
        f.unknown as f64
    }),
    (("counter", "traft_keys_evicted_total", "Keys that ended, evicted by this replica."), |f| {
        f.evicted as f64
    }),
    (("gauge", "traft_leads", "Whether this replica leads."), |f| {
        f64::from(u8::from(f.standing.leads))
    }),
    (("gauge", "traft_leader", "The replica that leads, as far as this one knows, or 0."), |f| {
        f.standing.leader.unwrap_or(0) as f64
    }),
];

/// A figure and how it is had.
type OfReplica = fn(&Survey) -> u64;

/// What a replica says of itself when it is asked.
const SURVEYED: [(Described, OfReplica); 6] = [
    (("gauge", "traft_accepted", "Positions whose records are here, or were."), |s| {
        s.accepted.len()
    }),
    (("gauge", "traft_settled", "Positions known to be settled."), |s| s.settled.len()),
    (("gauge", "traft_done", "Positions done here."), |s| s.done.len()),
    (("gauge", "traft_holes", "Positions below the last one that are missing here."), |s| {
        holes(&s.accepted)
    }),
    (("counter", "traft_snapshots_taken_total", "Snapshots taken in this life."), |s| {
        s.snapshots.0
    }),
    (("counter", "traft_snapshots_installed_total", "Snapshots of others in this life."), |s| {
        s.snapshots.1
    }),
];

/// What the replica that leads says of another one; `next` is the next position.
type OfPeer = fn(&Other, Lsn) -> f64;

const PEERS: [(Described, OfPeer); 3] = [
    (("gauge", "traft_peer_lag", "Positions placed that the peer lacks."), |peer, next| {
        lag(peer, next) as f64
    }),
    (("gauge", "traft_peer_holes", "Positions below its last one that the peer lacks."), |p, _| {
        p.accepted.as_ref().map_or(0, holes) as f64
    }),
    // A tick is a millisecond.
    (("gauge", "traft_peer_silent_seconds", "Since the peer was last heard."), |peer, _| {
        peer.silent_ticks as f64 / 1e3
    }),
];

/// How long commands took.
const TIMES: Described =
    ("histogram", "traft_command_seconds", "From a command's arrival to its result.");

/// How long records take to reach each stage.
const STAGES: Described =
    ("histogram", "traft_stage_seconds", "Since a record was handed in; of one in 64.");

/// Serves the figures of servers. Dropped, it ends.
#[derive(Debug)]
pub struct Metrics {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Serves what these servers, each the one of a replica, leave on their boards: `/metrics`,
    /// `/health` (no replica has stopped) and `/ready` (each knows who leads).
    ///
    /// # Errors
    ///
    /// What the system says: most often that the port is taken.
    pub fn start(address: SocketAddr, boards: Vec<(u64, Board)>) -> io::Result<Metrics> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let ends = stop.clone();
        let thread = thread::spawn(move || {
            for socket in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                // Whoever goes away in the middle does not want to know.
                let _ = socket.and_then(|socket| answer(socket, &boards));
            }
        });
        Ok(Metrics { address, stop, thread: Some(thread) })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It waits for somebody.
        if TcpStream::connect_timeout(&self.address, PATIENCE).is_ok() {
            self.thread.take().map(JoinHandle::join);
        }
    }
}

fn answer(mut socket: TcpStream, boards: &[(u64, Board)]) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let figures = || boards.iter().map(|(id, board)| (*id, board.get())).collect::<Vec<_>>();
    let flag = |well: bool, yes: &str, no: &str| match well {
        true => ("200 OK", format!("{yes}\n")),
        false => ("503 Service Unavailable", format!("{no}\n")),
    };
    let (status, body) = match path(&mut socket)?.as_deref() {
        Some("/metrics") => {
            let surveys = boards.iter().filter_map(|(id, board)| Some((*id, board.survey()?)));
            let surveyed = surveyed(&surveys.collect::<Vec<_>>());
            ("200 OK", text(&figures()) + &surveyed + &stages(boards))
        }
        Some("/health") => {
            let runs = |(_, f): &(u64, Figures)| f.standing.stopped.is_none();
            flag(figures().iter().all(runs), "well", "a replica has stopped")
        }
        Some("/ready") => {
            let ready = |(_, f): &(u64, Figures)| f.standing.leader.is_some();
            flag(figures().iter().all(ready), "ready", "nobody leads")
        }
        Some(_) => ("404 Not Found", "there are /metrics, /health and /ready\n".into()),
        None => ("400 Bad Request", "expected GET\n".into()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(body.as_bytes())
}

/// What is asked for; `None` if that is not to be understood.
fn path(socket: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1_024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
        if head.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let is_get = words.next() == Some(b"GET");
    let path = words.next().and_then(|path| str::from_utf8(path).ok());
    Ok(path.filter(|_| is_get).map(|path| path.split('?').next().unwrap_or(path).to_string()))
}

fn head(text: &mut String, (kind, name, about): Described) {
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {name} {about}\n# TYPE {name} {kind}\n");
}

/// What replicas say, in the format of Prometheus.
fn surveyed(surveys: &[(u64, Survey)]) -> String {
    let mut text = String::new();
    for (described, figure) in SURVEYED {
        head(&mut text, described);
        for (id, survey) in surveys {
            let _ = writeln!(text, "{}{{replica=\"{id}\"}} {}", described.1, figure(survey));
        }
    }
    for (described, figure) in PEERS {
        head(&mut text, described);
        for (id, survey) in surveys {
            let Some(next) = survey.next else { continue };
            for peer in &survey.followers {
                let labels = format!("replica=\"{id}\",peer=\"{}\"", peer.id.0);
                let _ = writeln!(text, "{}{{{labels}}} {}", described.1, figure(peer, next));
            }
        }
    }
    text
}

/// What servers count, in the format of Prometheus.
fn text(figures: &[(u64, Figures)]) -> String {
    let mut text = String::new();
    for (described, figure) in FIGURES {
        head(&mut text, described);
        for (id, figures) in figures {
            let (name, value) = (described.1, figure(figures));
            let _ = writeln!(text, "{name}{{replica=\"{id}\"}} {value}");
        }
    }
    head(&mut text, TIMES);
    for (id, figures) in figures {
        for (kind, Times { counts, sum }) in [("read", &figures.reads), ("write", &figures.writes)]
        {
            let labels = format!("replica=\"{id}\",kind=\"{kind}\"");
            histogram(&mut text, TIMES.1, &labels, (&TIMES_US, counts), *sum);
        }
    }
    text
}

/// How long records take, in the format of Prometheus.
fn stages(boards: &[(u64, Board)]) -> String {
    let mut text = String::new();
    head(&mut text, STAGES);
    for (id, board) in boards {
        for (stage, StageTimes { counts, sum }) in Stage::ALL.iter().zip(&board.stages().times()) {
            let labels = format!("replica=\"{id}\",stage=\"{}\"", stage.name());
            histogram(&mut text, STAGES.1, &labels, (&STAGE_ENDS_US, counts), *sum);
        }
    }
    text
}

/// `classes` are the ends of the classes in microseconds, and how many were in each.
fn histogram(
    text: &mut String,
    name: &str,
    labels: &str,
    classes: (&[u64], &[u64]),
    total: Duration,
) {
    let (ends, counts) = classes;
    let mut sum = 0;
    for (class, count) in counts.iter().enumerate() {
        sum += count;
        let end = ends.get(class).map(|us| (*us as f64 / 1e6).to_string());
        let end = end.unwrap_or("+Inf".into());
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{end}\"}} {sum}");
    }
    let _ = writeln!(text, "{name}_sum{{{labels}}} {}", total.as_secs_f64());
    let _ = writeln!(text, "{name}_count{{{labels}}} {sum}");
}
