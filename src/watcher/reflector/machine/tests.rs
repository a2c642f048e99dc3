//! The rules of the state machine, one by one, and that no input makes it spin.

use super::*;
use proptest::prelude::*;

const NO_JITTER: f64 = 0.999_999;

struct Driver {
    machine: Machine,
    now: Instant,
}

impl Driver {
    fn new(strategy: InitialList) -> Self {
        Self {
            machine: Machine::new(strategy, Duration::from_secs(300)),
            now: Instant::now(),
        }
    }

    /// A machine that watches from version 10.
    fn watching() -> Self {
        let mut driver = Self::new(InitialList::Paged);
        driver.next();
        assert_eq!(driver.page("10"), Outcome::Synced { went_back: false });
        assert_eq!(driver.next(), watch("10"));
        driver.input(Input::Opened);
        driver
    }

    fn next(&mut self) -> Step {
        self.machine.next()
    }

    /// The next step that is no wait, and how long was waited.
    fn next_after_wait(&mut self) -> (Step, Duration) {
        match self.next() {
            Step::Wait(wait) => {
                self.now += wait;
                (self.next(), wait)
            }
            step => (step, Duration::ZERO),
        }
    }

    fn input(&mut self, input: Input) -> Outcome {
        self.machine.input(input, self.now, NO_JITTER)
    }

    fn page(&mut self, version: &str) -> Outcome {
        self.input(Input::Page {
            version: version.into(),
            token: None,
        })
    }

    fn applied(&mut self, version: &str) {
        assert_eq!(
            self.input(Input::Applied {
                version: version.into()
            }),
            Outcome::Continue
        );
    }
}

fn watch(version: &str) -> Step {
    Step::Watch {
        version: version.into(),
    }
}

fn list() -> Step {
    Step::List {
        token: None,
        limit: true,
    }
}

fn refused(code: u16) -> Input {
    Input::Refused(Refusal {
        code,
        ..Refusal::default()
    })
}

#[test]
fn r1_a_streaming_list_that_is_refused_falls_back_to_pages_at_once_and_for_good() {
    for code in [400, 405, 415, 422] {
        let mut driver = Driver::new(InitialList::Auto);
        assert_eq!(driver.next(), Step::Stream);
        assert_eq!(driver.input(refused(code)), Outcome::Restart);
        assert_eq!(driver.next(), list());
        driver.page("5");
        driver.next();
        driver.input(Input::Opened);
        driver.input(refused(410));
        assert_eq!(
            driver.next_after_wait().0,
            list(),
            "remembered for the relist"
        );
    }
}

#[test]
fn r1_a_streaming_list_without_progress_falls_back_to_pages() {
    let mut driver = Driver::new(InitialList::Auto);
    driver.next();
    driver.input(Input::Opened);
    assert_eq!(driver.input(Input::NoProgress), Outcome::Restart);
    assert_eq!(driver.next(), list());
    assert!(driver.machine.streaming_refused());
}

#[test]
fn r1_a_streaming_list_that_breaks_off_again_and_again_is_read_in_pages() {
    let mut driver = Driver::new(InitialList::Auto);
    for _ in 0..BROKEN_STREAMS {
        assert_eq!(driver.next_after_wait().0, Step::Stream);
        driver.input(Input::Opened);
        driver.input(Input::Ended);
    }
    assert_eq!(driver.next_after_wait().0, list());
    assert!(
        !driver.machine.streaming_refused(),
        "that is no refusal to remember"
    );
}

#[test]
fn r1_an_ailing_server_is_no_refusal_of_streaming() {
    let mut driver = Driver::new(InitialList::Auto);
    driver.next();
    driver.input(refused(503));
    let (step, wait) = driver.next_after_wait();
    assert_eq!(step, Step::Stream);
    assert!(wait > Duration::from_millis(700));
}

#[test]
fn r1_a_streaming_list_goes_on_as_a_watch() {
    let mut driver = Driver::new(InitialList::Auto);
    driver.next();
    driver.input(Input::Opened);
    driver.applied("3");
    assert_eq!(
        driver.input(Input::InitialEventsEnd {
            version: "9".into()
        }),
        Outcome::Synced { went_back: false }
    );
    assert!(driver.machine.is_watching());
    driver.applied("11");
    driver.now += Duration::from_secs(400);
    assert_eq!(driver.input(Input::Ended), Outcome::Next);
    assert_eq!(driver.next(), watch("11"));
}

