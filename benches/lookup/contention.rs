//! How long single lookups take while others read and write.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kubedex::indexer::Record;
use kubedex::store::{MemoryStore, Scope, Store};

use super::objects::{Dataset, SLICES_PER_SERVICE};
use super::support::figures::{Figures, time};

const OBJECTS: usize = 100_000;
const WRITES_PER_SECOND: u32 = 10_000;
const MEASURE: Duration = Duration::from_secs(2);
/// The most lookups of one reader that are kept.
const KEPT: usize = 20_000_000;

/// One way of looking something up.
#[derive(Clone, Copy, Debug)]
enum Lookup {
    FullKey,
    Prefix,
    Miss,
}

pub(crate) fn report() {
    let data = Dataset::with(OBJECTS, Dataset::composite_indexes());
    let store = data.store();
    let order = data.random_order();
    // Every other write moves an object to another service and back.
    let records: Vec<Record> = order
        .iter()
        .take(10_000)
        .flat_map(|at| [data.record_of_service(*at, "another"), data.record(*at)])
        .collect();
    let mut figures = Figures::new(
        "contention",
        &[
            "single lookups among 100,000 objects, cold",
            "readers",
            "beside them",
            "median",
            "99 %",
            "99.9 %",
            "99.99 %",
            "longest",
        ],
    );
    let subject = Subject {
        data: &data,
        store: &store,
        order: &order,
    };
    for lookup in [Lookup::FullKey, Lookup::Prefix, Lookup::Miss] {
        for readers in [1, 2] {
            for writes in [0, WRITES_PER_SECOND] {
                let times = subject.run(lookup, readers, |over| {
                    if writes > 0 {
                        write(&store, &records, writes, over);
                    }
                });
                let beside = match writes {
                    0 => "-".to_owned(),
                    writes => format!("{writes} writes/s"),
                };
                row(&mut figures, lookup, readers, &beside, times);
            }
        }
    }
    let lists = [1, 2].map(|version| data.records_at(version));
    let times = subject.run(Lookup::FullKey, 1, |over| relist(&store, &lists, over));
    let beside = "relists, every object changed";
    row(&mut figures, Lookup::FullKey, 1, beside, times);
    println!("\nThe clock takes {} ns of each time.", clock());
    figures.save();
}

fn row(figures: &mut Figures, lookup: Lookup, readers: usize, beside: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let one_in = |one_in: usize| time(times[times.len() - 1 - times.len() / one_in] as f64);
    figures.row(&[
        match lookup {
            Lookup::FullKey => "by full key".to_owned(),
            Lookup::Prefix => format!("by prefix, finds {SLICES_PER_SERVICE}"),
            Lookup::Miss => "miss".to_owned(),
        },
        readers.to_string(),
        beside.to_owned(),
        one_in(2),
        one_in(100),
        one_in(1000),
        one_in(10_000),
        one_in(usize::MAX),
    ]);
}

fn clock() -> u128 {
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(Instant::now());
    }
    start.elapsed().as_nanos() / 1000
}

/// What is read.
struct Subject<'a> {
    data: &'a Dataset,
    store: &'a MemoryStore,
    order: &'a [usize],
}

impl Subject<'_> {
    /// The times of single lookups by so many readers while something else goes on until it is told to stop.
    fn run(
        &self,
        lookup: Lookup,
        readers: usize,
        beside: impl FnOnce(&AtomicBool) + Send,
    ) -> Vec<u64> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = &over;
            scope.spawn(move || beside(over));
            let readers: Vec<_> = (0..readers)
                .map(|reader| scope.spawn(move || self.read(lookup, reader * 1000, over)))
                .collect();
            std::thread::sleep(MEASURE);
            over.store(true, Ordering::Relaxed);
            readers
                .into_iter()
                .flat_map(|reader| reader.join().unwrap())
                .collect()
        })
    }

    fn read(&self, lookup: Lookup, from: usize, over: &AtomicBool) -> Vec<u64> {
        let mut times = Vec::with_capacity(KEPT);
        for at in self.order.iter().cycle().skip(from) {
            let (namespace, name) = self.data.key(*at);
            let (_, service) = self.data.service(*at);
            let start = Instant::now();
            match lookup {
                Lookup::FullKey => drop(black_box(self.store.get([namespace, name]))),
                Lookup::Miss => drop(black_box(self.store.get([namespace, "absent"]))),
                Lookup::Prefix => {
                    drop(black_box(
                        self.store.get_by("service", [namespace, &service]),
                    ));
                }
            }
            times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            if over.load(Ordering::Relaxed) || times.len() == KEPT {
                break;
            }
        }
        times
    }
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
