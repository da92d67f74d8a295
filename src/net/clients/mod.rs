//! Programs that call a node: what they want done, and whether it serves.
//!
//! Roles are separate. Whoever shows the certificate of a client may say what is here and nothing
//! that replicas say; whoever shows that of a replica may not say it, and may only ask for health
//! and for what services there are.

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from proto/client.proto")]
#[rustfmt::skip]
pub(super) mod generated;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from proto/health.proto")]
#[rustfmt::skip]
pub(super) mod health;
mod reflection;

pub(super) use reflection::reflection;

use super::ear::Who;
use super::hub::Hub;
use crate::base::{self, Footprint, KeyRange, KeySet, ReplicaId};
use crate::runtime::{Busy, Failure, Front, Pending, Raw, Refusal};
use generated::client_server::Client;
use generated::outcome::What;
use generated::{Command, Keys, NotDone, Outcome, Unknown};
use health::health_check_response::ServingStatus;
use health::health_server::Health;
use health::{HealthCheckRequest, HealthCheckResponse};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Says whether a call is let in, from what the caller has put into its head: a token, say. What it
/// gives otherwise is what the caller is told.
pub type Admit = Arc<dyn Fn(&MetadataMap) -> Result<(), Status> + Send + Sync>;

/// How often it is looked whether health has changed, for those who watch it.
const GLANCE: Duration = Duration::from_millis(100);

/// The name of the service, for those who ask for its health.
const NAME: &str = "traft.client.v1.Client";

/// Whom clients reach, once somebody has said so.
#[derive(Default)]
pub(super) struct Behind(Mutex<Option<(Weak<dyn Front>, Admit)>>);

impl Behind {
    pub(super) fn set(&self, front: Weak<dyn Front>, admit: Admit) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((front, admit));
    }

    fn get(&self) -> Option<(Arc<dyn Front>, Admit)> {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, admit) = inside.as_ref()?;
        Some((front.upgrade()?, admit.clone()))
    }

    /// Whether a command would be done at present, as far as the node knows.
    fn serves(&self) -> bool {
        self.get().is_some_and(|(front, _)| {
            let view = front.view();
            view.ended.is_none() && view.leader.is_some() && !view.full
        })
    }
}

/// Both services.
#[derive(Clone)]
pub(super) struct Clients(pub(super) Arc<Hub>);

impl Clients {
    /// Whoever is behind, if the caller may speak to it.
    fn admit<T>(&self, request: &Request<T>) -> Result<Arc<dyn Front>, Status> {
        match request.extensions().get::<Who>() {
            Some(Who::Client | Who::Anybody) => {}
            Some(Who::Replica(_)) => {
                return Err(Status::permission_denied("the caller is a replica and no client"));
            }
            _ => {
                return Err(Status::permission_denied("the caller's certificate names no client"));
            }
        }
        let behind = self.0.behind.get();
        let (front, admit) = behind.ok_or_else(|| Status::unavailable("no node is here"))?;
        admit(request.metadata())?;
        Ok(front)
    }

    async fn outcome(&self, asked: Result<Pending<Raw>, Busy>) -> Response<Outcome> {
        let what = match asked {
            Err(busy) => self.not_done(busy.to_string(), true, None),
            Ok(pending) => match pending.await {
                Ok(answer) => What::Answer(answer),
                Err(Failure::Unknown) => What::Unknown(Unknown {}),
                Err(Failure::NotDone(why)) => {
                    let hint = match why {
                        Refusal::NotHere { hint } => hint,
                        _ => None,
                    };
                    let again = !matches!(why, Refusal::TooLarge { .. });
                    self.not_done(why.to_string(), again, hint)
                }
            },
        };
        Response::new(Outcome { what: Some(what) })
    }

    fn not_done(&self, why: String, again: bool, hint: Option<ReplicaId>) -> What {
        let address = hint.and_then(|hint| self.0.address(hint)).unwrap_or_default();
        What::NotDone(NotDone { why, again, leader: hint.map_or(0, |hint| hint.0), address })
    }
}

/// Whoever is of this cluster may ask what there is and how it is.
fn known<T>(request: &Request<T>) -> Result<(), Status> {
    match request.extensions().get::<Who>() {
        None | Some(Who::NoReplica) => {
            Err(Status::permission_denied("the caller's certificate names nobody"))
        }
        _ => Ok(()),
    }
}

fn keys(keys: Option<Keys>) -> KeySet {
    let Keys { points, ranges } = keys.unwrap_or_default();
    let range = |range: generated::Range| KeyRange { start: range.start, end: range.end };
    KeySet::from_parts(points, ranges.into_iter().map(range))
}

fn command(asked: Command) -> base::Command {
    let Command { body, reads, writes } = asked;
    base::Command { footprint: Footprint { reads: keys(reads), writes: keys(writes) }, body }
}

#[tonic::async_trait]
impl Client for Clients {
    async fn propose(&self, request: Request<Command>) -> Result<Response<Outcome>, Status> {
        // Whoever is behind is not kept while its answer is waited for.
        let asked = self.admit(&request)?.propose(command(request.into_inner()));
        Ok(self.outcome(asked).await)
    }

    async fn read(&self, request: Request<Command>) -> Result<Response<Outcome>, Status> {
        let asked = self.admit(&request)?.read(command(request.into_inner()));
        Ok(self.outcome(asked).await)
    }
}

impl Clients {
    fn health(&self) -> HealthCheckResponse {
        let serves = self.0.behind.serves();
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        HealthCheckResponse { status: status.into() }
    }

    fn about(request: &Request<HealthCheckRequest>) -> Result<(), Status> {
        known(request)?;
        match request.get_ref().service.as_str() {
            "" | NAME => Ok(()),
            _ => Err(Status::not_found("there is no such service")),
        }
    }
}

#[tonic::async_trait]
impl Health for Clients {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Clients::about(&request)?;
        Ok(Response::new(self.health()))
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Clients::about(&request)?;
        let (sender, receiver) = mpsc::channel(1);
        let clients = self.clone();
        tokio::spawn(async move {
            let mut last = None;
            // Until the caller has gone.
            while !sender.is_closed() {
                let now = clients.health();
                if last != Some(now) && sender.send(Ok(now)).await.is_err() {
                    return;
                }
                last = Some(now);
                tokio::time::sleep(GLANCE).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
