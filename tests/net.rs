//! Replicas over gRPC and QUIC: they work, they come back, and nobody else is heard.
#![cfg(feature = "quic")]

#[path = "net/clients.rs"]
mod clients;
#[path = "net/members.rs"]
mod members;

use bytes::Bytes;
use members::{
    Authority, CLUSTER, Members, Net, PATIENCE, Socket, Via, caller, connect_over_quic, envelope,
    say_over_quic,
};
use std::collections::BTreeMap;
use std::net::TcpListener;
use traft::base::{LeaderId, ReplicaId, Tail};
use traft::message::{Envelope, Fetch, Message};
use traft::net::{Credentials, CredentialsError, NetError, NetOptions, Version, proto};
use traft::wire;

fn works(via: Via) {
    let mut members = Members::new(via);
    members.put(0, b"x", b"1");
    assert_eq!(members.get(1, b"x"), Some("1".into()));
    // Whoever stops, the two others go on; and it catches up, from a new process.
    for at in 0..3 {
        members.stop(at);
        let value = format!("without {at}");
        members.put((at + 1) % 3, b"y", value.as_bytes());
        members.restart(at);
        assert_eq!(members.get(at, b"y"), Some(value.into()));
    }
    assert!((0..3).all(|at| members.network(at).totals().received > 0));
    assert!((0..3).all(|at| members.network(at).totals().rejected == 0));
}

#[test]
fn three_replicas_work_over_grpc_with_mutual_tls_and_return_after_a_stop() {
    works(Via::Grpc);
}

#[test]
fn three_replicas_work_over_unary_calls_on_one_connection_and_return_after_a_stop() {
    works(Via::Unary);
}

#[test]
fn three_replicas_work_over_quic_and_return_after_a_stop() {
    works(Via::Quic);
}

#[test]
fn three_replicas_work_in_the_clear_on_this_machine() {
    works(Via::Clear);
}

/// One that knows only the first version of the wire among two that know both: each connection
/// carries the newest that both of its ends know, and what is newer is refused.
fn agrees(via: Via) {
    let mut members = Members::tuned(via, 3, |net, _| {
        if net.id == ReplicaId(1) {
            net.wire_max = Version::One;
        }
    });
    members.put(0, b"x", b"1");
    for at in [1, 2, 0] {
        members.stop(at);
        members.put((at + 1) % 3, b"y", &[at as u8]);
        members.restart(at);
        assert_eq!(members.get(at, b"y"), Some(vec![at as u8].into()));
    }
    let (one, two) = (Ok(Version::One), Ok(Version::Two));
    let spoken = |at: usize, with: u64| {
        // It may still be calling.
        let is_there = || members.network(at).spoken().get(&ReplicaId(with)).copied();
        std::iter::repeat_with(is_there).find_map(|said| said).expect("it calls for ever")
    };
    for (at, with, version) in
        [(0, 2, one), (0, 3, one), (1, 1, one), (2, 1, one), (1, 3, two), (2, 2, two)]
    {
        assert_eq!(spoken(at, with), version, "{via:?}: from {} to {with}", at + 1);
    }
    let all = || (0..3).map(|at| members.network(at).totals());
    assert!(all().all(|totals| (totals.refused, totals.rejected) == (0, 0)));
    let two = members.authority.as_ref().map(|authority| authority.replica(2));
    let message = Message::Fetch(Fetch { candidate: LeaderId::new(1, 2), positions: Tail::new() });
    let envelope = Envelope::new(ReplicaId(2), ReplicaId(1), message);
    let newer = wire::encode(&Envelope { cluster: CLUSTER, ..envelope }, Version::Two);
    let said = members.say(two.as_ref(), vec![newer]);
    assert!(said.contains("has version 2, and here version 1 of the wire is spoken"), "{said}");
}

#[test]
fn two_ends_speak_the_newest_version_that_both_know() {
    [Via::Grpc, Via::Unary, Via::Clear, Via::Quic].into_iter().for_each(agrees);
}

/// Nobody was told where replica 3 is: it calls the others, and they call it back.
fn learns(via: Via) {
    let mut members = Members::tuned(via, 3, |net, _| {
        if net.id != ReplicaId(3) {
            net.peers.remove(&ReplicaId(3));
        }
    });
    members.put(0, b"x", b"1");
    assert_eq!(members.get(2, b"x"), Some("1".into()));
    // Without one of the two that know each other it takes the third.
    members.stop(1);
    members.put(0, b"x", b"2");
    assert_eq!(members.get(2, b"x"), Some("2".into()));
    members.restart(1);
    // Learned again by whoever has forgotten it.
    members.stop(0);
    members.put(1, b"x", b"3");
    assert_eq!(members.get(2, b"x"), Some("3".into()));
}

#[test]
fn a_replica_that_nobody_named_is_called_back() {
    learns(Via::Grpc);
    learns(Via::Quic);
}

