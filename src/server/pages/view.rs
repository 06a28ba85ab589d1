//! What each page needs to know, as plain values. Whoever builds them has already decided what may be shown.
//!
//! None of these types has `Debug`: they hold names and account endings, which never reach a log.

use domain::retention::Retention;
use jiff::Zoned;
use jiff::civil::Date;

use super::language::Language;

/// Who stands behind the page, and for whom it asks. Part of every view.
#[derive(Clone)]
pub struct Brand {
    /// The language of the page.
    pub language: Language,
    /// The regulated provider that connects to banks, by its registered name.
    pub tpp: String,
    /// How a person can look the provider up: authorisation number and supervisor.
    pub authorisation: String,
    /// The product the person came from.
    pub product: String,
    /// Where the provider answers questions.
    pub support: Option<Href>,
    /// The provider's privacy notice (GDPR Art. 13).
    pub privacy: Option<Href>,
    /// How the page looks, where that was set.
    pub look: Option<Look>,
}

/// How a page looks.
#[derive(Clone)]
pub struct Look {
    /// The style sheet that follows ours.
    pub style: Href,
    /// A picture for the masthead.
    pub logo: Option<Href>,
    /// What stands in the masthead. The provider is named in the text and at the foot in any case.
    pub name: Option<String>,
}

impl Brand {
    /// What stands in the masthead.
    pub(super) fn shown(&self) -> &str {
        self.look.as_ref().and_then(|look| look.name.as_deref()).unwrap_or(&self.tpp)
    }

    /// The picture in the masthead.
    pub(super) fn logo(&self) -> Option<&Href> {
        self.look.as_ref()?.logo.as_ref()
    }
}

/// A target that is safe to put behind a link or a form.
#[derive(Clone, PartialEq, Eq)]
pub struct Href(String);

impl Href {
    /// Accepts a path on this server (`/my`), `https` URLs, `http` on loopback, `mailto:` and the private-use schemes of
    /// installed apps, which contain a dot (RFC 8252 §7.1). Anything else, `javascript:` above all, is refused.
    pub fn new(target: &str) -> Option<Self> {
        let path = target.starts_with('/') && !target.starts_with("//") && !target.contains('\\');
        let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|host| {
            target.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        });
        let scheme = target.split_once(':').map_or("", |(scheme, _)| scheme);
        let app = scheme.contains('.') && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let known = path || loopback || target.starts_with("https://") || target.starts_with("mailto:") || app;
        (known && !target.contains(char::is_control)).then(|| Self(target.to_owned()))
    }

    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A form that changes something. It is sent by POST.
#[derive(Clone)]
pub struct Form {
    /// Path on this server.
    pub action: Href,
    /// The session's anti-forgery token, sent back as the field `csrf`; absent before there is a session.
    pub csrf: Option<String>,
}

/// The page behind a link that a product handed out. Nothing has happened yet; the form begins.
pub struct LinkLandingView {
    /// Who asks.
    pub brand: Brand,
    /// The bank, where the product has already chosen it.
    pub bank: Option<String>,
    /// Swaps the link for a session.
    pub begin: Form,
}

/// The choice of a bank.
pub struct BankPickerView {
    /// Who asks.
    pub brand: Brand,
    /// What the person searched for; empty at first.
    pub query: String,
    /// Where the search is sent, by GET, as the field `q`.
    pub search: Href,
    /// The banks that match, best first.
    pub banks: Vec<BankChoice>,
    /// Matches that are not listed.
    pub left_off: usize,
    /// Sends the choice, as the field `institution`.
    pub choose: Form,
}

/// One bank in the picker.
pub struct BankChoice {
    /// Id in the directory.
    pub id: String,
    /// The name that people know.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Whether this is a bank's test system, which the page says.
    pub sandbox: bool,
}

