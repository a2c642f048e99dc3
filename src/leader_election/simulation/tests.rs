//! A fraction of the schedules, and whether each deliberate mistake is caught.

use super::*;

/// As many as take a second or two unoptimised.
const SCHEDULES: u64 = 1_500;

/// Within how many schedules a mistake has to be caught.
const ENOUGH: u64 = 20_000;

#[test]
fn l12_no_schedule_has_two_valid_tokens_or_no_leader() {
    let mut tally = Tally::default();
    for index in 0..SCHEDULES {
        match run(schedule_seed(1, index), None) {
            Ok(more) => tally.add(&more),
            Err(violation) => panic!("{violation}"),
        }
    }
    // It would be no proof if nothing happened.
    assert!(tally.tenures > 2 * SCHEDULES, "{tally:?}");
    assert!(
        tally.losses > SCHEDULES / 2 && tally.rival_tenures > SCHEDULES / 5,
        "{tally:?}"
    );
    assert!(
        tally.refused > 100 && tally.overlaps_after_edits > 10,
        "{tally:?}"
    );
}

#[test]
fn a_schedule_repeats_exactly() {
    let record = |seed| {
        let mut lines = Vec::new();
        let mut log = |at: Duration, line: &str| lines.push(format!("{at:?} {line}"));
        run(seed, Some(&mut log)).unwrap();
        lines
    };
    assert_eq!(record(schedule_seed(1, 7)), record(schedule_seed(1, 7)));
}

fn is_caught(mutation: Mutation) {
    for index in 0..ENOUGH {
        if let Err(violation) = run_with(schedule_seed(1, index), mutation) {
            println!("{mutation:?}: after {} schedules: {violation}", index + 1);
            return;
        }
    }
    panic!("{mutation:?} was not caught in {ENOUGH} schedules");
}

macro_rules! caught {
    ($($name:ident: $mutation:expr;)*) => {
        $(
            #[test]
            fn $name() {
                is_caught($mutation);
            }
        )*
    };
}

caught! {
    it_is_caught_if_expiry_is_judged_by_the_wall_clock: Mutation::Decision(Flaw::WallClock);
    it_is_caught_if_validity_counts_from_the_response: Mutation::Decision(Flaw::ValidityFromResponse);
    it_is_caught_if_writes_carry_no_resource_version: Mutation::NoResourceVersion;
    it_is_caught_if_the_lease_is_released_before_the_work_has_ended: Mutation::Decision(Flaw::EarlyRelease);
    it_is_caught_if_a_leader_that_sees_another_goes_on: Mutation::Decision(Flaw::NoEarlyStop);
    it_is_caught_if_a_foreign_duration_is_shortened: Mutation::Decision(Flaw::ShortenedDuration);
    it_is_caught_if_the_own_identity_is_trusted: Mutation::Decision(Flaw::TrustedIdentity);
    it_is_caught_if_a_missing_lease_is_created_at_once: Mutation::Decision(Flaw::HastyCreate);
    it_is_caught_if_it_campaigns_while_work_runs: Mutation::Decision(Flaw::EarlyCampaign);
    it_is_caught_if_a_leader_goes_on_past_the_renew_deadline: Mutation::Decision(Flaw::NoDeadline);
    it_is_caught_if_any_change_counts_as_a_renewal: Mutation::Decision(Flaw::AnyChangeRenews);
}