#[test]
fn r2_pages_follow_each_other_and_an_expired_token_gives_one_full_list() {
    let mut driver = Driver::new(InitialList::Paged);
    assert_eq!(driver.next(), list());
    let page = Input::Page {
        version: "5".into(),
        token: Some("t".into()),
    };
    assert_eq!(driver.input(page), Outcome::Next);
    assert_eq!(
        driver.next(),
        Step::List {
            token: Some("t".into()),
            limit: true
        }
    );
    assert_eq!(driver.input(refused(410)), Outcome::Restart);
    assert_eq!(
        driver.next(),
        Step::List {
            token: None,
            limit: false
        },
        "at once, and whole"
    );
}

#[test]
fn r2_a_server_that_gives_the_same_page_again_and_again_is_asked_for_the_whole_list_after_a_wait() {
    let mut driver = Driver::new(InitialList::Paged);
    driver.next();
    let page = Input::Page {
        version: "5".into(),
        token: Some("t".into()),
    };
    for round in 1..20 {
        assert!(!driver.machine.has_no_end("t"));
        assert_eq!(driver.input(page.clone()), Outcome::Next);
        driver.next();
        assert!(driver.machine.has_no_end("t"));
        assert_eq!(driver.input(page.clone()), Outcome::Restart);
        let (step, wait) = driver.next_after_wait();
        // Nothing is tried for ever that does not work.
        let limit = round % 3 == 0;
        assert_eq!(step, Step::List { token: None, limit }, "{round}");
        assert!(!wait.is_zero());
    }
}

#[test]
fn r2_a_server_that_cannot_give_the_whole_list_is_asked_for_pages_again() {
    for input in [refused(504), Input::Failed, refused(429)] {
        let mut driver = Driver::new(InitialList::Paged);
        driver.next();
        driver.input(Input::Page {
            version: "5".into(),
            token: Some("t".into()),
        });
        driver.next();
        driver.input(refused(410));
        let whole = Step::List {
            token: None,
            limit: false,
        };
        assert_eq!(driver.next(), whole);
        driver.input(input.clone());
        assert_eq!(driver.next_after_wait().0, whole);
        assert_eq!(driver.input(input), Outcome::Restart);
        let (step, wait) = driver.next_after_wait();
        assert_eq!(step, list());
        assert!(!wait.is_zero());
    }
}

#[test]
fn r1_a_server_that_streamed_before_is_only_passed_over_when_it_cannot() {
    for input in [refused(400), Input::NoProgress, refused(503)] {
        let mut driver = Driver::new(InitialList::Auto);
        assert_eq!(driver.next(), Step::Stream);
        let complete = || Input::InitialEventsEnd {
            version: "10".into(),
        };
        driver.input(complete());
        driver.next();
        driver.input(refused(410));
        // As often as it takes.
        let mut refusals = 0;
        while driver.next_after_wait().0 == Step::Stream {
            driver.input(input.clone());
            refusals += 1;
        }
        assert!(refusals <= 3, "{refusals}");
        assert!(!driver.machine.streaming_refused());
        driver.page("20");
        driver.next();
        driver.input(refused(410));
        assert_eq!(driver.next_after_wait().0, Step::Stream);
    }
}

#[test]
fn r6_a_watch_that_is_asked_to_be_short_stays_up_by_lasting() {
    let mut machine = Machine::new(InitialList::Paged, Duration::from_secs(5));
    let now = Instant::now();
    machine.next();
    let page = Input::Page {
        version: "10".into(),
        token: None,
    };
    machine.input(page, now, NO_JITTER);
    for (lasted, backs_off) in [
        (Duration::from_secs(1), true),
        (Duration::from_secs(5), false),
    ] {
        machine.next();
        machine.input(Input::Opened, now, NO_JITTER);
        assert_eq!(machine.would_back_off(now + lasted), backs_off);
        machine.input(Input::Ended, now + lasted, NO_JITTER);
        assert_eq!(matches!(machine.next(), Step::Wait(_)), backs_off);
    }
}

