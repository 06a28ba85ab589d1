//! How much a key may still ask: counted per key and per tenant, and told with every answer.
//!
//! Counts are kept in memory, on each node by itself: they protect the node, and are no promise about others.

use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use domain::ids::{ApiKeyId, TenantId};
use domain::limits;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

type Limiter<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The counts of this node.
pub struct Rates {
    keys: Limiter<ApiKeyId>,
    tenants: Limiter<TenantId>,
}

impl Default for Rates {
    fn default() -> Self {
        let key = Quota::per_second(limits::KEY_REQUESTS_PER_SECOND).allow_burst(limits::KEY_REQUESTS_BURST);
        let tenant = Quota::per_second(limits::TENANT_REQUESTS_PER_SECOND).allow_burst(limits::TENANT_REQUESTS_BURST);
        Self { keys: limiter(key), tenants: limiter(tenant) }
    }
}

fn limiter<K: Hash + Eq + Clone>(quota: Quota) -> Limiter<K> {
    RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>()
}

impl Rates {
    /// Counts one request. The tenant is counted only when the key may: one key at its limit takes nothing from others.
    ///
    /// # Errors
    /// How things stand for a request that is one too many.
    pub fn count(&self, key: ApiKeyId, tenant: TenantId) -> Result<Standing, Standing> {
        let own = one(&self.keys, &key)?;
        let all = one(&self.tenants, &tenant)?;
        Ok(if all.remaining < own.remaining { all } else { own })
    }
}

fn one<K: Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K) -> Result<Standing, Standing> {
    match limiter.check_key(key) {
        Ok(state) => Ok(Standing::of(state.quota(), state.remaining_burst_capacity(), 0)),
        Err(not_until) => {
            let wait = not_until.wait_time_from(DefaultClock::default().now()).as_secs().saturating_add(1);
            Err(Standing::of(not_until.quota(), 0, wait))
        }
    }
}

/// How much may still be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may come at once.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// Seconds until all of them may come again.
    pub reset: u64,
    /// Seconds in which as many come back as may come at once.
    pub window: u64,
    /// Seconds until one more may come; 0: now.
    pub wait: u64,
}

impl Standing {
    fn of(quota: Quota, remaining: u32, wait: u64) -> Self {
        let limit = quota.burst_size().get();
        let millis = u64::try_from(quota.replenish_interval().as_micros()).unwrap_or(u64::MAX);
        let seconds = |requests: u32| millis.saturating_mul(u64::from(requests)).div_ceil(1_000_000);
        Self { limit, remaining, reset: seconds(limit.saturating_sub(remaining)), window: seconds(limit), wait }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers-10.
    fn tell(self, headers: &mut HeaderMap) {
        let policy = format!("\"key\";q={};w={}", self.limit, self.window);
        let now = format!("\"key\";r={};t={}", self.remaining, self.reset);
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            put(headers, name, &text);
        }
    }

    /// The same under the names that clients of GoCardless Bank Account Data read.
    fn tell_gocardless(self, headers: &mut HeaderMap) {
        for (name, number) in [
            ("http_x_ratelimit_limit", u64::from(self.limit)),
            ("http_x_ratelimit_remaining", u64::from(self.remaining)),
            ("http_x_ratelimit_reset", self.reset),
        ] {
            put(headers, name, &number.to_string());
        }
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Where whoever counts a request leaves what it found, for the answer.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<OnceLock<Standing>>);

/// Notes the standing of the request's key.
pub(crate) fn note(parts: &Parts, standing: Standing) {
    if let Some(Slot(slot)) = parts.extensions.get::<Slot>() {
        // A request is counted once; what was found first stays.
        let _ = slot.set(standing);
    }
}

/// Tells with every counted answer how much may still be asked.
pub(crate) async fn told(mut request: Request, next: Next) -> Response {
    let slot = Slot::default();
    let compatible = request.uri().path().starts_with(crate::gocardless::BASE);
    request.extensions_mut().insert(slot.clone());
    let mut answer = next.run(request).await;
    if let Some(standing) = slot.0.get() {
        if compatible {
            standing.tell_gocardless(answer.headers_mut());
        } else {
            standing.tell(answer.headers_mut());
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use domain::world::Entropy;

    use super::*;

    struct Same;
    impl Entropy for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_key_is_told_what_is_left_until_nothing_is() {
        let world = domain::world::World { now: jiff::Timestamp::UNIX_EPOCH, entropy: &Same };
        let (key, tenant) = (ApiKeyId::new(&world), TenantId::new(&world));
        let rates = Rates::default();
        let burst = limits::KEY_REQUESTS_BURST.get();
        let first = rates.count(key, tenant).unwrap();
        assert_eq!((first.limit, first.remaining, first.wait), (burst, burst - 1, 0));
        assert_eq!(first.window, u64::from(burst / limits::KEY_REQUESTS_PER_SECOND.get()));
        assert_eq!(first.reset, 1);
        // Some come back meanwhile, on a slow machine many; but not a burst in every burst.
        let refused = (0..100 * burst).find_map(|_| rates.count(key, tenant).err()).unwrap();
        assert_eq!((refused.remaining, refused.wait), (0, 1));
        let other = ApiKeyId::from_uuid(uuid::Uuid::from_u128(8));
        assert!(rates.count(other, tenant).is_ok(), "of another key nothing is taken");
    }

    #[test]
    fn all_keys_of_a_tenant_share_a_limit_and_no_other_tenant_does() {
        let [tenant, other] = [1, 2].map(|n| TenantId::from_uuid(uuid::Uuid::from_u128(n)));
        let (rates, burst) = (Rates::default(), limits::TENANT_REQUESTS_BURST.get());
        // Each request under a key of its own, so no key is at its limit; on a slow machine many places come back meanwhile.
        let key = |n: u32| ApiKeyId::from_uuid(uuid::Uuid::from_u128(n.into()));
        let refused = (0..100 * burst).find_map(|n| rates.count(key(n), tenant).err().map(|standing| (n, standing)));
        let (many, standing) = refused.unwrap();
        assert!(many >= burst, "{many}");
        assert_eq!((standing.limit, standing.remaining), (burst, 0));
        assert!(rates.count(key(0), other).is_ok());
    }

    #[test]
    fn both_families_of_headers_say_the_same() {
        let standing = Standing { limit: 100, remaining: 97, reset: 2, window: 60, wait: 0 };
        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        standing.tell_gocardless(&mut headers);
        for (name, text) in [
            ("ratelimit-policy", "\"key\";q=100;w=60"),
            ("ratelimit", "\"key\";r=97;t=2"),
            ("http_x_ratelimit_limit", "100"),
            ("http_x_ratelimit_remaining", "97"),
            ("http_x_ratelimit_reset", "2"),
        ] {
            assert_eq!(headers[name], text);
        }
    }
}
