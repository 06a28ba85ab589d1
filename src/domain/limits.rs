//! Every bound of the system in one place, each with its unit and the reason for its size.

use std::num::NonZeroU32;

/// Requests that one API key may make in a second, on each node, in the long run.
pub const KEY_REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Requests that one API key may make at once before the rate counts.
pub const KEY_REQUESTS_BURST: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// Requests that all keys of one tenant may make in a second, on each node, in the long run: a few busy keys.
pub const TENANT_REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// Requests that all keys of one tenant may make at once before the rate counts.
pub const TENANT_REQUESTS_BURST: NonZeroU32 = NonZeroU32::new(5000).unwrap();
/// Streams of events that one key may have open at a time, on each node: a few readers and their successors.
pub const STREAMS_PER_KEY_MAX: usize = 8;
/// Streams of events that a node has open at a time, of all keys: each asks the database once a second.
pub const STREAMS_PER_NODE_MAX: usize = 1024;
/// Largest answer that is read from a bank, in bytes; a longer one is an error, never a silent cut.
pub const BANK_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest answer that is read from an authorisation server, in bytes. Metadata and tokens are a few kilobytes.
pub const AUTH_BODY_BYTES_MAX: usize = 512 * 1024;
/// Largest request body that our own API accepts, in bytes.
pub const REQUEST_BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest time for one call to a bank, in seconds.
pub const BANK_CALL_SECONDS_MAX: u64 = 30;
/// Longest time to connect and shake hands, in seconds.
pub const CONNECT_SECONDS_MAX: u64 = 10;
/// Longest time a client may take to send its request headers to us, in seconds.
pub const HEADER_READ_SECONDS_MAX: u64 = 10;
/// Longest time a client may take to send us the whole of a request's body, in seconds. Bodies are small.
pub const BODY_READ_SECONDS_MAX: u64 = 10;
/// Pages of one fetch of one account; more is an endless list.
pub const PAGES_PER_FETCH_MAX: u32 = 400;
/// Accounts under one consent.
pub const ACCOUNTS_PER_CONSENT_MAX: usize = 200;
/// Rows of one page of a bank.
pub const ROWS_PER_BANK_PAGE_MAX: usize = 20_000;
/// Rows of one account in one fetch, all pages together: they are in memory until the last has come.
pub const ROWS_PER_READING_MAX: usize = 100_000;
/// Rows that one request of a product may ask for.
pub const ROWS_PER_QUERY_MAX: u32 = 500;
/// Rows of a page where a product does not say.
pub const ROWS_PER_QUERY_DEFAULT: u32 = 100;
/// For so long what was read under a consent may be handed out, in seconds, counted from before the look at the consent. A
/// node that is cut off from the database in between hands out nothing later than that after a withdrawal elsewhere.
pub const READ_SECONDS_MAX: u64 = 5;
/// Lifetime of a link that is handed to a user, in seconds.
pub const LINK_SECONDS: i64 = 24 * 60 * 60;
/// How long further signers of a consent are waited for, in seconds: two weeks, longer than most banks wait.
pub const SIGNERS_SECONDS: i64 = 14 * 24 * 60 * 60;
/// Lifetime of one login at a bank, in seconds: from acceptance of the text to the callback.
pub const LOGIN_SECONDS: i64 = 15 * 60;
/// Least distance of two fetches of one consent that a product asks for with its person there, in seconds: no limit of the
/// bank's holds these back.
pub const ATTENDED_DISTANCE_SECONDS: i64 = 60;
/// Clock skew accepted for instants in the future that others attest, in seconds.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Lease of claimed work, in seconds of the database's clock.
pub const JOB_LEASE_SECONDS: i32 = 60;
/// Attempts of one piece of work before it waits for an operator.
pub const JOB_ATTEMPTS_MAX: i32 = 10;
/// Time after which a revocation capsule is destroyed even without the bank's answer, in seconds.
pub const CAPSULE_SECONDS: i64 = 72 * 60 * 60;
/// Transactions, the newest, that series are sought in: about three years of a busy account.
pub const ROWS_PER_RECURRING_MAX: usize = 10_000;
/// Retention of sealed raw answers, in days.
pub const RAW_RETENTION_DAYS: i32 = 90;
/// How long a key that a key service opened is used before the service is asked again.
pub const KEY_LEASE_SECONDS: u64 = 5;
/// Length of an epoch of wrapping keys, in seconds.
pub const EPOCH_SECONDS: i64 = 24 * 60 * 60;
/// Epochs that stay openable beside the current one; longer than the oldest backup one would restore.
pub const EPOCHS_KEPT: i64 = 7;
/// Overlap of a repeated fetch with what is already stored, in days: late bookings are found in it.
pub const FETCH_OVERLAP_DAYS: i32 = 14;
/// For how long a browser that has been at a bank is known again, in seconds: as long as an authorisation in the EU lasts
/// without its person at most.
pub const BROWSER_SECONDS: i64 = 180 * 24 * 60 * 60;
/// Lifetime of a page session, in seconds, counted from the link; it does not grow by use.
pub const SESSION_SECONDS: i64 = 30 * 60;
/// Lifetime of a login of the staff, in seconds: from the button to the way back from their identity provider, a second
/// factor included.
pub const STAFF_LOGIN_SECONDS: i64 = 10 * 60;
/// How long their identity provider may take for a step of a login, in seconds.
pub const STAFF_PROVIDER_SECONDS: u64 = 10;
/// Steps of logins that wait for it at a time; further ones are turned away at once.
pub const STAFF_LOGINS_AT_A_TIME: usize = 16;
/// Largest form that a page of ours accepts, in bytes: a few short fields, or what a bank posts to a callback.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Banks that one page of the picker lists; the rest is found by typing more of the name.
pub const BANKS_PER_PAGE_MAX: usize = 40;
/// Consents that the overview of one person shows, the newest first.
pub const CONSENTS_PER_OVERVIEW_MAX: u32 = 100;
/// Longest time that the receiver of a webhook may take to answer, in seconds.
pub const NOTIFY_SECONDS_MAX: u64 = 10;
/// Endpoints that one product may have.
pub const WEBHOOK_ENDPOINTS_MAX: usize = 20;
/// Longest address of an endpoint, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 2048;
/// Deliveries that one claim of an endpoint sends before the others get their turn.
pub const WEBHOOK_BATCH: u32 = 50;
/// How long deliveries and attempts stay for a replay, in days.
pub const WEBHOOK_LOG_DAYS: i64 = 90;
/// How long the old secret of an endpoint signs beside the new one where a product does not say, in hours.
pub const WEBHOOK_OVERLAP_HOURS: i64 = 24;
/// The longest such overlap, in hours.
pub const WEBHOOK_OVERLAP_HOURS_MAX: i64 = 7 * 24;
/// Days for which alerts are kept.
pub const ALERT_DAYS: i64 = 90;
/// Days for which it is kept how banks behaved.
pub const BANK_HEALTH_DAYS: i64 = 30;
