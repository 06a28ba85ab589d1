//! The machine, pair by pair.

mod years;

use super::*;
use crate::retention::{AtEnd, at_end};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn clocks(sca: i64, term: i64) -> Clocks {
    let at = |seconds| Timestamp::from_second(NOW.as_second() + seconds).unwrap();
    Clocks { sca_due: Some(at(sca)), reconfirm_due: None, notice_due: None, term_ends: at(term) }
}

fn states() -> Vec<State> {
    let mut all = vec![State::Initiated, State::Authorized, State::Active];
    all.extend(ReauthReason::ALL.iter().map(|reason| State::ReauthPending(*reason)));
    all.extend(ExpiryReason::ALL.iter().map(|reason| State::Expired(*reason)));
    all.extend(RevokedBy::ALL.iter().map(|by| State::Revoked(*by)));
    all.extend(FailureReason::ALL.iter().map(|reason| State::Failed(*reason)));
    all
}

fn events() -> Vec<Event> {
    let clocks = clocks(100, 200);
    let mut all = vec![
        Event::Authorised(clocks),
        Event::PartlyAuthorised(NOW),
        Event::Declined,
        Event::Rejected,
        Event::LoginFailed,
        Event::FirstFetchDone,
        Event::Tick,
        Event::TokenLost,
        Event::Suspended,
        Event::Displaced,
        Event::Reinstated,
        Event::Reauthenticated(clocks),
        Event::Reconfirmed(clocks),
        Event::EndedByBank,
        Event::Superseded,
        Event::Restricted,
        Event::Released,
        Event::HoldPlaced,
        Event::HoldLifted,
        Event::EraseRequested,
        Event::Erased,
    ];
    all.extend(RevokedBy::ALL.iter().map(|by| Event::Revoke(*by)));
    all
}

fn consent(state: State, data: DataState) -> Consent {
    Consent { state, data, authorise_by: NOW, clocks: Some(clocks(100, 200)), warned: NOW }
}

/// What every event does to every state: one row a state, one column an event, in the order of [`EVENTS`].
///
/// `-` refused · `=` stays · `Z` authorized · `A` active · `T` waits for tokens · `X` suspended by the bank · `Y` displaced by
/// another product's · `B` ended by the
/// bank · `P` superseded · `R` revoked, and its data go · `D` declined · `J` rejected · `E` broken · `O` timed out ·
/// `e` its data go · `d` its data are gone · `r` its data are kept and not used · `u` they are used again · `h` the law holds
/// its data · `l` it does not any more · `k` its data are to go and are held · `K` revoked, and its data are held
const TABLE: &str = "
                               au pa de re lf ff ti tl su di ri ra rc eb sp rs rl hp hl er ed rv
    initiated                   Z  =  D  J  E  -  O  -  -  -  -  -  -  J  -  -  -  -  -  -  -  R
    authorized                  -  -  -  -  E  A  =  T  X  Y  -  A  -  B  P  r  -  h  -  -  -  R
    active                      -  -  -  -  -  =  =  T  X  Y  -  =  =  B  P  r  -  h  -  -  -  R
    reauth_pending/sca_expired  -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  h  -  -  -  R
    reauth_pending/reconfirm_missed
                                -  -  -  -  -  -  =  -  -  -  -  A  A  B  P  r  -  h  -  -  -  R
    reauth_pending/token_lost   -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  h  -  -  -  R
    reauth_pending/suspended_by_bank
                                -  -  -  -  -  -  =  -  -  -  A  A  =  B  P  r  -  h  -  -  -  R
    reauth_pending/superseded   -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  h  -  -  -  R
    authorized restricted       -  -  -  -  E  A  =  T  X  Y  -  A  -  B  P  -  u  h  -  -  -  R
    active restricted           -  -  -  -  -  =  =  T  X  Y  -  =  =  B  P  -  u  h  -  -  -  R
    reauth_pending/sca_expired restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  h  -  -  -  R
    reauth_pending/reconfirm_missed restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  A  B  P  -  u  h  -  -  -  R
    reauth_pending/token_lost restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  h  -  -  -  R
    reauth_pending/suspended_by_bank restricted
                                -  -  -  -  -  -  =  -  -  -  A  A  =  B  P  -  u  h  -  -  -  R
    reauth_pending/superseded restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  h  -  -  -  R
    authorized held             -  -  -  -  E  A  =  T  X  Y  -  A  -  B  P  r  -  -  l  -  -  K
    active held                 -  -  -  -  -  =  =  T  X  Y  -  =  =  B  P  r  -  -  l  -  -  K
    reauth_pending/sca_expired held
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  -  l  -  -  K
    reauth_pending/reconfirm_missed held
                                -  -  -  -  -  -  =  -  -  -  -  A  A  B  P  r  -  -  l  -  -  K
    reauth_pending/token_lost held
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  -  l  -  -  K
    reauth_pending/suspended_by_bank held
                                -  -  -  -  -  -  =  -  -  -  A  A  =  B  P  r  -  -  l  -  -  K
    reauth_pending/superseded held
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  r  -  -  l  -  -  K
    authorized held_restricted  -  -  -  -  E  A  =  T  X  Y  -  A  -  B  P  -  u  -  l  -  -  K
    active held_restricted      -  -  -  -  -  =  =  T  X  Y  -  =  =  B  P  -  u  -  l  -  -  K
    reauth_pending/sca_expired held_restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  -  l  -  -  K
    reauth_pending/reconfirm_missed held_restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  A  B  P  -  u  -  l  -  -  K
    reauth_pending/token_lost held_restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  -  l  -  -  K
    reauth_pending/suspended_by_bank held_restricted
                                -  -  -  -  -  -  =  -  -  -  A  A  =  B  P  -  u  -  l  -  -  K
    reauth_pending/superseded held_restricted
                                -  -  -  -  -  -  =  -  -  -  -  A  -  B  P  -  u  -  l  -  -  K
    expired present             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  r  -  h  -  e  -  R
    expired readable            -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  r  -  h  -  e  -  R
    expired restricted          -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  u  h  -  -  -  R
    expired held                -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  r  -  -  l  k  -  K
    expired held_restricted     -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  u  -  l  -  -  K
    expired blocked             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  e  -  -  -
    expired erasing             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  d  -
    expired erased              -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    revoked present             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    revoked restricted          -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    revoked held                -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    revoked held_restricted     -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    revoked blocked             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  e  -  -  -
    revoked erasing             -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  d  -
    revoked erased              -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
    failed present              -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  h  -  e  -  -
    failed restricted           -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  u  h  -  e  -  -
    failed held                 -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  l  k  -  -
    failed held_restricted      -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  u  -  l  k  -  -
    failed blocked              -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  e  -  -  -
    failed erasing              -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  d  -
    failed erased               -  -  -  -  -  -  =  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
