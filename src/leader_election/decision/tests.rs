//! What no other test looks at from as near.

use super::*;

fn now(seconds: u64) -> Now {
    Now {
        local: Duration::from_secs(seconds),
        wall: MicroTime::from_micros(1_700_000_000_000_000),
    }
}

fn machine() -> Machine {
    let settings = Settings {
        identity: "one".into(),
        timing: Timing::default(),
        release: true,
        campaign_again: true,
    };
    Machine::new(settings, 1)
}

fn seen(version: &str, holder: &str, seconds: i64) -> Seen {
    Seen {
        version: version.into(),
        uid: "u".into(),
        record: Record {
            holder: holder.into(),
            seconds: Some(seconds),
            ..Record::default()
        },
    }
}

fn effects(machine: &mut Machine) -> Vec<Effect> {
    std::iter::from_fn(|| machine.next_effect()).collect()
}

/// What was sent, if it was a write.
fn written(effects: &[Effect]) -> Option<Record> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send {
            request: Request::Create(record) | Request::Update { record, .. },
            ..
        } => Some(record.clone()),
        _ => None,
    })
}

#[test]
fn l15_an_unusually_long_lease_is_reported_once_and_not_shortened() {
    let mut machine = machine();
    machine.tick(now(0));
    machine.answered(now(0), Answer::Found(seen("1", "other", 3600)));
    let reports = |effects: &[Effect]| {
        let is_report = |effect: &&Effect| matches!(effect, Effect::LongLease { .. });
        effects.iter().filter(is_report).count()
    };
    assert_eq!(reports(&effects(&mut machine)), 1);
    for at in [10, 3599] {
        machine.tick(now(at));
        machine.answered(now(at), Answer::Found(seen("1", "other", 3600)));
        let effects = effects(&mut machine);
        assert_eq!(reports(&effects), 0);
        assert!(written(&effects).is_none());
    }
    machine.tick(now(3610));
    machine.answered(now(3610), Answer::Found(seen("1", "other", 3600)));
    assert!(written(&effects(&mut machine)).is_some());
}

#[test]
fn l6_an_acquisition_that_was_acknowledged_too_late_is_no_leadership() {
    let mut machine = machine();
    machine.tick(now(0));
    machine.answered(now(0), Answer::Missing);
    let record = written(&effects(&mut machine)).unwrap();
    let stored = Seen {
        record,
        ..seen("1", "one", 15)
    };
    // The process was stopped in between.
    machine.answered(now(10), Answer::Written(stored));
    let effects = effects(&mut machine);
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Started { .. }))
    );
    assert!(!machine.is_leading());
}

#[test]
fn l6_a_token_that_ran_out_is_not_revived_by_a_late_answer() {
    let mut machine = machine();
    machine.tick(now(0));
    machine.answered(now(0), Answer::Missing);
    let record = written(&effects(&mut machine)).unwrap();
    let stored = |record: Record, version: &str| Seen {
        record,
        ..seen(version, "one", 15)
    };
    machine.answered(now(0), Answer::Written(stored(record, "1")));
    machine.tick(now(2));
    let renewal = written(&effects(&mut machine)).unwrap();
    assert!(machine.is_leading());
    // Sent at 2, it would be good until 12; but the token of before ran out at 10, and nobody looked.
    machine.answered(now(11), Answer::Written(stored(renewal, "2")));
    let effects = effects(&mut machine);
    assert!(
        matches!(effects.first(), Some(Effect::Lost(Loss::Deadline))),
        "{effects:?}"
    );
    assert!(!machine.is_leading());
}

#[test]
fn no_two_writes_are_equal_when_the_wall_clock_stands_still_or_goes_back() {
    let mut machine = machine();
    let stamps: Vec<MicroTime> = [5, 5, 3]
        .map(|micros| {
            let wall = MicroTime::from_micros(micros);
            machine.stamp(Now { wall, ..now(0) })
        })
        .into();
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}
