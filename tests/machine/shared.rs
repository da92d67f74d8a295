//! A machine shared by threads: the trait for its handle, as the contract says.

use bytes::Bytes;
use std::sync::Mutex;
use traft::apply::kv::{Kv, Op};
use traft::apply::{Digest, Machine};

/// Keys spread over several maps, each behind a lock of its own. One key a command.
struct Shards(Vec<Mutex<Kv>>);

impl Shards {
    fn new() -> Shards {
        Shards((0..4).map(|_| Mutex::new(Kv::new())).collect())
    }

    fn with<T>(&self, body: &Bytes, use_it: impl FnOnce(&mut Kv) -> T) -> T {
        let key = match Op::decode(body) {
            Ok(Op::Increment { key, .. } | Op::Set { key, .. } | Op::Get { key }) => key,
            _ => &[],
        };
        let shard = Digest::new().bytes(key).value() as usize % self.0.len();
        use_it(&mut self.0[shard].lock().expect("no thread panicked"))
    }
}

impl Machine for &Shards {
    fn apply(&mut self, body: &Bytes) -> Bytes {
        self.with(body, |kv| kv.apply(body))
    }

    fn read(&self, body: &Bytes) -> Bytes {
        self.with(body, |kv| kv.read(body))
    }

    fn digest(&self) -> u64 {
        let shards = self.0.iter().map(|shard| shard.lock().expect("no thread panicked").digest());
        shards.fold(0, u64::wrapping_add)
    }
}

/// Four threads, each with commands that interfere with none of another's.
#[test]
fn handles_on_several_threads_leave_the_state_of_one_thread() {
    let names: Vec<String> = (0..64).map(|n| format!("key{n}")).collect();
    let commands: Vec<Vec<Bytes>> = names
        .chunks(16)
        .map(|own| {
            let increment = |n: usize| {
                let key = own[n % own.len()].as_bytes();
                Op::Increment { key, by: n as i64 }.encode()
            };
            (0..500).map(increment).collect()
        })
        .collect();
    let shards = Shards::new();
    std::thread::scope(|scope| {
        for own in &commands {
            let mut handle = &shards;
            scope.spawn(move || own.iter().for_each(|body| drop(handle.apply(body))));
        }
    });
    let mut alone = Kv::new();
    commands.iter().flatten().for_each(|body| drop(alone.apply(body)));
    assert_eq!((&shards).digest(), alone.digest());
    let body = Op::Get { key: names[9].as_bytes() }.encode();
    assert_eq!((&shards).read(&body), alone.read(&body));
}
