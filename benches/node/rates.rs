//! How many commands are done in a second, and how long one takes: with 1, 64 and 1,024 in flight,
//! beside how often the disk syncs.

use crate::house::{Failed, House, own_processor};
use std::path::Path;
use std::time::{Duration, Instant};
use traft::disk::{Disk, RealDisk};
use traft::serve::load::Arrivals;

const IN_FLIGHT: [usize; 3] = [1, 64, 1024];

/// What one sync of the disk writes here: a small group of the log.
const BLOCK: usize = 4096;

pub(crate) fn run(house: &mut House, time: Duration) -> Result<(), Failed> {
    let syncs = |writers| syncs(&house.dir, writers, time.min(Duration::from_secs(2)));
    let (alone, three) = (syncs(1)?, syncs(3)?);
    println!(
        "{BLOCK} bytes written and synced: {alone:.0}/s by one, {three:.0}/s by each of three"
    );
    print!("| in flight | commands/s | p50 ms | p99 ms | CPU us each: replicas | clients | ");
    println!("writing calls each |\n| --- | --- | --- | --- | --- | --- | --- |");
    let leader = house.leader()?;
    for clients in IN_FLIGHT {
        let (before, own) = (house.uses(), own_processor());
        let report = house.write(leader, clients, Arrivals::Closed { depth: 1 }, time)?;
        let (after, own) = (house.uses(), own_processor() - own);
        if report.lost > 0 || !report.errors.is_empty() || report.writes.count == 0 {
            return Err(format!("not all was done: {report}").into());
        }
        // Of the whole time, the beginning included.
        let all = report.rate() * time.as_secs_f64() * 1.1;
        let spent = after.iter().map(|(id, now)| now.processor - before[id].processor);
        let writes = after.iter().map(|(id, now)| now.writes - before[id].writes).sum::<u64>();
        println!(
            "| {clients} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} |",
            report.rate(),
            report.writes.p50,
            report.writes.p99,
            spent.sum::<Duration>().as_secs_f64() * 1e6 / all,
            own.as_secs_f64() * 1e6 / all,
            writes as f64 / all,
        );
    }
    house.agree()
}

/// How often in a second a block is written and synced, by each of so many at once, into space that
/// is reserved.
fn syncs(dir: &Path, writers: usize, time: Duration) -> Result<f64, Failed> {
    let disk = RealDisk::new(dir.join("syncs"))?;
    let names: Vec<String> = (0..writers).map(|n| format!("syncs-{n}")).collect();
    let room = 64 << 20;
    for name in &names {
        disk.create(name)?;
        disk.preallocate(name, room)?;
        disk.sync(name)?;
    }
    let one = |name: &str| {
        let (began, mut count) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            let at = count * BLOCK as u64 % room;
            disk.write(name, at, &[0x5a; BLOCK])?;
            disk.sync(name)?;
            count += 1;
        }
        Ok::<f64, traft::disk::DiskError>(count as f64 / began.elapsed().as_secs_f64())
    };
    let rates: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(|| one(name))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    names.iter().try_for_each(|name| disk.remove(name))?;
    let rates = rates.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(rates.iter().sum::<f64>() / rates.len() as f64)
}