#[test]
fn r3_a_drop_after_a_bookmark_costs_no_relist() {
    let mut driver = Driver::watching();
    driver.input(Input::Bookmark {
        version: "20".into(),
    });
    driver.input(Input::Failed);
    assert_eq!(driver.next_after_wait().0, watch("20"));
}

#[test]
fn r4_gone_relists_as_event_and_as_answer() {
    let mut driver = Driver::watching();
    driver.applied("11");
    assert_eq!(driver.input(refused(410)), Outcome::Restart);
    assert_eq!(driver.next(), list(), "at once after a watch that worked");
    driver.page("30");
    assert_eq!(driver.next(), watch("30"));
    let expired = Refusal {
        code: 500,
        expired: true,
        ..Refusal::default()
    };
    assert_eq!(driver.input(Input::Refused(expired)), Outcome::Restart);
    let (step, wait) = driver.next_after_wait();
    assert_eq!(step, list());
    assert!(!wait.is_zero(), "but not in a loop");
}

#[test]
fn r4_a_server_that_lists_and_refuses_every_watch_is_asked_ever_less_often() {
    let mut driver = Driver::watching();
    let mut waits = Vec::new();
    for _ in 0..8 {
        driver.input(refused(410));
        let (step, wait) = driver.next_after_wait();
        assert_eq!(step, list());
        driver.page("10");
        driver.next();
        waits.push(wait.as_millis());
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(*waits.last().unwrap() > 25_000, "{waits:?}");
}

#[test]
fn r5_an_ailing_server_is_asked_for_the_same_step_after_the_time_it_names() {
    for code in [429, 500, 503, 504] {
        let mut driver = Driver::watching();
        let refusal = Refusal {
            code,
            retry_after: Some(Duration::from_secs(7)),
            ..Refusal::default()
        };
        assert_eq!(driver.input(Input::Refused(refusal)), Outcome::Next);
        assert_eq!(
            driver.next_after_wait(),
            (watch("10"), Duration::from_secs(7))
        );
    }
    let mut driver = Driver::new(InitialList::Paged);
    driver.next();
    driver.input(Input::Page {
        version: "5".into(),
        token: Some("t".into()),
    });
    driver.next();
    driver.input(refused(503));
    assert_eq!(
        driver.next_after_wait().0,
        Step::List {
            token: Some("t".into()),
            limit: true
        }
    );
}

#[test]
fn r5_another_refusal_of_a_watch_relists_after_a_wait() {
    for code in [400, 403, 404, 422] {
        let mut driver = Driver::watching();
        assert_eq!(driver.input(refused(code)), Outcome::Restart);
        let (step, wait) = driver.next_after_wait();
        assert_eq!(step, list());
        assert!(!wait.is_zero());
    }
}

#[test]
fn r6_only_real_progress_resets_the_waits() {
    let mut driver = Driver::watching();
    let wait_after_failure = |driver: &mut Driver| {
        driver.input(Input::Failed);
        let (step, wait) = driver.next_after_wait();
        assert!(matches!(step, Step::Watch { .. }));
        driver.input(Input::Opened);
        wait.as_millis()
    };
    let first = wait_after_failure(&mut driver);
    let second = wait_after_failure(&mut driver);
    assert!(second > first * 3 / 2, "being opened is no progress");
    driver.applied("12");
    assert_eq!(wait_after_failure(&mut driver), first, "an event is");
    wait_after_failure(&mut driver);
    driver.now += STAYED_UP;
    assert_eq!(wait_after_failure(&mut driver), first, "staying up is");
}

#[test]
fn r7_a_watch_that_ends_at_once_waits_ever_longer() {
    let mut driver = Driver::watching();
    let mut waits = Vec::new();
    for _ in 0..8 {
        driver.input(Input::Ended);
        let (step, wait) = driver.next_after_wait();
        assert_eq!(step, watch("10"));
        driver.input(Input::Opened);
        waits.push(wait.as_millis());
    }
    assert_eq!(waits.first(), Some(&799));
    assert!(*waits.last().unwrap() > 29_000, "{waits:?}");
}

#[test]
fn r8_a_clean_end_after_progress_is_followed_by_a_watch_at_once() {
    let mut driver = Driver::watching();
    driver.applied("12");
    driver.input(Input::Ended);
    assert_eq!(driver.next(), watch("12"));
    driver.input(Input::Opened);
    driver.now += Duration::from_secs(300);
    driver.input(Input::Ended);
    assert_eq!(
        driver.next(),
        watch("12"),
        "also after a long time without events"
    );
}

#[test]
fn r11_a_garbled_line_reopens_the_watch_and_the_same_one_again_relists_once() {
    let mut driver = Driver::watching();
    driver.applied("12");
    assert_eq!(driver.input(Input::Garbled), Outcome::Next);
    assert_eq!(driver.next_after_wait().0, watch("12"));
    driver.input(Input::Opened);
    assert_eq!(driver.input(Input::Garbled), Outcome::Restart);
    assert_eq!(driver.next_after_wait().0, list());
    driver.page("13");
    assert_eq!(driver.next_after_wait().0, watch("13"));
    driver.input(Input::Opened);
    assert_eq!(
        driver.input(Input::Garbled),
        Outcome::Next,
        "another place, counted anew"
    );
}

#[test]
fn r14_a_list_older_than_what_was_seen_is_asked_again_three_times_and_then_believed() {
    let mut driver = Driver::watching();
    driver.applied("100");
    driver.input(refused(410));
    for _ in 0..STALE_LISTS {
        assert_eq!(driver.next_after_wait().0, list());
        assert_eq!(driver.page("99"), Outcome::Restart);
        assert_eq!(driver.machine.version(), "100");
    }
    let (step, wait) = driver.next_after_wait();
    assert_eq!(step, list());
    assert!(!wait.is_zero());
    assert_eq!(driver.page("99"), Outcome::Synced { went_back: true });
    assert_eq!(driver.next(), watch("99"));
}

#[test]
fn r14_a_watch_refused_for_a_version_in_the_future_relists_in_the_end() {
    let mut driver = Driver::watching();
    let too_new = Refusal {
        code: 504,
        too_new: true,
        ..Refusal::default()
    };
    for _ in 0..FUTURE_REFUSALS - 1 {
        assert_eq!(driver.input(Input::Refused(too_new)), Outcome::Next);
        assert_eq!(driver.next_after_wait().0, watch("10"));
    }
    assert_eq!(driver.input(Input::Refused(too_new)), Outcome::Restart);
    // The same as events of watches that are opened first.
    let mut driver = Driver::watching();
    for _ in 0..FUTURE_REFUSALS - 1 {
        assert_eq!(driver.input(Input::Refused(too_new)), Outcome::Next);
        driver.next_after_wait();
        driver.input(Input::Opened);
    }
    assert_eq!(driver.input(Input::Refused(too_new)), Outcome::Restart);
}

fn any_input() -> impl Strategy<Value = Input> {
    let version = (0u32..30).prop_map(|number| number.to_string());
    prop_oneof![
        (version.clone(), proptest::option::of("[a-z]"))
            .prop_map(|(version, token)| Input::Page { version, token }),
        Just(Input::Opened),
        version
            .clone()
            .prop_map(|version| Input::InitialEventsEnd { version }),
        version.prop_map(|version| Input::Bookmark { version }),
        Just(Input::Garbled),
        Just(Input::Disorder),
        Just(Input::NotStored),
        (400u16..600, any::<bool>(), any::<bool>()).prop_map(|(code, expired, too_new)| {
            Input::Refused(Refusal {
                code,
                expired,
                too_new,
                retry_after: None,
            })
        }),
        Just(Input::Failed),
        Just(Input::Ended),
        Just(Input::NoProgress),
    ]
}

proptest! {
    /// Whatever a server does, short of showing progress, requests become rare.
    #[test]
    fn r7_no_series_of_failures_makes_it_spin(inputs in proptest::collection::vec(any_input(), 200..400)) {
        let mut driver = Driver::new(InitialList::Auto);
        let start = driver.now;
        let mut requests = 0u32;
        let mut inputs = inputs.into_iter();
        'steps: loop {
            match driver.next() {
                Step::Wait(wait) => driver.now += wait,
                step => {
                    requests += 1;
                    loop {
                        let Some(input) = inputs.next() else { break 'steps };
                        // Each request gets inputs that can come of it.
                        let possible = match (&step, &input) {
                            (Step::List { .. }, Input::Page { token, .. }) => token.is_none(),
                            (Step::List { .. }, Input::Refused(_) | Input::Failed | Input::NotStored) => true,
                            (Step::List { .. }, _) | (_, Input::Page { .. }) => false,
                            _ => true,
                        };
                        if !possible {
                            continue;
                        }
                        let outcome = driver.machine.input(input, driver.now, 0.5);
                        if outcome != Outcome::Continue && !matches!(outcome, Outcome::Synced { .. }) {
                            break;
                        }
                        if matches!((&step, outcome), (Step::List { .. }, Outcome::Synced { .. })) {
                            break;
                        }
                    }
                }
            }
        }
        let minutes = driver.now.duration_since(start).as_secs_f64() / 60.0;
        // Waits grow to 15 s on average at this jitter; a list and a watch may share one wait.
        prop_assert!(f64::from(requests) <= 30.0 + minutes * 30.0, "{requests} requests in {minutes} minutes");
    }
}

#[test]
fn r12_a_list_that_is_wanted_ends_a_watch_without_a_wait() {
    let mut driver = Driver::watching();
    assert_eq!(driver.input(Input::ListWanted), Outcome::Restart);
    assert_eq!(driver.next(), list());
    assert_eq!(driver.page("12"), Outcome::Synced { went_back: false });
    assert_eq!(driver.next(), watch("12"));
}

#[test]
fn r12_a_list_that_is_wanted_may_be_a_streaming_one() {
    let mut driver = Driver::new(InitialList::Auto);
    assert_eq!(driver.next(), Step::Stream);
    driver.input(Input::Opened);
    let version = "10".to_owned();
    driver.input(Input::InitialEventsEnd { version });
    assert_eq!(driver.input(Input::ListWanted), Outcome::Restart);
    assert_eq!(driver.next(), Step::Stream);
}

#[test]
fn r6_a_list_that_is_wanted_does_not_shorten_the_backoff() {
    let mut driver = Driver::watching();
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(driver.input(refused(503)), Outcome::Next);
        assert_eq!(driver.input(Input::ListWanted), Outcome::Restart);
        let (step, wait) = driver.next_after_wait();
        assert_eq!(step, list());
        waits.push(wait);
        driver.page("11");
        assert_eq!(driver.next(), watch("11"));
    }
    assert!(waits.is_sorted() && waits[3] > 4 * waits[0], "{waits:?}");
}

