//! The life of a credential of ours at a bank, a signing key or a certificate: from the day on which it is known to the
//! day on which it goes.
//!
//! A signing key is published before it signs, since banks remember our key set for a while; it stays published until
//! everything that it signed has lapsed. A certificate is tried before it carries traffic, and the one before it stays at
//! hand until nobody can want it back.

use jiff::{SignedDuration, Timestamp};

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Signs client assertions and request objects.
    Signing,
    /// Mutual TLS.
    Transport,
}

impl Use {
    /// Every use.
    pub const ALL: [Self; 2] = [Self::Signing, Self::Transport];

    /// The word in the database and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Transport => "transport",
        }
    }

    /// The use of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// Where a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Known, published where it is a signing key, not yet used.
    Next,
    /// In use.
    Current,
    /// Used until another took its place; still published, and can be brought back.
    Retired,
    /// Gone.
    Withdrawn,
    /// The bank did not take it.
    Rejected,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Next, Self::Current, Self::Retired, Self::Withdrawn, Self::Rejected];

    /// The word in the database and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
            Self::Rejected => "rejected",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether a signing key in this state is in our published key set.
    pub const fn is_published(self) -> bool {
        match self {
            Self::Next | Self::Current | Self::Retired => true,
            Self::Withdrawn | Self::Rejected => false,
        }
    }
}

/// What happens to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It takes over.
    Promoted,
    /// Another took over.
    Replaced,
    /// The one after it failed, and it takes over again.
    Restored,
    /// The bank did not take it, in the trial or afterwards.
    Rejected,
    /// It is to be tried once more.
    Proposed,
    /// Nothing that rests on it is alive.
    Lapsed,
}

/// A step that a credential cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential that is {} cannot become anything by {event:?}", from.word())]
pub struct Refused {
    /// Where it stands.
    pub from: State,
    /// What was to happen.
    pub event: Event,
}

/// The state after an event.
///
/// # Errors
/// The state does not know the event.
pub const fn step(state: State, event: Event) -> Result<State, Refused> {
    use {Event as E, State as S};
    match (state, event) {
        (S::Next, E::Promoted) | (S::Retired, E::Restored) => Ok(S::Current),
        (S::Current, E::Replaced) => Ok(S::Retired),
        (S::Next | S::Current, E::Rejected) => Ok(S::Rejected),
        (S::Rejected, E::Proposed) => Ok(S::Next),
        (S::Retired | S::Rejected, E::Lapsed) => Ok(S::Withdrawn),
        (S::Next, E::Replaced | E::Restored | E::Proposed | E::Lapsed)
        | (S::Current, E::Promoted | E::Restored | E::Proposed | E::Lapsed)
        | (S::Retired, E::Promoted | E::Replaced | E::Rejected | E::Proposed)
        | (S::Rejected, E::Promoted | E::Replaced | E::Restored | E::Rejected)
        | (S::Withdrawn, E::Promoted | E::Replaced | E::Restored | E::Rejected | E::Proposed | E::Lapsed) => {
            Err(Refused { from: state, event })
        }
    }
}

/// A credential as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Key id of a signing key; thumbprint of a certificate (x5t#S256, RFC 8705 §3.1).
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How long a credential is used before the next one is made by itself; `None`: somebody asks for it.
    pub life: Option<SignedDuration>,
    /// How long the next one is known before it takes over.
    pub announce: SignedDuration,
    /// How long the last one stays after that.
    pub overlap: SignedDuration,
}

/// What is to be done now with the credentials of one use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A new one is to be made.
    Make,
    /// This one is to take over, a certificate after its trial.
    Promote(String),
    /// This one is to go.
    Withdraw(String),
}

/// The first thing that is due; what goes comes before what begins.
pub fn due(all: &[Credential], schedule: Schedule, now: Timestamp) -> Option<Due> {
    let of = |state: State| all.iter().filter(move |one| one.state == state);
    let waited = |one: &Credential, time: SignedDuration| now.duration_since(one.since) >= time;
    if let Some(old) = of(State::Retired).find(|old| waited(old, schedule.overlap)) {
        return Some(Due::Withdraw(old.name.clone()));
    }
    if let Some(next) = of(State::Next).min_by_key(|next| next.since) {
        return waited(next, schedule.announce).then(|| Due::Promote(next.name.clone()));
    }
    let life = schedule.life?;
    of(State::Current).any(|current| waited(current, life)).then_some(Due::Make)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 6] =
        [Event::Promoted, Event::Replaced, Event::Restored, Event::Rejected, Event::Proposed, Event::Lapsed];

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        let mut allowed = Vec::new();
        for state in State::ALL {
            for event in EVENTS {
                match step(state, event) {
                    Ok(to) => allowed.push(format!("{} {event:?} {}", state.word(), to.word())),
                    Err(refused) => assert_eq!(refused, Refused { from: state, event }),
                }
            }
        }
        let expected = [
            "next Promoted current",
            "next Rejected rejected",
            "current Replaced retired",
            "current Rejected rejected",
            "retired Restored current",
            "retired Lapsed withdrawn",
            "rejected Proposed next",
            "rejected Lapsed withdrawn",
        ];
        assert_eq!(allowed, expected);
    }

    /// A life of ten days, told hour by hour: every key is published for a day before it signs and for a day after.
    #[test]
    fn a_key_is_known_before_it_signs_and_after_it_has_signed() {
        let hours = SignedDuration::from_hours;
        let schedule = Schedule { life: Some(hours(72)), announce: hours(24), overlap: hours(24) };
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let mut keys = vec![Credential { name: "0".to_owned(), state: State::Current, since: start }];
        let mut told = Vec::new();
        for hour in 0..240 {
            let now = start + hours(hour);
            while let Some(due) = due(&keys, schedule, now) {
                let mut set = |name: &str, event| {
                    let key = keys.iter_mut().find(|key| key.name == name).unwrap();
                    (key.state, key.since) = (step(key.state, event).unwrap(), now);
                };
                match &due {
                    Due::Make => {
                        let name = keys.len().to_string();
                        keys.push(Credential { name, state: State::Next, since: now });
                    }
                    Due::Promote(name) => {
                        let before = name.parse::<usize>().unwrap() - 1;
                        set(&before.to_string(), Event::Replaced);
                        set(name, Event::Promoted);
                    }
                    Due::Withdraw(name) => set(name, Event::Lapsed),
                }
                told.push(format!("{hour} {due:?}"));
            }
            assert_eq!(keys.iter().filter(|key| key.state == State::Current).count(), 1, "one signs at any time");
        }
        let expected = [
            "72 Make",
            "96 Promote(\"1\")",
            "120 Withdraw(\"0\")",
            "168 Make",
            "192 Promote(\"2\")",
            "216 Withdraw(\"1\")",
        ];
        assert_eq!(told, expected);
    }
}