";

/// The columns of [`TABLE`]; the last stands for a revocation by each of [`RevokedBy::ALL`].
const EVENTS: usize = 22;

/// The rows of [`TABLE`]: the words before the letters, and the letters.
fn rows() -> Vec<(String, Vec<char>)> {
    let mut rows = Vec::new();
    let mut name = Vec::new();
    let mut letters = Vec::new();
    for word in TABLE.split_whitespace().skip(EVENTS) {
        match word.chars().next() {
            Some(letter) if word.len() == 1 => letters.push(letter),
            _ => name.push(word),
        }
        if letters.len() == EVENTS {
            rows.push((name.join(" "), std::mem::take(&mut letters)));
            name.clear();
        }
    }
    rows
}

/// The row of a state, whatever its reason where the reason makes no difference.
fn row_of(state: State, data: DataState) -> String {
    match state {
        State::Initiated | State::Authorized | State::Active | State::ReauthPending(_)
            if data == DataState::Present =>
        {
            name_of(state)
        }
        State::Initiated | State::Authorized | State::Active | State::ReauthPending(_) => {
            format!("{} {}", name_of(state), data.word())
        }
        State::Expired(_) | State::Revoked(_) | State::Failed(_) => format!("{} {}", state.word(), data.word()),
    }
}

/// Whether data can be so in a state: whatever they are after its end, there to be restricted only where there are some.
fn is_met(state: State, data: DataState) -> bool {
    let over = matches!(state, State::Expired(_) | State::Revoked(_) | State::Failed(_));
    if data == DataState::Readable {
        return matches!(state, State::Expired(_));
    }
    data == DataState::Present || over || (data.is_kept() && state != State::Initiated)
}

/// Data that were used, and are not by their person's word.
fn restricted(data: DataState) -> DataState {
    if data.is_held() { DataState::HeldRestricted } else { DataState::Restricted }
}

/// Data that were not held, and are.
fn held(data: DataState) -> DataState {
    if data == DataState::Restricted { DataState::HeldRestricted } else { DataState::Held }
}

