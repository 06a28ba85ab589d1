//! The requirement matrix: every rule that binds a client, by the id of our list of rules or of the conformance suite's
//! client modules, and what stands for it here. The test keeps it honest and prints it:
//! `cargo test -p fapi requirements -- --nocapture`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use Met::{Elsewhere, Refused, Shown, Void};

use crate::reasons;

/// How a requirement is met.
enum Met {
    /// By checks, each with a reason code and a row in the table of refusals.
    Refused(&'static [&'static str]),
    /// By what we send or accept, shown by these tests of the crate.
    Shown(&'static [&'static str]),
    /// By another crate, as these tests show: file of the workspace, and name.
    Elsewhere(&'static [(&'static str, &'static str)]),
    /// By nothing, since what it is about does not occur here: why.
    Void(&'static str),
}

/// The tests of this crate, for their names.
const TESTS: [&str; 9] = [
    include_str!("accepted.rs"),
    include_str!("afterwards.rs"),
    include_str!("bound.rs"),
    include_str!("decoupled.rs"),
    include_str!("ecosystems.rs"),
    include_str!("registered.rs"),
    include_str!("refused.rs"),
    include_str!("hostile.rs"),
    include_str!("profile.rs"),
];

const WHOLE_LOGIN: &str = "a_login_goes_through_with_every_profile_algorithm_and_way_to_authenticate";
const VARIATIONS: &str = "variations_that_the_standards_allow_are_accepted";
const SIGNED_REQUEST: &str = "a_signed_request_is_one_object_with_everything_inside";
const BY_VALUE: &str = "a_request_by_value_is_signed_and_repeats_only_what_oauth_wants_outside";
const PLAIN_REQUEST: &str = "a_plain_request_is_pushed_as_form_parameters";
const REDIRECT: &str = "the_browser_carries_the_client_id_and_the_request_uri_and_nothing_else";
const ASSERTION: &str = "an_assertion_names_the_issuer_and_is_never_repeated";
const CERTIFICATE: &str = "with_a_certificate_the_client_id_is_in_the_body_and_no_assertion";
const CODE: &str = "the_code_is_redeemed_with_the_verifier_of_its_challenge";
const FRESH: &str = "two_logins_share_nothing";
const ALIASES: &str = "endpoints_for_certificates_are_used_when_there_is_a_certificate";
const WELL_KNOWN: &str = "metadata_are_looked_for_where_the_standards_put_them";
const ROTATION: &str = "refresh_tokens_rotate_when_the_server_wants_and_stay_when_it_does_not";
const OWN_KEYS: &str = "what_is_published_of_our_keys_is_public";
const FOREIGN_KEYS: &str = "keys_that_are_not_for_us_are_left_out";
const NEW_KEY: &str = "a_new_key_is_found_by_fetching_the_keys_once_more";
const CLAIMS: &str = "what_is_to_be_authorised_and_how_strongly_is_asked_for_in_claims";
const PROOF: &str = "every_use_of_a_bound_grant_is_proved_with_its_key_and_no_other";
const NONCE: &str = "a_server_that_wants_a_nonce_gets_the_call_afresh_and_once";
const BEARER: &str = "without_a_key_the_token_is_shown_as_bearer";
const ENCRYPTED: &str = "what_the_server_encrypts_is_opened_and_what_it_does_not_is_taken_too";
const NO_OPENID: &str = "without_openid_neither_keys_nor_an_id_token_are_needed";
const SILENCE: &str = "nothing_is_sent_after_a_refusal";
const ELSEWHERE: &str = "a_user_is_asked_elsewhere_by_one_signed_request";
const HINTS: &str = "the_user_is_named_in_exactly_one_way";
const WAITING: &str = "the_server_is_asked_as_often_as_it_allows_until_the_user_is_done";
const PINGED: &str = "a_ping_is_believed_by_its_token_and_makes_the_next_poll_possible";
const FORMS: &str = "each_form_of_response_is_asked_for_by_its_mode";

const UK: &str = "in_the_uk_a_consent_is_named_in_claims_and_compared_on_return";
const CDR: &str = "in_australia_the_sharing_is_told_and_the_arrangement_comes_back";
const BRAZIL: &str = "in_brazil_the_request_is_pushed_and_the_id_token_comes_encrypted";
const REGISTERED: &str = "where_a_directory_vouches_the_whole_registration_may_be_signed";
const SIGNED_ANSWER: &str = "a_server_signs_what_it_knows_of_a_token";

const NEW_TOKEN: (&str, &str) = ("tests/it/rotation.rs", "a_certificate_is_tried_and_then_carries_everything");
const RIGHT_SERVER: (&str, &str) = ("src/net/tests.rs", "a_server_that_is_not_the_one_we_meant_gets_no_request");
const OUR_CERTIFICATE: (&str, &str) = ("src/net/tests.rs", "the_server_sees_the_certificate_that_was_shown");
const ANY_SERVER: (&str, &str) = ("tests/interop/main.rs", "the_probe_completes_with_every_combination");
const LAST_CALL: (&str, &str) = ("tests/interop/faults.rs", "nothing_is_asked_for_once_the_resource_was_read");
const FAULTS: (&str, &str) =
    ("tests/interop/faults.rs", "every_planted_fault_is_refused_for_the_right_reason_and_nothing_follows");
const UNPROVEN: (&str, &str) = ("tests/interop/faults.rs", "a_server_that_cannot_prove_its_name_is_not_spoken_to");
const ECOSYSTEMS: (&str, &str) =
    ("tests/interop/ecosystems.rs", "the_probe_completes_in_every_ecosystem_and_believes_no_lie");
const HEADERS: (&str, &str) =
    ("bank_adapters/tests/fixtures.rs", "every_recorded_exchange_is_sent_and_read_as_expected");
const SUITES: (&str, &str) = ("src/net/tls.rs", "only_the_listed_suites_are_offered_under_tls12");
const SESSIONS: (&str, &str) =
    ("src/net/tests.rs", "a_session_is_resumed_only_where_it_may_be_and_speaks_the_newest_version");
const LAST_ANSWER: (&str, &str) = ("tests/it/logins.rs", "an_answer_that_a_check_refuses_is_the_last_of_its_login");

/// Our rules, by section.
const RULES: &[(&str, Met)] = &[
    ("A1", Elsewhere(&[RIGHT_SERVER, UNPROVEN, SUITES])),
    ("A2", Elsewhere(&[SUITES])),
    ("A3", Elsewhere(&[RIGHT_SERVER, UNPROVEN])),
    ("A4", Elsewhere(&[SESSIONS])),
    ("A5", Elsewhere(&[HEADERS])),
    ("A6", Elsewhere(&[HEADERS])),
    ("A7", Elsewhere(&[HEADERS])),
    ("A8", Shown(&[BEARER, PROOF])),
    (
        "A9",
        Elsewhere(&[
            ("src/net/tests.rs", "a_redirect_is_an_answer"),
            ("src/server/pages/tests.rs", "only_harmless_targets_become_links"),
            ("src/server/web/reply.rs", "a_redirect_is_a_303_and_never_carries_a_line_break"),
        ]),
    ),
    ("A10", Elsewhere(&[HEADERS])),
    ("B1", Refused(&["metadata.configured_issuer.invalid"])),
    ("B2", Refused(&["metadata.issuer.mismatch"])),
    ("B3", Shown(&[ALIASES])),
    ("B4", Shown(&[NEW_KEY, FOREIGN_KEYS])),
    ("B5", Shown(&[OWN_KEYS])),
    ("C1", Shown(&[ASSERTION, CERTIFICATE])),
    ("C2", Shown(&[ASSERTION])),
    ("C3", Shown(&[ASSERTION, "an_older_server_may_want_its_token_endpoint_as_audience"])),
    ("C4", Shown(&[CERTIFICATE])),
    ("C5", Shown(&[ASSERTION])),
    ("C6", Shown(&["two_grants_have_two_keys"])),
    ("D1", Shown(&[REDIRECT])),
    ("D2", Shown(&[BY_VALUE, SIGNED_REQUEST])),
    ("D3", Shown(&[SIGNED_REQUEST])),
    ("D4", Shown(&[FRESH, CODE, "the_challenge_is_that_of_the_standard"])),
    ("D5", Shown(&[FRESH])),
    (
        "D6",
        Refused(&["par.status.invalid", "par.request_uri.missing", "par.expires_in.missing", "par.expires_in.invalid"]),
    ),
    ("D7", Shown(&[FORMS, CDR])),
    ("D8", Refused(&["id_token.acr.missing", "id_token.acr.mismatch"])),
    (
        "D9",
        Refused(&[
            "id_token.openbanking_intent_id.missing",
            "id_token.openbanking_intent_id.mismatch",
            "client.intent.missing",
            "token.cdr_arrangement_id.missing",
            "token.cdr_arrangement_id.mismatch",
            "client.arrangement.invalid",
        ]),
    ),
    (
        "D10",
        Refused(&[
            "token.authorization_details.missing",
            "token.authorization_details.invalid",
            "token.authorization_details.mismatch",
        ]),
    ),
    ("D11", Shown(&[BRAZIL])),
    (
        "D12",
        Elsewhere(&[
            ("src/server/web/tests.rs", "without_a_session_or_its_token_nothing_moves"),
            ("tests/it/logins.rs", "a_login_has_its_time_and_its_end"),
        ]),
    ),
    ("E1", Refused(&["callback.state.missing", "callback.state.mismatch"])),
    ("E2", Refused(&["callback.iss.missing", "callback.iss.mismatch"])),
    (
        "E3",
        Refused(&[
            "jarm.iss.missing",
            "jarm.iss.mismatch",
            "jarm.aud.missing",
            "jarm.aud.mismatch",
            "jarm.exp.missing",
            "jarm.exp.expired",
            "jarm.exp.invalid",
            "jarm.nbf.invalid",
            "jarm.claims.invalid",
            "jarm.alg.mismatch",
            "jarm.kid.untrusted",
            "jarm.signature.invalid",
            "jarm.format.invalid",
        ]),
    ),
    (
        "E4",
        Refused(&[
            "id_token.c_hash.missing",
            "id_token.c_hash.mismatch",
            "id_token.s_hash.missing",
            "id_token.s_hash.mismatch",
            "callback.id_token.missing",
        ]),
    ),
    ("E5", Elsewhere(&[("tests/it/logins.rs", "a_return_counts_once")])),
    ("E6", Refused(&["callback.authorization.refused", "callback.code.missing", "callback.login.expired"])),
    (
        "F1",
        Refused(&["id_token.iss.mismatch", "id_token.aud.mismatch", "id_token.aud.untrusted", "id_token.azp.mismatch"]),
    ),
    ("F2", Refused(&["id_token.alg.mismatch", "id_token.kid.untrusted", "id_token.signature.invalid"])),
    (
        "F3",
        Refused(&[
            "id_token.exp.expired",
            "id_token.exp.missing",
            "id_token.iat.expired",
            "id_token.iat.invalid",
            "id_token.iat.missing",
            "id_token.nbf.invalid",
            "id_token.sub.missing",
            "id_token.sub.invalid",
            "id_token.nonce.missing",
            "id_token.nonce.mismatch",
            "id_token.claims.invalid",
        ]),
    ),
    ("F4", Refused(&["id_token.at_hash.mismatch"])),
    ("F5", Refused(&["id_token.enc.mismatch", "id_token.encryption.invalid"])),
    ("F6", Void("the subject is compared inside a login and is no key of anything; no other personal claim is read")),
    ("G1", Shown(&[VARIATIONS, "silence_about_scope_and_expiry_is_understood", "a_member_that_is_null_is_not_there"])),
    ("G2", Shown(&[ROTATION])),
    ("G3", Shown(&["silence_about_scope_and_expiry_is_understood"])),
    ("G4", Shown(&["a_server_is_asked_what_it_knows_of_a_token"])),
    ("G5", Refused(&["token.access_token.invalid", "token.refresh_token.invalid"])),
    ("G6", Refused(&["token.token_type.mismatch", "client.dpop_key.missing"])),
    ("G7", Shown(&["a_token_is_given_back_by_kind"])),
    ("G8", Shown(&["our_own_token_is_asked_for_by_scope", "a_token_of_our_own_has_a_key_of_its_own"])),
    ("H1", Shown(&[PROOF])),
    ("H2", Shown(&[PROOF])),
    ("H3", Shown(&[NONCE, "an_answer_that_is_no_challenge_is_not_taken_for_one"])),
    ("H4", Shown(&[PROOF])),
    ("I1", Elsewhere(&[NEW_TOKEN])),
    ("I2", Elsewhere(&[NEW_TOKEN])),
    ("J1", Shown(&[SIGNED_REQUEST])),
    ("J2", Shown(&[FORMS])),
    ("J3", Shown(&[SIGNED_ANSWER])),
    (
        "J4",
        Void(
            "the final Message Signing leaves them to a specification of their own, FAPI 2.0 HTTP Signatures, which is \
             a draft that no ecosystem here asks for",
        ),
    ),
    ("J5", Shown(&[ENCRYPTED])),
    ("K1", Shown(&[ELSEWHERE, HINTS])),
    ("K2", Shown(&[WAITING, PINGED])),
    ("K3", Refused(&["id_token.auth_req_id.mismatch"])),
];

/// A section of the suite's requirements.
type Section = (&'static str, u8, &'static [(u8, Met)]);

/// The suite's requirements: prefix, last number, and how each number is met.
const SUITE: &[Section] = &[
    (
        "R-DISC",
        7,
        &[
            (1, Refused(&["metadata.issuer.mismatch"])),
            (2, Shown(&[WELL_KNOWN])),
            (3, Shown(&[WELL_KNOWN])),
            (4, Elsewhere(&[("tests/it/logins.rs", "every_login_asks_the_server_anew_what_it_is")])),
            (5, Shown(&[VARIATIONS])),
            (6, Shown(&[NO_OPENID])),
            (
                7,
                Refused(&[
                    "metadata.code_challenge_methods_supported.mismatch",
                    "metadata.token_endpoint_auth_methods_supported.mismatch",
                    "metadata.request_object_signing_alg_values_supported.mismatch",
                    "metadata.dpop_signing_alg_values_supported.mismatch",
                ]),
            ),
        ],
    ),
    (
        "R-KEY",
        8,
        &[
            (1, Shown(&["a_key_of_another_kind_or_size_is_not_taken_to_sign"])),
            (
                2,
                Elsewhere(&[(
                    "bank_adapters/tests/files.rs",
                    "a_registration_with_a_mistake_is_refused_with_its_line",
                )]),
            ),
            (3, Shown(&[OWN_KEYS, "a_key_to_decrypt_with_is_published_for_that_alone"])),
            (4, Shown(&[OWN_KEYS])),
            (5, Shown(&[FOREIGN_KEYS, WHOLE_LOGIN])),
            (6, Shown(&[NEW_KEY])),
            (7, Shown(&["a_key_to_decrypt_with_is_published_for_that_alone"])),
            (8, Shown(&[VARIATIONS])),
        ],
    ),
    (
        "R-PAR",
        12,
        &[
            (1, Shown(&[PLAIN_REQUEST])),
            (2, Shown(&[ALIASES])),
            (3, Shown(&[ASSERTION, CERTIFICATE])),
            (4, Shown(&[PLAIN_REQUEST, SIGNED_REQUEST])),
            (5, Shown(&[SIGNED_REQUEST])),
            (6, Shown(&[PLAIN_REQUEST])),
            (7, Void("ConnectID is no ecosystem of ours")),
            (8, Shown(&[REDIRECT])),
            (9, Shown(&[REDIRECT])),
            (10, Shown(&[SIGNED_REQUEST])),
            (11, Refused(&["par.status.invalid", "par.request_uri.missing", "par.expires_in.invalid"])),
            (12, Shown(&[PROOF])),
        ],
    ),
    (
        "R-RO",
        25,
        &[
            (1, Shown(&[WHOLE_LOGIN])),
            (2, Shown(&[SIGNED_REQUEST])),
            (3, Shown(&[SIGNED_REQUEST])),
            (4, Shown(&[SIGNED_REQUEST])),
            (5, Shown(&[SIGNED_REQUEST])),
            (6, Shown(&[SIGNED_REQUEST, "lifetimes_stay_inside_the_standard"])),
            (7, Shown(&[SIGNED_REQUEST, "lifetimes_stay_inside_the_standard"])),
            (8, Shown(&[SIGNED_REQUEST])),
            (9, Shown(&[SIGNED_REQUEST])),
            (10, Shown(&[SIGNED_REQUEST])),
            (11, Shown(&[SIGNED_REQUEST])),
            (12, Shown(&[SIGNED_REQUEST])),
            (13, Void("max_age is never sent")),
            (14, Shown(&[SIGNED_REQUEST])),
            (15, Shown(&[BY_VALUE])),
            (16, Shown(&[BY_VALUE])),
            (17, Shown(&[FORMS, BY_VALUE])),
            (18, Shown(&[SIGNED_REQUEST])),
            (19, Shown(&[SIGNED_REQUEST])),
            (20, Shown(&[BY_VALUE])),
            (21, Shown(&[SIGNED_REQUEST])),
            (22, Shown(&[CLAIMS])),
            (23, Void("request objects are signed and never encrypted: those that would need it are pushed")),
            (24, Shown(&[CLAIMS, UK])),
            (25, Shown(&[FORMS])),
        ],
    ),
    ("R-PKCE", 4, &[(1, Shown(&[PLAIN_REQUEST])), (2, Shown(&[CODE])), (3, Shown(&[CODE])), (4, Shown(&[FRESH]))]),
    (
        "R-AR",
        7,
        &[
            (1, Shown(&[FORMS])),
            (2, Refused(&["callback.iss.missing"])),
            (3, Refused(&["callback.iss.mismatch"])),
            (4, Refused(&["callback.state.mismatch"])),
            (5, Refused(&["callback.state.missing"])),
            (6, Shown(&[VARIATIONS])),
            (7, Shown(&[SILENCE])),
        ],
    ),
    (
        "R-JARM",
        11,
        &[
            (1, Refused(&["jarm.iss.missing"])),
            (2, Refused(&["jarm.iss.mismatch"])),
            (3, Refused(&["jarm.aud.missing"])),
            (4, Refused(&["jarm.aud.mismatch"])),
            (5, Refused(&["jarm.exp.missing"])),
            (6, Refused(&["jarm.exp.expired"])),
            (7, Refused(&["jarm.signature.invalid"])),
            (8, Refused(&["jarm.alg.mismatch"])),
            (9, Refused(&["callback.state.missing", "callback.state.mismatch"])),
            (10, Shown(&[WHOLE_LOGIN])),
            (11, Shown(&[ENCRYPTED])),
        ],
    ),
    (
        "R-TOK",
        15,
        &[
            (1, Shown(&[ALIASES])),
            (2, Shown(&[CODE])),
            (3, Shown(&[CODE])),
            (4, Shown(&[CODE])),
            (5, Shown(&[CERTIFICATE])),
            (6, Shown(&[CERTIFICATE])),
            (7, Shown(&[PLAIN_REQUEST])),
            (8, Shown(&[ASSERTION])),
            (9, Shown(&[ASSERTION])),
            (10, Shown(&[ASSERTION])),
            (11, Shown(&[ASSERTION])),
            (12, Shown(&[ASSERTION, NONCE])),
            (13, Shown(&[ASSERTION])),
            (14, Shown(&[PROOF])),
            (15, Elsewhere(&[ANY_SERVER, ECOSYSTEMS])),
        ],
    ),
    (
        "R-TRS",
        5,
        &[
            (1, Shown(&[VARIATIONS, PROOF])),
            (2, Shown(&["silence_about_scope_and_expiry_is_understood"])),
            (3, Shown(&["silence_about_scope_and_expiry_is_understood"])),
            (4, Shown(&[ROTATION])),
            (5, Elsewhere(&[FAULTS])),
        ],
    ),
    (
        "R-IDT",
        22,
        &[
            (1, Refused(&["id_token.iss.mismatch"])),
            (2, Refused(&["id_token.iss.missing"])),
            (3, Refused(&["id_token.aud.mismatch"])),
            (4, Refused(&["id_token.aud.missing"])),
            (5, Refused(&["id_token.aud.untrusted"])),
            (6, Shown(&[VARIATIONS])),
            (7, Refused(&["id_token.exp.expired"])),
            (8, Refused(&["id_token.exp.missing"])),
            (9, Refused(&["id_token.iat.expired"])),
            (10, Refused(&["id_token.nonce.mismatch"])),
            (11, Refused(&["id_token.nonce.missing"])),
            (12, Refused(&["id_token.signature.invalid"])),
            (13, Refused(&["id_token.alg.mismatch"])),
            (14, Refused(&["id_token.alg.mismatch"])),
            (15, Refused(&["id_token.c_hash.mismatch", "id_token.c_hash.missing"])),
            (16, Refused(&["id_token.s_hash.mismatch"])),
            (17, Refused(&["id_token.s_hash.missing"])),
            (18, Shown(&[VARIATIONS])),
            (19, Shown(&[ENCRYPTED])),
            (20, Refused(&["id_token.enc.mismatch"])),
            (21, Refused(&["id_token.openbanking_intent_id.mismatch"])),
            (22, Refused(&["id_token.sub.mismatch", "callback.id_token.missing"])),
        ],
    ),
    (
        "R-RES",
        8,
        &[
            (1, Shown(&[BEARER, PROOF])),
            (2, Elsewhere(&[("tests/it/logins.rs", "a_stolen_token_opens_nothing_without_our_certificate")])),
            (3, Shown(&[BEARER, PROOF])),
            (4, Elsewhere(&[HEADERS])),
            (5, Elsewhere(&[HEADERS])),
            (6, Elsewhere(&[HEADERS])),
            (7, Void("the userinfo endpoint is not even read from the metadata")),
            (8, Elsewhere(&[LAST_CALL])),
        ],
    ),
    ("R-RFR", 3, &[(1, Shown(&[ROTATION, PROOF])), (2, Shown(&[ROTATION])), (3, Shown(&[ROTATION]))]),
    (
        "R-DPOP",
        19,
        &[
            (1, Shown(&[PROOF])),
            (2, Shown(&[PROOF])),
            (3, Shown(&[PROOF])),
            (4, Shown(&[PROOF])),
            (5, Shown(&[PROOF])),
            (6, Shown(&[PROOF])),
            (7, Shown(&[PROOF])),
            (8, Shown(&[PROOF])),
            (9, Shown(&[PROOF])),
            (10, Shown(&[PROOF])),
            (11, Shown(&[NONCE])),
            (12, Shown(&[NONCE])),
            (13, Shown(&[NONCE])),
            (14, Shown(&[NONCE])),
            (15, Shown(&[NONCE])),
            (16, Shown(&[NONCE])),
            (17, Void("the suite has no such number")),
            (18, Shown(&[NONCE])),
            (19, Shown(&[PROOF])),
        ],
    ),
    (
        "R-MTLS",
        4,
        &[
            (1, Shown(&[ALIASES])),
            (2, Elsewhere(&[ANY_SERVER, OUR_CERTIFICATE])),
            (3, Elsewhere(&[OUR_CERTIFICATE])),
            (4, Shown(&[ALIASES])),
        ],
    ),
    ("R-TLS", 3, &[(1, Elsewhere(&[SUITES])), (2, Elsewhere(&[SESSIONS])), (3, Elsewhere(&[RIGHT_SERVER, UNPROVEN]))]),
    (
        "R-ALG",
        1,
        &[(1, Refused(&["id_token.alg.mismatch", "jarm.alg.mismatch", "id_token.enc.mismatch", "jarm.enc.mismatch"]))],
    ),
    (
        "R-ERR",
        5,
        &[
            (1, Elsewhere(&[("src/fapi/refused.rs", SILENCE), FAULTS, LAST_ANSWER])),
            (2, Elsewhere(&[LAST_CALL, FAULTS])),
            (3, Refused(&["par.request.refused", "token.grant.refused", "token.status.invalid"])),
            (4, Elsewhere(&[LAST_ANSWER])),
            (5, Void("binds whoever runs the suite: to begin when it waits")),
        ],
    ),
    (
        "R-CIBA",
        13,
        &[
            (1, Shown(&[ELSEWHERE, WAITING])),
            (2, Shown(&[ELSEWHERE])),
            (3, Shown(&[ELSEWHERE])),
            (4, Shown(&[HINTS])),
            (5, Shown(&[ELSEWHERE])),
            (6, Shown(&[PINGED])),
            (7, Refused(&["ping.notification_token.missing", "ping.notification_token.mismatch", "ping.body.invalid"])),
            (8, Refused(&["ciba.poll.invalid"])),
            (9, Shown(&[WAITING])),
            (10, Refused(&["ciba.auth_req_id.missing", "ciba.expires_in.missing"])),
            (11, Refused(&["ciba.request.refused"])),
            (12, Refused(&["ciba.authorization.refused", "ciba.auth_req_id.expired", "token.grant.refused"])),
            (13, Shown(&[WAITING])),
        ],
    ),
    (
        "R-BR",
        9,
        &[
            (1, Refused(&["id_token.encryption.missing", "id_token.enc.mismatch"])),
            (2, Shown(&[BRAZIL])),
            (3, Shown(&[BRAZIL, "our_own_token_is_asked_for_by_scope"])),
            (4, Shown(&[BRAZIL])),
            (5, Elsewhere(&[HEADERS])),
            (6, Void("payments are not initiated")),
            (7, Void("the suite has no such number")),
            (8, Void("consents to read accounts are not signed; those to payments, which are, do not occur")),
            (9, Shown(&["a_client_is_what_its_profile_says_and_the_server_knows_it_before", REGISTERED])),
        ],
    ),
];

/// Whether a source has a test of this name, which every run of its tests runs.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {name}() {{"));
    lines.iter().enumerate().any(|(at, line)| {
        let attributes: Vec<_> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        let is_test = attributes.iter().any(|line| **line == "#[test]" || line.starts_with("#[tokio::test"));
        let left_out = attributes.iter().any(|line| line.starts_with("#[ignore") || line.starts_with("#[cfg"));
        begins(line) && is_test && !left_out
    })
}

