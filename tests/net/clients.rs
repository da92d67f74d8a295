//! Programs that call a node over gRPC: what they may do, and what nobody else may in their place.

use crate::members::{Members, PATIENCE, Via};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use traft::apply::kv::{Answer, Kv, Op};
use traft::base::{KeySet, ReplicaId};
use traft::disk::SimDisk;
use traft::net::proto::{
    ClientClient, Command, HealthCheckRequest, HealthClient, Keys, NotDone, ServingStatus, What,
    connect,
};
use traft::net::{CLIENT_NAME, Credentials};
use traft::runtime::{Node, View};

fn keys(set: &KeySet) -> Option<Keys> {
    Some(Keys { points: set.points().to_vec(), ranges: Vec::new() })
}

fn command(op: &Op<'_>) -> Command {
    let traft::base::Command { footprint, body } = op.command();
    Command { body, reads: keys(&footprint.reads), writes: keys(&footprint.writes) }
}

const SET: Op<'static> = Op::Set { key: b"x", value: b"1" };
const GET: Op<'static> = Op::Get { key: b"x" };

type Caller = ClientClient<tonic::transport::Channel>;

async fn caller(address: &str, id: u64, credentials: &Credentials) -> Caller {
    let channel = connect(address, ReplicaId(id), Some(credentials)).await;
    ClientClient::new(channel.expect("it is let in"))
}

fn answer(what: Option<What>) -> Result<Answer, NotDone> {
    match what {
        Some(What::Answer(bytes)) => Ok(Answer::decode(&bytes).expect("an answer")),
        Some(What::NotDone(why)) => Err(why),
        other => panic!("{other:?}"),
    }
}

async fn propose(caller: &mut Caller) -> Result<Answer, NotDone> {
    let outcome = caller.propose(command(&SET)).await.expect("an outcome");
    answer(outcome.into_inner().what)
}

/// All three, each with its clients' side open, where nobody passes commands on.
fn three() -> (Members, Vec<Arc<Node<SimDisk, Kv>>>) {
    let mut members = Members::tuned(Via::Grpc, 3, |_, node| node.replica.forwarding = false);
    (0..3).for_each(|at| assert!(members.leader(at).0 > 0));
    let nodes: Vec<_> = (0..3).map(|at| Arc::new(members.take(at))).collect();
    (0..3).for_each(|at| members.grpc(at).serve_clients(&nodes[at]));
    (members, nodes)
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

#[test]
fn a_client_is_sent_to_whoever_leads_and_has_its_commands_done() {
    let (members, nodes) = three();
    let client = members.authority.as_ref().expect("with TLS").sign(CLIENT_NAME);
    let leader = nodes[0].watch().until(PATIENCE, |view| view.leader.is_some());
    let leader = leader.and_then(|view| view.leader).expect("somebody leads").0;
    let other = 1 + leader % 3;
    runtime().block_on(async {
        let address = |id: u64| members.all[id as usize - 1].address.to_string();
        let mut elsewhere = caller(&address(other), other, &client).await;
        let sent = propose(&mut elsewhere).await.expect_err("it does not lead");
        assert_eq!((sent.leader, &sent.address, sent.again), (leader, &address(leader), true));
        let mut there = caller(&sent.address, sent.leader, &client).await;
        assert_eq!(propose(&mut there).await, Ok(Answer::Nothing));
        // Reads are answered anywhere.
        let read = elsewhere.read(command(&GET)).await.expect("an outcome").into_inner();
        assert_eq!(answer(read.what), Ok(Answer::Value(Some("1".into()))));
        let large = Command { body: vec![0; 2 << 20].into(), ..command(&SET) };
        let large = there.propose(large).await.expect("an outcome").into_inner();
        let never = answer(large.what).expect_err("too large");
        assert!(!never.again && never.why.contains("larger"), "{never:?}");
    });
}

fn denied(status: Status, part: &str) {
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains(part), "{status}");
}

#[test]
fn who_is_no_client_has_nothing_done() {
    let (members, nodes) = three();
    let authority = members.authority.as_ref().expect("with TLS");
    let address = members.all[0].address.to_string();
    runtime().block_on(async {
        for (credentials, why) in [
            (authority.replica(2), "is a replica"),
            (authority.sign("somebody.traft"), "names no client"),
            (authority.sign_all(&[CLIENT_NAME, "replica-2.traft"]), "is a replica"),
        ] {
            let mut caller = caller(&address, 1, &credentials).await;
            denied(caller.propose(command(&SET)).await.expect_err("denied"), why);
            denied(caller.read(command(&GET)).await.expect_err("denied"), why);
        }
        let client = authority.sign(CLIENT_NAME);
        members.grpc(0).serve_clients_if(&nodes[0], |head| match head.get("token") {
            Some(token) if token == "right" => Ok(()),
            _ => Err(Status::unauthenticated("say the token")),
        });
        let mut caller = caller(&address, 1, &client).await;
        let status = caller.read(command(&GET)).await.expect_err("no token");
        assert_eq!(status.code(), Code::Unauthenticated);
        let mut request = Request::new(command(&GET));
        request.metadata_mut().insert("token", "right".parse().expect("a word"));
        caller.read(request).await.expect("it is let in");
    });
}