/// The letter of a step.
fn letter(before: &Consent, after: Result<(Consent, Vec<Effect>), Refused>, event: Event) -> char {
    let Ok((after, _)) = after else { return '-' };
    let same = (after.state, after.data) == (before.state, before.data);
    match (after.state, event) {
        _ if same => '=',
        (State::Revoked(by), Event::Revoke(asked)) if by == asked && after.data == DataState::Erasing => 'R',
        (State::Revoked(by), Event::Revoke(asked)) if by == asked && after.data == DataState::Blocked => 'K',
        (state, Event::Restricted) if state == before.state && after.data == restricted(before.data) => 'r',
        (state, Event::Released) if state == before.state && restricted(after.data) == before.data => 'u',
        (state, Event::HoldPlaced) if state == before.state && after.data == held(before.data) => 'h',
        (state, Event::HoldLifted) if state == before.state && held(after.data) == before.data => 'l',
        (state, _) if state == before.state && after.data == DataState::Blocked => 'k',
        (state, _) if state == before.state && after.data == DataState::Erasing => 'e',
        (state, _) if state == before.state && after.data == DataState::Erased => 'd',
        (State::Authorized, _) => 'Z',
        (State::Active, _) => 'A',
        (State::ReauthPending(ReauthReason::TokenLost), _) => 'T',
        (State::ReauthPending(ReauthReason::SuspendedByBank), _) => 'X',
        (State::ReauthPending(ReauthReason::Displaced), _) => 'Y',
        (State::Expired(ExpiryReason::Bank), _) => 'B',
        (State::Expired(ExpiryReason::Superseded), _) => 'P',
        (State::Failed(FailureReason::Declined), _) => 'D',
        (State::Failed(FailureReason::RejectedByBank), _) => 'J',
        (State::Failed(FailureReason::Error), _) => 'E',
        (State::Failed(FailureReason::TimedOut), _) => 'O',
        _ => '?',
    }
}

#[test]
fn every_pair_of_state_and_event_is_as_listed() {
    let rows = rows();
    let mut met = std::collections::BTreeSet::new();
    for state in states() {
        for data in DataState::ALL.iter().copied().filter(|data| is_met(state, *data)) {
            let name = row_of(state, data);
            let (_, letters) = rows.iter().find(|(row, _)| *row == name).unwrap_or_else(|| panic!("no row for {name}"));
            met.insert(name);
            for (nth, event) in events().into_iter().enumerate() {
                let before = consent(state, data);
                let seen = letter(&before, step(&before, event, NOW), event);
                assert_eq!(seen, letters[nth.min(EVENTS - 1)], "{} {data:?} + {}", name_of(state), event.word());
            }
        }
    }
    assert_eq!(met.len(), rows.len(), "every row belongs to a state");
    assert_eq!(events().len(), EVENTS - 1 + RevokedBy::ALL.len(), "every event has its column");
}

/// What the product hears of each move, by the words of the event catalogue.
#[test]
fn every_move_has_its_word_for_the_product() {
    let told = |state, event| {
        let (_, effects) = step(&consent(state, DataState::Present), event, NOW).unwrap();
        let words: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Tell(notice) => Some(notice.event_type().as_str()),
                _ => None,
            })
            .collect();
        words.join(" ")
    };
    let clocks = clocks(100, 200);
    let missed = State::ReauthPending(ReauthReason::ReconfirmMissed);
    for (state, event, word) in [
        (State::Initiated, Event::Authorised(clocks), "consent.granted"),
        (State::Initiated, Event::PartlyAuthorised(NOW), "consent.partially_authorised"),
        (State::Initiated, Event::Declined, "consent.rejected"),
        (State::Initiated, Event::Rejected, "consent.rejected"),
        (State::Initiated, Event::LoginFailed, "consent.rejected"),
        (State::Initiated, Event::Tick, "consent.abandoned"),
        (State::Authorized, Event::FirstFetchDone, "connection.healthy"),
        (State::Active, Event::TokenLost, "connection.action_required"),
        (State::Active, Event::Displaced, "connection.action_required"),
        (State::Active, Event::Suspended, "consent.suspended"),
        (State::ReauthPending(ReauthReason::SuspendedByBank), Event::Reinstated, "consent.resumed"),
        (State::ReauthPending(ReauthReason::ScaExpired), Event::Reauthenticated(clocks), "consent.renewed"),
        (missed, Event::Reconfirmed(clocks), "consent.reconfirmed"),
        (State::ReauthPending(ReauthReason::SuspendedByBank), Event::Reconfirmed(clocks), "consent.reconfirmed"),
        (State::Active, Event::EndedByBank, "consent.expired"),
        (State::Active, Event::Superseded, ""),
        (State::Active, Event::Revoke(RevokedBy::Bank), "consent.revoked"),
        (State::Expired(ExpiryReason::Term), Event::Revoke(RevokedBy::Psu), "consent.revoked"),
    ] {
        assert_eq!(told(state, event), word, "{state:?} + {}", event.word());
    }
}

