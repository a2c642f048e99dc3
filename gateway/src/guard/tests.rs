//! What the guard decides, at times that the tests choose.

use serde_json::json;

use super::*;

struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn after(&self, seconds: u64) -> Instant {
        self.0 + Duration::from_secs(seconds)
    }
}

/// A guard that has published this much.
fn guard(endpoints: usize) -> (Guard, Clock) {
    let clock = Clock::start();
    let mut guard = Guard::new(GuardConfig::default());
    assert_eq!(guard.judge(endpoints, clock.after(0)), Verdict::Publish);
    (guard, clock)
}

#[test]
fn more_than_half_is_held_and_half_is_not() {
    let (mut guard, clock) = guard(100);
    assert_eq!(guard.judge(50, clock.after(1)), Verdict::Publish);
    assert_eq!(guard.judge(49, clock.after(1)), Verdict::Hold);
    let held = guard.held().unwrap();
    assert_eq!(
        (held.since, held.before, held.left),
        (clock.after(1), 100, 49)
    );
}

#[test]
fn the_first_state_and_a_small_one_are_not_guarded() {
    let (mut small, clock) = guard(LEAST_ENDPOINTS - 1);
    assert_eq!(small.judge(0, clock.after(1)), Verdict::Publish);
    let (mut large, clock) = guard(LEAST_ENDPOINTS);
    assert_eq!(large.judge(0, clock.after(1)), Verdict::Hold);
    let (mut empty, clock) = guard(0);
    assert_eq!(empty.judge(1_000, clock.after(1)), Verdict::Publish);
}

#[test]
fn a_loss_in_many_small_steps_is_held_when_most_is_gone() {
    let (mut guard, clock) = guard(100);
    let verdicts: Vec<_> = (1..=10)
        .map(|step| guard.judge(100 - 10 * step, clock.after(step as u64)))
        .collect();
    assert_eq!(verdicts[..5], [Verdict::Publish; 5]);
    assert_eq!(verdicts[5..], [Verdict::Hold; 5]);
    assert_eq!(guard.held().unwrap().before, 100);
}

#[test]
fn a_slow_decline_is_not_held() {
    let (mut guard, clock) = guard(100);
    for step in 1..=9 {
        let now = clock.after(step * 90);
        let endpoints = 100 - 10 * usize::try_from(step).unwrap();
        assert_eq!(guard.judge(endpoints, now), Verdict::Publish, "{endpoints}");
    }
}

#[test]
fn what_stood_until_just_now_counts_however_long_ago_it_was_published() {
    let (mut guard, clock) = guard(100);
    assert_eq!(guard.judge(60, clock.after(3_600)), Verdict::Publish);
    assert_eq!(guard.judge(40, clock.after(3_601)), Verdict::Hold);
}

#[test]
fn a_hold_does_not_wear_off() {
    let (mut guard, clock) = guard(100);
    guard.judge(60, clock.after(1));
    assert_eq!(guard.judge(40, clock.after(2)), Verdict::Hold);
    // Compared to the 60 that stand now it would be no loss of most.
    assert_eq!(guard.judge(40, clock.after(100_000)), Verdict::Hold);
    assert_eq!(guard.held().unwrap().since, clock.after(2));
}

#[test]
fn a_loss_that_heals_is_published_as_it_is_then() {
    let (mut guard, clock) = guard(100);
    assert_eq!(guard.judge(0, clock.after(1)), Verdict::Hold);
    guard.list_begins();
    assert_eq!(guard.judge(30, clock.after(2)), Verdict::Hold);
    assert_eq!(guard.judge(80, clock.after(3)), Verdict::Publish);
    assert_eq!(guard.held(), None);
    // The list that was asked for has nothing to confirm any more.
    assert_eq!(guard.list_ends(80, clock.after(4)), Verdict::Publish);
    assert_eq!(guard.judge(20, clock.after(5)), Verdict::Hold);
}