#[test]
fn r12_a_list_that_is_wanted_while_one_is_made_changes_nothing() {
    let mut driver = Driver::new(InitialList::Auto);
    assert_eq!(driver.next(), Step::Stream);
    assert_eq!(driver.input(Input::ListWanted), Outcome::Continue);
    driver.input(refused(422));
    driver.next();
    let token = Some("further".to_owned());
    let page = Input::Page {
        version: "5".into(),
        token: token.clone(),
    };
    assert_eq!(driver.input(page), Outcome::Next);
    assert_eq!(driver.input(Input::ListWanted), Outcome::Continue);
    assert_eq!(driver.next(), Step::List { token, limit: true });
}

#[test]
fn r7_a_server_that_gives_ever_new_pages_is_asked_for_the_whole_list() {
    let mut driver = Driver::new(InitialList::Paged);
    for page in 1..=MOST_PAGES {
        let (step, wait) = driver.next_after_wait();
        assert!(
            matches!(step, Step::List { limit: true, .. }),
            "page {page}"
        );
        assert_eq!(wait, Duration::ZERO);
        let token = Some(page.to_string());
        let version = "5".into();
        let outcome = driver.input(Input::Page { version, token });
        let is_last = page == MOST_PAGES;
        assert_eq!(outcome == Outcome::Restart, is_last, "page {page}");
    }
    let (step, wait) = driver.next_after_wait();
    let whole = Step::List {
        token: None,
        limit: false,
    };
    assert_eq!(step, whole);
    assert!(!wait.is_zero());
    // One that gives pages even so is not asked for small ones again.
    let token = Some("even so".to_owned());
    let version = "5".into();
    let page = Input::Page {
        version,
        token: token.clone(),
    };
    assert_eq!(driver.input(page), Outcome::Next);
    let (step, _) = driver.next_after_wait();
    let further = Step::List {
        token,
        limit: false,
    };
    assert_eq!(step, further);
    assert_eq!(driver.page("5"), Outcome::Synced { went_back: false });
}