#[test]
fn a_timer_warns_once_and_reminds_without_stopping() {
    let day = |days: i64| NOW.saturating_add(SignedDuration::from_hours(24 * days)).unwrap();
    let begun = Consent::new(NOW);
    let clocks = Clocks { sca_due: Some(day(89)), reconfirm_due: None, notice_due: Some(day(90)), term_ends: day(365) };
    let (mut consent, _) = step(&begun, Event::Authorised(clocks), NOW).unwrap();
    let mut heard = Vec::new();
    while let Some(at) = consent.wakes_at().filter(|at| *at < day(100)) {
        let (next, effects) = step(&consent, Event::Tick, at).unwrap();
        assert!(!effects.is_empty(), "a timer that was woken has something to do");
        heard.extend(effects.into_iter().map(|effect| (at, effect)));
        consent = next;
        let (again, effects) = step(&consent, Event::Tick, at).unwrap();
        assert_eq!((again, effects), (consent, vec![]), "told twice");
    }
    let warn = |days_left| Effect::Warn(Warning { clock: warning::Clock::Sca, due_at: day(89), days_left });
    let mut expected: Vec<_> = [30, 14, 7, 1].map(|left| (day(89 - left), warn(left))).to_vec();
    expected.push((day(90), Effect::Tell(Notice::ActionRequired)));
    expected.push((day(90), Effect::Tell(Notice::SharingGoesOn)));
    assert_eq!(heard, expected);
    assert_eq!(consent.clocks.unwrap().notice_due, Some(day(180)));
}

#[test]
fn what_is_over_stays_over() {
    for state in states() {
        for data in DataState::ALL.iter().copied().filter(|data| is_met(state, *data)) {
            let over = matches!(state, State::Expired(_) | State::Revoked(_) | State::Failed(_));
            for event in events() {
                let before = consent(state, data);
                let Ok((after, effects)) = step(&before, event, NOW) else { continue };
                match state {
                    State::Revoked(_) | State::Failed(_) => assert_eq!(after.state, state, "{event:?}"),
                    State::Expired(_) => {
                        assert!(after.state == state || matches!(after.state, State::Revoked(_)), "{event:?}");
                    }
                    _ => {}
                }
                assert!(!over || !effects.contains(&Effect::Fetch), "fetched after the end: {event:?}");
                if !matches!(after.data, DataState::Present | DataState::Readable) {
                    assert!(!after.may_read() && !after.may_fetch(NOW));
                }
                let came_back = after.data == DataState::Present && data != DataState::Present;
                let released = data == DataState::Restricted && event == Event::Released;
                let lifted = data == DataState::Held && event == Event::HoldLifted;
                assert!(!came_back || released || lifted, "data came back: {event:?}");
                let goes = effects.contains(&Effect::Erase);
                assert!(!goes || !data.is_held() || event == Event::HoldLifted, "erased under a hold: {event:?}");
            }
        }
    }
}

#[test]
fn a_revocation_stops_reads_and_fetches_in_the_same_step() {
    for by in RevokedBy::ALL {
        let (after, effects) = step(&consent(State::Active, DataState::Present), Event::Revoke(*by), NOW).unwrap();
        assert_eq!((after.state, after.data), (State::Revoked(*by), DataState::Erasing));
        assert!(!after.may_read() && !after.may_fetch(NOW));
        assert!(effects.contains(&Effect::EndAtBank) && effects.contains(&Effect::Erase));
    }
}

#[test]
fn a_clock_that_ran_out_stops_fetching_before_any_timer_looked() {
    let mut late = consent(State::Active, DataState::Present);
    late.clocks = Some(clocks(-1, 200));
    assert!(!late.may_fetch(NOW) && late.may_read());
    let (after, effects) = step(&late, Event::Tick, NOW).unwrap();
    assert_eq!(after.state, State::ReauthPending(ReauthReason::ScaExpired));
    assert_eq!(effects, [Effect::Tell(Notice::ActionRequired)]);
    let (again, effects) = step(&after, Event::Tick, NOW).unwrap();
    assert_eq!((again.state, effects.len()), (after.state, 0));
    late.clocks = Some(clocks(-1, -1));
    assert_eq!(step(&late, Event::Tick, NOW).unwrap().0.state, State::Expired(ExpiryReason::Term));
}