#[test]
fn a_test_that_vanishes_is_missed() {
    assert!(has_test("    #[test]\n    fn a() {\n", "a"));
    assert!(has_test("#[tokio::test(flavor = \"multi_thread\")]\nasync fn a() {\n", "a"));
    for gone in ["fn a() {", "#[test]\nfn ab() {", "#[test]\n#[ignore]\nfn a() {", "// #[test]\n// fn a() {", ""] {
        assert!(!has_test(gone, "a"), "{gone}");
    }
}

/// Whether what is named exists, and how it reads.
fn line(id: &str, met: &Met, known: &BTreeSet<&str>) -> String {
    let (kind, what) = match met {
        Refused(codes) => {
            assert!(!codes.is_empty(), "{id}");
            for code in *codes {
                assert!(known.contains(code), "{id}: no check gives {code}");
            }
            ("refused", codes.join(", "))
        }
        Shown(tests) => {
            assert!(!tests.is_empty(), "{id}");
            for test in *tests {
                assert!(TESTS.iter().any(|text| has_test(text, test)), "{id}: no test is called {test}");
            }
            ("shown", tests.join(", "))
        }
        Elsewhere(tests) => {
            assert!(!tests.is_empty(), "{id}");
            for (file, test) in *tests {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{id}: {file}: {error}"));
                assert!(has_test(&text, test), "{id}: no test of {file} is called {test}");
            }
            let named = tests.iter().map(|(file, test)| format!("{file}: {test}"));
            ("elsewhere", named.collect::<Vec<_>>().join(", "))
        }
        Void(why) => ("void", (*why).to_owned()),
    };
    format!("{id:<10} {kind:<10} {what}")
}

#[test]
fn every_requirement_on_a_client_is_met_or_does_not_occur() {
    let known: BTreeSet<_> = reasons().iter().map(|reason| reason.code).collect();
    let mut seen = BTreeSet::new();
    for (id, met) in RULES {
        assert!(seen.insert((*id).to_owned()), "{id} twice");
        println!("{}", line(id, met, &known));
    }
    for (section, last) in
        [("A", 10), ("B", 5), ("C", 6), ("D", 12), ("E", 6), ("F", 6), ("G", 8), ("H", 4), ("I", 2), ("J", 5), ("K", 3)]
    {
        for number in 1..=last {
            assert!(seen.contains(&format!("{section}{number}")), "{section}{number} is not answered");
        }
    }
    for (prefix, last, answers) in SUITE {
        let numbers: Vec<u8> = answers.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=*last).collect::<Vec<_>>(), "{prefix}: each number once, in order");
        for (number, met) in *answers {
            println!("{}", line(&format!("{prefix}-{number:02}"), met, &known));
        }
    }
}