/// The text a person consents to, before the bank is asked.
pub struct ConsentTextView {
    /// Who asks, and for whom.
    pub brand: Brand,
    /// The bank.
    pub bank: String,
    /// What the data are for, one plain sentence each, as the product registered them.
    pub purposes: Vec<String>,
    /// Who stands between the provider and the bank, where somebody does.
    pub intermediary: Option<String>,
    /// What is shared. Never empty.
    pub clusters: Vec<Cluster>,
    /// For how long.
    pub term: Term,
    /// What becomes of the data when it ends.
    pub retention: Retention,
    /// What becomes of a permission that is there already, where the bank allows one at a time.
    pub instead_of: Option<Collision>,
    /// What becomes of another product's permission there, if it is the same person's. No part of the text: what a person
    /// does elsewhere is nothing that this product reads in its evidence.
    pub elsewhere: Option<Elsewhere>,
    /// Sends the acceptance; the field `acknowledged` must be `yes`.
    pub accept: Form,
    /// Sends the refusal.
    pub decline: Form,
    /// Whether the form came back without the acknowledgement.
    pub acknowledgement_missing: bool,
    /// Whether the person says by which name they sign in, in the field `login_name`: the bank has to know whom to ask.
    pub login_name: Option<LoginNameField>,
}

/// The field for the name by which a person signs in at the bank.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LoginNameField {
    /// It is asked for.
    Asked,
    /// The form came back without one that could be used.
    Missing,
}

/// What a bank that allows one permission at a time does to an earlier one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// The new permission takes its place.
    Replaces,
    /// Both go on, under the new authorisation.
    RenewsBoth,
}

/// What a bank that allows one permission at a time does to one that another product seems to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// It goes on under the new authorisation.
    Shared,
    /// It ends, and that product needs the person again.
    Ends,
}

/// A kind of data, in the words a person sees before agreeing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Name, number, type and currency of each account.
    Accounts,
    /// Name of the account holder.
    Holder,
    /// Balances.
    Balances,
    /// Transactions.
    Transactions {
        /// How far back, in days, where the request says.
        history_days: Option<u16>,
    },
}

/// How long data are read.
#[derive(Clone, Copy)]
pub enum Term {
    /// Once, now.
    Once,
    /// Again and again.
    Recurring {
        /// The last day.
        until: Date,
        /// Days after which the person confirms again at the bank, where the regime asks for it.
        confirm_every_days: Option<u16>,
        /// Reads a day without the person, at most, where the regime limits them.
        unattended_reads_per_day: Option<u8>,
    },
}

/// The page that hands on an answer which no server can see.
pub struct RelayView {
    /// Who asked.
    pub brand: Brand,
}

/// How a visit ended that did not end in a connection.
pub struct ReturnView {
    /// Who asked.
    pub brand: Brand,
    /// What happened.
    pub outcome: Outcome,
    /// The bank, where known.
    pub bank: Option<String>,
    /// What the person can quote to support.
    pub reference: Option<String>,
    /// The one next step; without it the page says where to go.
    pub next: Option<Next>,
}

/// What happened at or after the bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The person said no at the bank.
    Denied,
    /// The person said no to us; the bank was never asked.
    Declined,
    /// The person took longer than the login lives.
    TimedOut,
    /// The bank answered with an error.
    BankError,
    /// The bank did not answer.
    BankUnavailable,
    /// The same return arrived a second time; the first one counts.
    CameTwice,
    /// The return arrived in another browser than the one that began.
    OtherBrowser,
    /// The return failed a check of its origin or content.
    NotTrusted,
    /// No login is waiting for this return.
    Unknown,
    /// The person has signed at the bank, and others have to as well.
    AwaitsSigners,
    /// The person has to confirm at the bank, on another device or page, and has not yet.
    AwaitsPsu,
    /// The request was withdrawn before the bank had authorised anything.
    Withdrawn,
    /// The link is used, too old or mistyped.
    LinkOver,
    /// The session is over.
    SignedOut,
    /// Something failed on our side.
    OurFault,
}

/// The one next step of a page.
pub enum Next {
    /// Begin the same connection again.
    Restart(Form),
    /// See what is connected.
    Overview(Href),
    /// Go back to the product.
    Product(Href),
}

/// One account, as little of it as tells it from another.
pub struct AccountLine {
    /// Our id of it.
    pub id: String,
    /// The name the bank or the person gave it.
    pub name: Option<String>,
    /// The last characters of its number, four at most.
    pub ending: Option<String>,
    /// ISO 4217; absent for several.
    pub currency: Option<String>,
}

