//! Asking replicas until they answer.

use super::NemesisError;
use crate::base::{Membership, ReplicaId};
use crate::resp::Value;
use crate::serve::client::Client;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Replies are waited for so long; then the question is put again.
const REPLY: Duration = Duration::from_secs(1);

/// Before something is tried again.
const AGAIN: Duration = Duration::from_millis(5);

/// Where the clients of each replica go.
pub(super) struct Probe(Vec<SocketAddr>);

impl Probe {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Probe {
        Probe(addresses)
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.clone()
    }

    /// Waits until every replica does a write, and gives how long that took.
    pub(super) fn wait_for_writes(&self, patience: Duration) -> Result<Duration, NemesisError> {
        let began = Instant::now();
        for address in &self.0 {
            Probe::until(address, patience, began, &["SET", "nemesis", "was here"], |reply| {
                (*reply == Value::OK).then_some(())
            })?;
        }
        Ok(began.elapsed())
    }

    /// Asks until there is an answer that fits.
    fn until<T>(
        address: &SocketAddr,
        patience: Duration,
        began: Instant,
        words: &[&str],
        fits: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, NemesisError> {
        while began.elapsed() < patience {
            let connected = Client::connect(address, Some(REPLY));
            if let Ok(found) = connected.and_then(|mut client| client.ask(words))
                && let Some(found) = fits(&found)
            {
                return Ok(found);
            }
            thread::sleep(AGAIN);
        }
        Err(NemesisError::Silent(patience))
    }

    /// Asks the first one until it says OK.
    pub(super) fn command(&self, words: &[&str], patience: Duration) -> Result<(), NemesisError> {
        let fits = |reply: &Value| (*reply == Value::OK).then_some(());
        let Some(first) = self.0.first() else { return Ok(()) };
        Probe::until(first, patience, Instant::now(), words, fits)
    }

    /// Who says that it leads, once somebody does.
    #[cfg(feature = "net")]
    pub(super) fn leader(&self, patience: Duration) -> Result<ReplicaId, NemesisError> {
        self.anybody(patience, &["TRAFT", "STATUS"], |said| {
            let Value::Bulk(text) = said else { return false };
            text.split(|byte| *byte == b'\n').any(|line| line == b"role:leader\r")
        })
    }

    /// Has these replicas be the voters, whoever leads.
    pub(super) fn vote(
        &self,
        voters: &[ReplicaId],
        patience: Duration,
    ) -> Result<(), NemesisError> {
        let membership = Membership::majority(voters.iter().copied());
        // The same whenever it is asked again, so that it is one change.
        let request = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (membership, request) = (membership.to_string(), request.to_string());
        let words = ["TRAFT", "MEMBER", "SET", &membership, "REQUEST", &request];
        self.anybody(patience, &words, |said| *said == Value::OK).map(|_| ())
    }

    /// Asks one after the other until an answer fits; gives whose it was.
    fn anybody(
        &self,
        patience: Duration,
        words: &[&str],
        fits: impl Fn(&Value) -> bool,
    ) -> Result<ReplicaId, NemesisError> {
        let began = Instant::now();
        while began.elapsed() < patience {
            for (address, id) in self.0.iter().zip(1..) {
                let asked = Client::connect(address, Some(REPLY));
                if asked.and_then(|mut client| client.ask(words)).is_ok_and(|said| fits(&said)) {
                    return Ok(ReplicaId(id));
                }
            }
            thread::sleep(AGAIN);
        }
        Err(NemesisError::Silent(patience))
    }

    /// The digest of the state at each replica.
    pub(super) fn digests(&self, patience: Duration) -> Result<Vec<String>, NemesisError> {
        self.wait_for_writes(patience)?;
        let fits = |reply: &Value| match reply {
            Value::Simple(text) => Some(text.escape_ascii().to_string()),
            _ => None,
        };
        let began = Instant::now();
        let one = |address| Probe::until(address, patience, began, &["DEBUG", "DIGEST"], fits);
        self.0.iter().map(one).collect()
    }
}