/// What it missed is in no log any more.
fn sends_snapshots(via: Via) {
    let mut members = Members::tuned(via, 3, |_, node| {
        node.snapshot_records = 64;
    });
    members.put(0, b"x", b"1");
    members.stop(2);
    let value = vec![7; 16 << 10];
    for n in 0..160_u32 {
        members.put((n % 2) as usize, &n.to_be_bytes(), &value);
    }
    members.restart(2);
    assert_eq!(members.get(2, &159_u32.to_be_bytes()), Some(value.into()));
    let status = members.node(2).status().expect("it runs");
    assert!(status.installed > 0, "{status:?}");
}

#[test]
fn snapshots_go_over_grpc() {
    sends_snapshots(Via::Grpc);
}

#[test]
fn snapshots_go_over_quic() {
    sends_snapshots(Via::Quic);
}

#[test]
fn nothing_goes_in_the_clear_beyond_this_machine() {
    let listener = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = |listener: TcpListener, peer: &str| {
        let peers = BTreeMap::from([(ReplicaId(2), peer.to_string())]);
        match Net::listen(Socket::Tcp(listener), NetOptions::new(ReplicaId(1), peers)) {
            Err(NetError::Insecure(address)) => address,
            other => panic!("{other:?}"),
        }
    };
    let anywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
    let here = anywhere.local_addr().expect("it is bound").to_string();
    assert_eq!(refused(anywhere, "127.0.0.1:1"), here);
    assert_eq!(refused(listener(), "192.0.2.1:7000"), "192.0.2.1:7000");
    assert_eq!(refused(listener(), "db.example:7000"), "db.example:7000");
    let options = NetOptions::new(ReplicaId(1), BTreeMap::new());
    let quic = Net::listen(Socket::any(Via::Quic), options);
    assert!(matches!(quic, Err(NetError::NoCredentials)), "{quic:?}");
}