/// The end of a connection that worked.
pub struct ConnectedView {
    /// Who asked.
    pub brand: Brand,
    /// The bank.
    pub bank: String,
    /// Whether the first data are still being read.
    pub reading: bool,
    /// What is now shared, as far as it is known.
    pub accounts: Vec<AccountLine>,
    /// The last day; absent for a single read.
    pub until: Option<Date>,
    /// Back to the product, where it gave an address.
    pub product: Option<Href>,
    /// Where sharing can be stopped.
    pub overview: Href,
}

/// Everything a person shares through this provider.
pub struct OverviewView {
    /// Who provides this, and for whom.
    pub brand: Brand,
    /// Live connections first.
    pub connections: Vec<Connection>,
}

/// One consent, as its owner sees it.
pub struct Connection {
    /// Identifies the section on the page: letters, digits, `-` and `_`.
    pub id: String,
    /// The bank.
    pub bank: String,
    /// The product that receives the data.
    pub product: String,
    /// What the data are for.
    pub purposes: Vec<String>,
    /// What is shared.
    pub clusters: Vec<Cluster>,
    /// The accounts.
    pub accounts: Vec<AccountLine>,
    /// The day it began.
    pub since: Date,
    /// When data were last read from the bank.
    pub last_read: Option<Zoned>,
    /// How it stands.
    pub standing: Standing,
    /// Takes out one of several accounts, named by the field `account`.
    pub remove: Option<Form>,
}

/// How a connection stands, with what can be done about it.
pub enum Standing {
    /// Data flow.
    Active {
        /// The last day; absent where the bank names none.
        until: Option<Date>,
        /// What keeps it going, where something is due soon.
        keep: Option<Keep>,
        /// Stops it.
        stop: Form,
    },
    /// Nothing more is read until the person has done something.
    NeedsYou {
        /// The last day of the permission.
        until: Option<Date>,
        /// What sets it going again.
        keep: Option<Keep>,
        /// Stops it.
        stop: Form,
    },
    /// Over.
    Ended {
        /// When reading stopped.
        at: Zoned,
        /// What became of the data.
        erasure: Erasure,
        /// Ends it for good, where products go on reading what is stored.
        stop: Option<Form>,
    },
}

/// What a person does so that sharing goes on.
pub enum Keep {
    /// Reads the text again and confirms at the bank.
    AtBank {
        /// Leads to the text.
        renew: Href,
    },
    /// Confirms to us; no bank is visited.
    WithUs {
        /// Confirms.
        confirm: Form,
    },
}

/// After sharing was stopped.
pub struct StoppedView {
    /// Who provides this, and for whom.
    pub brand: Brand,
    /// The bank.
    pub bank: String,
    /// When our side stopped: from then on nothing is read, stored or served.
    pub stopped_at: Zoned,
    /// Whether the law lets nobody call it over before the bank has been told (UK).
    pub bank_before_confirming: bool,
    /// What the bank has said.
    pub bank_answer: BankAnswer,
    /// What has become of the data.
    pub erasure: Erasure,
    /// Back to the overview.
    pub overview: Href,
}

impl StoppedView {
    /// Whether the page says no more than that we stopped.
    pub(super) const fn bank_has_the_word(&self) -> bool {
        self.bank_before_confirming && matches!(self.bank_answer, BankAnswer::Pending | BankAnswer::Unconfirmed)
    }
}

/// What the bank has said to our revocation.
pub enum BankAnswer {
    /// It was not asked: nothing of this permission is left there, or another one stands on the same access.
    NotNeeded,
    /// Nothing yet.
    Pending,
    /// It has ended the access.
    Confirmed {
        /// When it said so.
        at: Zoned,
    },
    /// It gave no usable answer; the person can end the access at the bank too.
    Unconfirmed,
}

/// How far the erasure has come.
pub enum Erasure {
    /// Not begun: the permission ended by itself, and its data are kept until their retention is over.
    Kept {
        /// Whether the product may read them until then; else nobody does.
        readable: bool,
    },
    /// Under way.
    Running,
    /// Done.
    Done {
        /// When the last row was gone.
        at: Zoned,
        /// From when on no backup can be read either.
        unreadable_after: Option<Zoned>,
        /// The signed receipt.
        receipt: Option<Href>,
    },
    /// Kept under a legal duty, out of use.
    Held,
}

/// The first letters of the first two words, for the round sign beside a bank.
pub(super) fn initials(name: &str) -> String {
    name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric())).take(2).collect()
}