#[test]
fn a_confirmed_loss_is_published_and_is_the_new_level() {
    let (mut guard, clock) = guard(100);
    assert_eq!(guard.judge(20, clock.after(1)), Verdict::Hold);
    guard.list_begins();
    assert_eq!(guard.list_ends(20, clock.after(2)), Verdict::Publish);
    assert_eq!(guard.held(), None);
    assert_eq!(guard.judge(15, clock.after(3)), Verdict::Publish);
    assert_eq!(guard.judge(9, clock.after(4)), Verdict::Hold);
}

#[test]
fn what_goes_while_the_list_runs_is_judged_against_what_it_confirms() {
    // Not much more went: that is no sudden loss on top of the confirmed one.
    let (mut first, clock) = guard(100);
    first.judge(40, clock.after(1));
    first.list_begins();
    assert_eq!(first.judge(30, clock.after(2)), Verdict::Hold);
    assert_eq!(first.list_ends(30, clock.after(3)), Verdict::Publish);

    // Most of the rest went, after the list may have been made: it takes another.
    let (mut second, clock) = guard(100);
    second.judge(40, clock.after(1));
    second.list_begins();
    assert_eq!(second.judge(5, clock.after(2)), Verdict::Hold);
    assert_eq!(second.list_ends(5, clock.after(3)), Verdict::Hold);
    assert_eq!(second.held().unwrap().since, clock.after(1));
    second.list_begins();
    assert_eq!(second.list_ends(5, clock.after(4)), Verdict::Publish);
}

#[test]
fn a_list_that_finds_everything_again_ends_the_hold() {
    let (mut guard, clock) = guard(100);
    guard.judge(1, clock.after(1));
    guard.list_begins();
    assert_eq!(guard.list_ends(100, clock.after(2)), Verdict::Publish);
    assert_eq!(guard.judge(1, clock.after(3)), Verdict::Hold);
}

#[test]
fn what_somebody_wants_is_not_judged() {
    let (mut guard, clock) = guard(100);
    guard.reset(20, clock.after(1));
    assert_eq!(guard.judge(12, clock.after(2)), Verdict::Publish);
}

#[test]
fn it_can_be_off_or_set_otherwise() {
    let clock = Clock::start();
    let mut guard = Guard::new(GuardConfig::OFF);
    guard.judge(100, clock.after(0));
    assert_eq!(guard.judge(0, clock.after(1)), Verdict::Publish);

    let config: GuardConfig = serde_json::from_value(json!({"max_loss": "90%"})).unwrap();
    let mut guard = Guard::new(config);
    guard.judge(100, clock.after(0));
    assert_eq!(guard.judge(10, clock.after(1)), Verdict::Publish);
    assert_eq!(guard.judge(9, clock.after(2)), Verdict::Hold);
    guard.set_config(GuardConfig::OFF);
    assert_eq!(guard.judge(9, clock.after(3)), Verdict::Publish);
}

#[test]
fn its_configuration_reads_as_people_write_it() {
    let read = |text: &str| serde_saphyr::from_str::<GuardConfig>(text);
    for text in ["off", "'off'", "false"] {
        assert_eq!(read(text).unwrap(), GuardConfig::OFF, "{text}");
    }
    for text in ["{}", "on", "true", "{max_loss: 50%}"] {
        assert_eq!(read(text).unwrap(), GuardConfig::default(), "{text}");
    }
    let third = read("{max_loss: 33.3%}").unwrap();
    assert_eq!(
        third.max_loss.map(|it| it.to_string()),
        Some("33.3%".to_owned())
    );
    for text in [
        "{max_loss: 101%}",
        "{max_loss: 50}",
        "{max_loss: half}",
        "{loss: 50%}",
        "maybe",
        "5",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    for config in [GuardConfig::OFF, third] {
        let shown = serde_json::to_value(config).unwrap();
        assert_eq!(
            serde_json::from_value::<GuardConfig>(shown).unwrap(),
            config
        );
    }
}