#[test]
fn credentials_of_no_use_are_refused_and_the_reason_says_nothing_secret() {
    let authority = Authority::new();
    let good = authority.replica(1);
    let said = |via, credentials: &Credentials| {
        let mut options = NetOptions::new(ReplicaId(1), BTreeMap::new());
        options.credentials = Some(credentials.clone());
        match Net::listen(Socket::any(via), options) {
            Err(NetError::Credentials(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let none = || String::new();
    for via in [Via::Grpc, Via::Quic] {
        let said = |credentials: &Credentials| said(via, credentials);
        let pem = [
            ("authority", Credentials { authority: none(), ..good.clone() }),
            ("certificate", Credentials { certificate: good.key.clone(), ..good.clone() }),
            ("key", Credentials { key: good.certificate.clone(), ..good.clone() }),
        ];
        for (what, credentials) in pem {
            assert_eq!(said(&credentials), CredentialsError::Pem(what));
        }
        let other = authority.replica(2);
        let key = Credentials { key: other.key.clone(), ..good.clone() };
        let why = said(&key);
        assert!(matches!(why, CredentialsError::Tls(_)), "{why}");
        let secret = other.key.lines().nth(1).expect("a key has lines");
        assert!(!format!("{why} {why:?} {key:?}").contains(secret));
        // Of another replica, of two at once, of all of them.
        let both = authority.sign_all(&["replica-1.traft", "replica-2.traft"]);
        for not_own in [other, both, authority.sign("*.traft")] {
            assert_eq!(said(&not_own), CredentialsError::NotOwn(ReplicaId(1)));
        }
    }
}

/// Replica 1 runs alone, so nobody else is counted.
fn hears_only_replicas(via: Via) {
    let members = Members::tuned(via, 1, |_, _| {});
    let authority = members.authority.as_ref().expect("with TLS");
    let two = authority.replica(2);
    let say = |credentials, frames| members.say(credentials, frames);
    assert_eq!(say(Some(&two), vec![envelope(CLUSTER, 2, 1)]), "heard");
    let (client, both) = (authority.sign("client.traft"), ["replica-2.traft", "replica-3.traft"]);
    let (both, any) = (authority.sign_all(&both), authority.sign("*.traft"));
    let later = {
        let mut frame = envelope(CLUSTER, 2, 1).to_vec();
        assert_eq!(frame[..2], [8, 1], "the field of the version is the first");
        frame[1] = 3;
        Bytes::from(frame)
    };
    let huge = Bytes::from(vec![0; 17 << 20]);
    let version = if via == Via::Quic { "(code 19)" } else { "Unimplemented" };
    let long = if via == Via::Quic { "(code 21)" } else { "OutOfRange" };
    let refused = [
        (&two, envelope(CLUSTER, 3, 1), "the caller is not n3"),
        (&two, envelope(CLUSTER, 2, 3), "this is n1, not n3"),
        (&two, envelope(9, 2, 1), "of cluster 9"),
        (&two, Bytes::from_static(b"\xff\xff"), "cut off"),
        (&two, later.clone(), "has version 3"),
        (&two, later, version),
        (&two, huge, long),
        (&client, envelope(CLUSTER, 2, 1), "names no replica"),
        (&both, envelope(CLUSTER, 2, 1), "names no replica"),
        (&any, envelope(CLUSTER, 2, 1), "names no replica"),
    ];
    let count = refused.len() as u64;
    for (credentials, frame, why) in refused {
        let said = say(Some(credentials), vec![frame]);
        assert!(said.contains(why), "{said} says nothing of {why}");
    }
    // Two names on one connection: the second is not believed.
    let said = say(Some(&two), vec![envelope(CLUSTER, 2, 1), envelope(CLUSTER, 3, 1)]);
    assert!(said.contains("the caller is not n3"), "{said}");
    assert_eq!(members.network(0).totals().refused, count + 1);
    // Signed by somebody else, or not shown at all.
    let stranger = Authority::new().replica(2);
    let trusting = Credentials { authority: authority.pem.clone(), ..stranger };
    for credentials in [Some(&trusting), None] {
        let said = say(credentials, vec![envelope(CLUSTER, 2, 1)]);
        assert!(!said.contains("heard") && !said.contains("the caller"), "{said}");
    }
    assert_eq!(members.network(0).totals().refused, count + 1);
    assert_eq!(members.network(0).totals().received, 2);
}

#[test]
fn only_replicas_are_heard_over_grpc_and_only_in_their_own_name() {
    hears_only_replicas(Via::Grpc);
}

#[test]
fn only_replicas_are_heard_over_quic_and_only_in_their_own_name() {
    hears_only_replicas(Via::Quic);
}

#[tokio::test]
async fn a_stream_of_a_later_version_is_told_from_nonsense() {
    let members = Members::tuned(Via::Quic, 1, |_, _| {});
    let two = members.authority.as_ref().expect("with TLS").replica(2);
    let (address, listener) = (members.all[0].address, members.network(0));
    let frame = envelope(CLUSTER, 2, 1);
    let said = say_over_quic(address, &two, vec![(9, frame.clone())], listener).await;
    assert!(said.contains("(code 19)") && said.contains("kind 9"), "{said}");
    let said = say_over_quic(address, &two, vec![(proto::PARCEL, frame)], listener).await;
    assert!(said.contains("(code 20)"), "{said}");
}

fn bounds_what_waits(via: Via) {
    let mut members = Members::new(via);
    members.put(0, b"x", b"1");
    members.stop(2);
    let value = vec![7; 512 << 10];
    for n in 0..100_u8 {
        members.put(0, &[n], &value);
    }
    let dropped = |at| members.network(at).totals().dropped;
    assert!(dropped(0) + dropped(1) > 0, "a replica that is away is sent nothing");
}

#[test]
fn what_waits_for_a_replica_that_is_not_there_is_bounded_over_grpc() {
    bounds_what_waits(Via::Grpc);
}

#[test]
fn what_waits_for_a_replica_that_is_not_there_is_bounded_over_quic() {
    bounds_what_waits(Via::Quic);
}

/// Another authority takes the place of the first one, and nobody stops.
fn rotates(via: Via) {
    let members = Members::new(via);
    members.put(0, b"x", b"0");
    let (old, new) = (members.authority.as_ref().expect("with TLS"), Authority::new());
    let both = format!("{}{}", old.pem, new.pem);
    // All believe both; all show the new one; all believe only the new one.
    let believing = |credentials: Credentials, authority: &str| Credentials {
        authority: authority.into(),
        ..credentials
    };
    let steps: [&dyn Fn(u64) -> Credentials; 3] =
        [&|id| believing(old.replica(id), &both), &|id| believing(new.replica(id), &both), &|id| {
            believing(new.replica(id), &new.pem)
        }];
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let caller = runtime.block_on(async { caller() });
    // Somebody whose certificate is of the first authority, and who is connected all the while.
    let two = believing(old.replica(2), &both);
    let (address, mut connected) = (members.all[0].address, None);
    for (step, credentials) in (1..).zip(steps) {
        for at in 0..3 {
            let network = members.network(at);
            network.reload(&credentials(at as u64 + 1)).expect("they are of use");
            let value = format!("{step} {at}");
            members.put(at, b"x", value.as_bytes());
            assert_eq!(members.get((at + 1) % 3, b"x"), Some(value.into()));
        }
        if step < 3 && via == Via::Quic {
            let connection = runtime.block_on(connect_over_quic(&caller, address, &two));
            connected = Some(connection.expect("believed"));
        }
        let heard = members.say(Some(&two), vec![envelope(CLUSTER, 2, 1)]) == "heard";
        assert_eq!(heard, step < 3, "believed as long as somebody says so");
    }
    if let Some(connection) = connected {
        let closed = async { tokio::time::timeout(PATIENCE, connection.closed()).await };
        let closed = runtime.block_on(closed);
        assert!(closed.is_ok(), "whoever is believed no longer is heard no longer");
    }
    // What is of no use changes nothing.
    let not_own = members.network(0).reload(&new.replica(2));
    assert!(matches!(not_own, Err(NetError::Credentials(CredentialsError::NotOwn(_)))));
    members.put(0, b"x", b"still");
    assert_eq!(members.get(2, b"x"), Some("still".into()));
}

#[test]
fn certificates_and_authorities_change_without_a_restart_over_grpc() {
    rotates(Via::Grpc);
}

#[test]
fn certificates_and_authorities_change_without_a_restart_over_quic() {
    rotates(Via::Quic);
}