/// With two of three gone nobody answers: the caller's deadline ends that, health says it, and a
/// node that has gone is told from one that is slow.
#[test]
fn deadlines_and_health() {
    let (mut members, mut nodes) = three();
    let client = members.authority.as_ref().expect("with TLS").sign(CLIENT_NAME);
    let address = members.all[0].address.to_string();
    let about = |service: &str| HealthCheckRequest { service: service.into() };
    runtime().block_on(async {
        let channel = connect(&address, ReplicaId(1), Some(&client)).await.expect("let in");
        let mut health = HealthClient::new(channel.clone());
        let now = health.check(about("")).await.expect("health").into_inner();
        assert_eq!(now.status(), ServingStatus::Serving);
        let unknown = health.check(about("nothing")).await.expect_err("no such service");
        assert_eq!(unknown.code(), Code::NotFound);
        let mut watch = health.watch(about("")).await.expect("a stream").into_inner();
        let first = watch.message().await.expect("no error").expect("the first");
        assert_eq!(first.status(), ServingStatus::Serving);
        nodes.drain(1..).for_each(drop);
        let next = watch.message().await.expect("no error").expect("another");
        assert_eq!(next.status(), ServingStatus::NotServing);
        let mut caller = ClientClient::new(channel);
        let mut request = Request::new(command(&GET));
        request.set_timeout(Duration::from_millis(50));
        match caller.read(request).await {
            Err(status) => {
                assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()))
            }
            // It knows already that nobody leads.
            Ok(outcome) => drop(answer(outcome.into_inner().what).expect_err("nobody leads")),
        }
        let leaderless = |view: &View| view.leader.is_none();
        assert!(nodes[0].watch().until(PATIENCE, leaderless).is_some());
        nodes.clear();
        let gone = caller.read(command(&GET)).await.expect_err("no node");
        assert_eq!(gone.code(), Code::Unavailable);
    });
    members.all.clear();
}

/// A tool that has no schema asks what services there are and what one of them says. So may
/// whoever is of the cluster, and nobody else.
#[test]
fn services_are_described_to_whoever_is_known() {
    let (members, _nodes) = three();
    let authority = members.authority.as_ref().expect("with TLS");
    let address = members.all[0].address.to_string();
    let ask = async |credentials: &Credentials, what: MessageRequest| {
        let channel = connect(&address, ReplicaId(1), Some(credentials)).await.expect("let in");
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(what) };
        let asked = ServerReflectionClient::new(channel)
            .server_reflection_info(tokio_stream::iter([request]))
            .await?;
        let answer = asked.into_inner().message().await?.expect("an answer");
        Ok::<_, Status>(answer.message_response.expect("an answer"))
    };
    runtime().block_on(async {
        let list = || MessageRequest::ListServices(String::new());
        for credentials in [authority.sign(CLIENT_NAME), authority.replica(2)] {
            let MessageResponse::ListServicesResponse(list) =
                ask(&credentials, list()).await.expect("an answer")
            else {
                panic!("no list");
            };
            let mut names: Vec<String> = list.service.into_iter().map(|one| one.name).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "grpc.health.v1.Health",
                    "grpc.reflection.v1.ServerReflection",
                    "traft.client.v1.Client",
                    "traft.peer.v1.Peer",
                ]
            );
            let symbol = MessageRequest::FileContainingSymbol("traft.client.v1.Client".into());
            let MessageResponse::FileDescriptorResponse(file) =
                ask(&credentials, symbol).await.expect("an answer")
            else {
                panic!("no file");
            };
            let file = &file.file_descriptor_proto[0];
            assert!(file.windows(7).any(|bytes| bytes == b"Propose"), "its methods are there");
        }
        let stranger = authority.sign("somebody.traft");
        denied(ask(&stranger, list()).await.expect_err("denied"), "names nobody");
        let symbol = MessageRequest::FileContainingSymbol("traft.Nothing".into());
        let unknown = ask(&authority.replica(2), symbol).await.expect_err("nothing like it");
        assert_eq!(unknown.code(), Code::NotFound);
    });
}