#[test]
fn a_login_gives_up_at_its_hour_and_not_before() {
    let later = Timestamp::from_second(NOW.as_second() + 1).unwrap();
    let waiting = Consent::new(later);
    assert_eq!(step(&waiting, Event::Tick, NOW).unwrap().0.state, State::Initiated);
    assert_eq!(step(&waiting, Event::Tick, later).unwrap().0.state, State::Failed(FailureReason::TimedOut));
}

#[test]
fn erasure_ends_once() {
    let (erased, effects) =
        step(&consent(State::Revoked(RevokedBy::Psu), DataState::Erasing), Event::Erased, NOW).unwrap();
    assert_eq!(erased.data, DataState::Erased);
    assert_eq!(effects, [Effect::Tell(Notice::DeletionCompleted)]);
    assert!(step(&erased, Event::Erased, NOW).is_err());
    assert!(step(&consent(State::Active, DataState::Present), Event::Erased, NOW).is_err());
}

#[test]
fn words_and_states_are_one_to_one() {
    for state in states() {
        assert_eq!(State::parse(state.word(), state.reason()), Some(state));
    }
    assert_eq!(State::parse("active", Some("term")), None);
    assert_eq!(State::parse("expired", None), None);
    assert_eq!(State::parse("deleted", None), None);
}

fn name_of(state: State) -> String {
    state.reason().map_or_else(|| state.word().to_owned(), |reason| format!("{}/{reason}", state.word()))
}

#[test]
fn the_policy_decides_what_becomes_of_data_at_the_end() {
    use AtEnd::{Blocked, ReadableUntilRetention as Readable, RestrictedHold as Hold};
    use DataState as D;
    let over = Event::Tick;
    let withdrawn = Event::Revoke(RevokedBy::Psu);
    // From, with data, by what; with each policy: the data afterwards, and what is done about them.
    let erase = Some(Effect::Erase);
    let table = [
        (
            State::Active,
            D::Present,
            over,
            [(Readable, D::Readable, None), (Blocked, D::Present, None), (Hold, D::Held, None)],
        ),
        (
            State::Active,
            D::Restricted,
            over,
            [(Readable, D::Restricted, None), (Blocked, D::Restricted, None), (Hold, D::HeldRestricted, None)],
        ),
        (
            State::Active,
            D::Present,
            withdrawn,
            [(Readable, D::Erasing, erase), (Blocked, D::Erasing, erase), (Hold, D::Blocked, Some(Effect::Block))],
        ),
        (
            State::ReauthPending(ReauthReason::ScaExpired),
            D::Present,
            Event::EndedByBank,
            [(Readable, D::Present, None), (Blocked, D::Present, None), (Hold, D::Held, None)],
        ),
        (
            State::Active,
            D::Present,
            Event::Superseded,
            [(Readable, D::Present, None), (Blocked, D::Present, None), (Hold, D::Present, None)],
        ),
        // Nothing was read: nothing is kept.
        (
            State::Initiated,
            D::Present,
            withdrawn,
            [(Readable, D::Erasing, erase), (Blocked, D::Erasing, erase), (Hold, D::Erasing, erase)],
        ),
        // What has ended already had its policy; whoever withdraws afterwards is heard.
        (
            State::Expired(ExpiryReason::Term),
            D::Readable,
            withdrawn,
            [(Readable, D::Erasing, erase), (Blocked, D::Erasing, erase), (Hold, D::Erasing, erase)],
        ),
    ];
    for (state, data, event, policies) in table {
        let mut before = consent(state, data);
        before.clocks = Some(clocks(100, if event == over { -1 } else { 200 }));
        for (policy, expected, done) in policies {
            let (after, effects) = at_end(&before, step(&before, event, NOW).unwrap(), policy);
            assert_eq!(after.data, expected, "{state:?} {data:?} {event:?} {policy:?}");
            let about = |effect: &&Effect| matches!(effect, Effect::Erase | Effect::Block);
            assert_eq!(effects.iter().find(about).copied(), done, "{state:?} {event:?} {policy:?}");
            assert_eq!(after.may_read(), expected == D::Readable, "{state:?} {event:?} {policy:?}");
            assert!(!after.may_renew() && !after.may_fetch(NOW), "the bank is not asked any more");
        }
    }
}
