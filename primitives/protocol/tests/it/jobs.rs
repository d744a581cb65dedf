//! The job state machine against the table of the specification, and over random sequences of events.

use proptest::{collection::vec, prelude::*};
use weft_protocol::job::{FailReason::*, JobEvent as E, JobState as S, *};

/// The table, row by row.
const TABLE: [(S, E, S); 19] = [
    (S::Open, E::Cancel, S::Cancelled),
    (S::Open, E::OpenTimeout, S::Expired),
    (S::Open, E::Take, S::Assigned),
    (S::Assigned, E::Decline, S::Cancelled),
    (S::Assigned, E::RunTimeout, S::Failed(Late)),
    (S::Assigned, E::Commit, S::Committed),
    (S::Committed, E::Drawn, S::Audit),
    (S::Audit, E::Undecided, S::Failed(Undecided)),
    (S::Audit, E::OracleSilent, S::Failed(Fraud)),
    (S::Audit, E::Agreed, S::Window),
    (S::Audit, E::Disagreed, S::Disputed),
    (S::Window, E::Challenge, S::Disputed),
    (S::Disputed, E::ChallengeFailed, S::Window),
    (S::Disputed, E::FraudProved, S::Failed(Fraud)),
    (S::Disputed, E::Undecided, S::Failed(Undecided)),
    (S::Audit, E::Withheld, S::Failed(Withheld)),
    (S::Window, E::Withheld, S::Failed(Withheld)),
    (S::Disputed, E::Withheld, S::Failed(Withheld)),
    (S::Window, E::WindowPassed, S::Final),
];

const STATES: [S; 14] = [
    S::Open,
    S::Assigned,
    S::Committed,
    S::Audit,
    S::Window,
    S::Disputed,
    S::Final,
    S::Cancelled,
    S::Expired,
    S::Failed(Late),
    S::Failed(Fraud),
    S::Failed(Withheld),
    S::Failed(Diverged),
    S::Failed(Undecided),
];

#[test]
fn every_pair_should_follow_the_table() {
    for state in STATES {
        for event in E::ALL {
            let diverged = (state, event) == (S::Window, E::WindowPassedDiverged);
            let row = TABLE.iter().find(|(from, on, _)| (*from, *on) == (state, event)).map(|(_, _, to)| *to);
            let expected = if diverged { Some(S::Failed(Diverged)) } else { row };
            assert_eq!(state.next(event), expected.ok_or(WrongState { state, event }), "{state:?} {event:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_job_should_end_once_and_only_over_an_audit(events in vec(prop::sample::select(E::ALL.to_vec()), 0..200)) {
        let (mut state, mut seen) = (S::Open, vec![S::Open]);
        for event in events {
            match state.next(event) {
                Ok(next) => {
                    prop_assert!(!state.is_terminal());
                    prop_assert_ne!(next, state);
                    state = next;
                    seen.push(state);
                },
                Err(error) => prop_assert_eq!(error, WrongState { state, event }),
            }
        }
        // Final only after commitment, audit and window; a run exists from Assigned to the end.
        if state == S::Final {
            for needed in [S::Assigned, S::Committed, S::Audit, S::Window] {
                prop_assert!(seen.contains(&needed));
            }
            prop_assert_eq!(seen[seen.len() - 2], S::Window);
        }
        prop_assert_eq!(seen.iter().filter(|state| state.is_terminal()).count(), usize::from(state.is_terminal()));
        prop_assert!(!(state.has_run() && state.is_terminal()));
        prop_assert!(seen.iter().skip(1).all(|state| state.has_run() || state.is_terminal()));
    }
}

#[test]
fn every_live_state_should_be_able_to_end() {
    for start in STATES.into_iter().filter(|state| !state.is_terminal()) {
        let (mut reached, mut todo) = (vec![start], vec![start]);
        while let Some(state) = todo.pop() {
            for next in E::ALL.into_iter().filter_map(|event| state.next(event).ok()) {
                if !reached.contains(&next) {
                    reached.push(next);
                    todo.push(next);
                }
            }
        }
        assert!(reached.iter().any(|state| state.is_terminal()));
    }
}
