//! How long single lookups take while others read and write.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kubedex::indexer::Record;
use kubedex::store::{MemoryStore, Scope, Store};

use super::objects::Dataset;

const OBJECTS: usize = 100_000;
const WRITES_PER_SECOND: u32 = 10_000;
const MEASURE: Duration = Duration::from_secs(3);

pub(crate) fn report() {
    let data = Dataset::new(OBJECTS);
    let store = data.store();
    let order = data.random_order();
    // Every other write moves an object to another service and back.
    let records: Vec<Record> = order
        .iter()
        .take(10_000)
        .flat_map(|at| [data.record_of_service(*at, "another"), data.record(*at)])
        .collect();
    println!(
        "\nlookups by full key among {OBJECTS} objects, each timed (the clock takes {} ns of it):",
        clock()
    );
    for readers in [1, 2] {
        for writes in [0, WRITES_PER_SECOND] {
            let times = run(&data, &store, &order, readers, |over| {
                if writes > 0 {
                    write(&store, &records, writes, over);
                }
            });
            print(&format!("{readers} readers, {writes:>6} writes/s"), times);
        }
    }
    let lists = [1, 2].map(|version| data.records_at(version));
    let times = run(&data, &store, &order, 1, |over| {
        relist(&store, &lists, over);
    });
    print(
        "1 readers, one relist after the other in which every object changed",
        times,
    );
}

fn print(what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let at = |one_in: usize| times[times.len() - 1 - times.len() / one_in];
    println!(
        "{what}: median {:>5} ns, 99 % {:>6} ns, 99.9 % {:>7} ns, 99.99 % {:>8} ns",
        at(2),
        at(100),
        at(1000),
        at(10_000)
    );
}

fn clock() -> u128 {
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(Instant::now());
    }
    start.elapsed().as_nanos() / 1000
}

/// The times of single lookups by so many readers while something else goes on until it is told to stop.
fn run(
    data: &Dataset,
    store: &MemoryStore,
    order: &[usize],
    readers: usize,
    beside: impl FnOnce(&AtomicBool) + Send,
) -> Vec<u64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = &over;
        scope.spawn(move || beside(other));
        let readers: Vec<_> = (0..readers)
            .map(|reader| {
                let over = &over;
                scope.spawn(move || {
                    let mut times = Vec::with_capacity(20_000_000);
                    for at in order.iter().cycle().skip(reader * 1000) {
                        let (namespace, name) = data.key(*at);
                        let start = Instant::now();
                        black_box(store.get([namespace, name]).ok());
                        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                        if over.load(Ordering::Relaxed) || times.len() == times.capacity() {
                            return times;
                        }
                    }
                    times
                })
            })
            .collect();
        std::thread::sleep(MEASURE);
        over.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .flat_map(|reader| reader.join().unwrap())
            .collect()
    })
}

/// Writes evenly. It spins between two writes: to sleep and wake would take the processor from a reader, and that would
/// be measured.
fn write(store: &MemoryStore, records: &[Record], per_second: u32, over: &AtomicBool) {
    let pause = Duration::from_secs(1) / per_second;
    let mut next = Instant::now();
    for record in records.iter().cycle() {
        while Instant::now() < next {
            std::hint::spin_loop();
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
        black_box(store.insert(record.clone()));
        next += pause;
    }
}

fn relist(store: &MemoryStore, lists: &[Vec<Record>], over: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for list in lists.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let differences = runtime
            .block_on(Store::replace(store, &Scope::All, list.clone()))
            .unwrap();
        assert_eq!(black_box(differences).len(), OBJECTS);
    }
}
