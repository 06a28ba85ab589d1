//! Profiles: what is accepted, what is refused and where.

use super::*;

const FILE: &str = "de_musterbank.toml";
const TEXT: &str = include_str!("../profiles/de/de_musterbank.toml");

/// The complaint about the file with one piece of text replaced: its line and message.
fn complaint(piece: &str, by: &str) -> (String, String) {
    assert_eq!(TEXT.matches(piece).count(), 1, "{piece} stands in the file once");
    let findings = Profile::parse(FILE, &TEXT.replace(piece, by)).unwrap_err();
    let line = TEXT.lines().nth(findings.0[0].line - 1).unwrap_or_default().to_owned();
    (line, findings.0[0].message.clone())
}

#[test]
fn the_first_profile_is_accepted_and_resolved() {
    let profile = Profile::parse(FILE, TEXT).unwrap();
    let security = profile.security();
    assert_eq!(security.request, RequestForm::SignedJar);
    assert_eq!(security.response, ResponseForm::Query);
    assert_eq!(profile.rules.sign, SignRule::Signed);
    assert_eq!(profile.rules.zone, "Europe/Berlin");
    assert_eq!(profile.evidence.sources[0].checked, jiff::civil::date(2026, 11, 21));
}

#[test]
fn a_sign_that_no_profile_tells_is_the_standards() {
    let british = include_str!("../profiles/gb/gb_musterbank.toml");
    for word in ["", "sign = \"either\"\n"] {
        let rules =
            Profile::parse("gb_musterbank.toml", &british.replace("sign = \"indicator\"\n", word)).unwrap().rules;
        assert_eq!(rules.sign, SignRule::Indicator);
        assert_eq!(rules.own_names.last().map(String::as_str), Some("Musterbank UK"));
    }
    let loose = TEXT.replace("sign = \"signed\"", "sign = \"either\"");
    assert_eq!(Profile::parse(FILE, &loose).unwrap().rules.sign, SignRule::Either);
}

#[test]
fn every_mistake_is_told_with_its_line() {
    for (piece, by, line, says) in [
        ("id = \"de_musterbank\"", "id = \"de_other\"", "id = \"de_musterbank\"", "name of the file"),
        ("country = \"DE\"", "country = \"FR\"", "id = \"de_musterbank\"", "begin with the country"),
        ("country = \"DE\"", "country = \"de\"", "country = \"DE\"", "upper-case"),
        ("level = \"sandbox\"", "level = \"production\"", "level = \"sandbox\"", "endpoints of that environment"),
        ("level = \"sandbox\"", "level = \"sure\"", "level = \"sandbox\"", "unknown variant"),
        ("\"MUSTDEFF\"", "\"MUST\"", "bics = [\"MUSTDEFF\", \"MUSTDEFFXXX\"]", "BICs"),
        ("api = \"https:", "api = \"http:", "api = \"https://xs2a.sandbox.musterbank.example\"", "https"),
        ("api = \"https:", "#", "[endpoints.sandbox]", "`api`"),
        ("issuer = \"https:", "#", "[endpoints.sandbox]", "`issuer`"),
        (
            "profile = \"fapi2-message-signing\"",
            "profile = \"fapi9\"",
            "profile = \"fapi2-message-signing\"",
            "not a word",
        ),
        ("AIS:{consent_id}", "AIS:", "consent_scope = \"AIS:{consent_id}\"", "{consent_id}"),
        ("consent_scope", "#", "completion = \"token\"", "consent_scope"),
        ("max_days = 180", "max_days = 0", "max_days = 180", "at least 1"),
        ("max_days = 180", "max_day = 180", "max_days = 180", "unknown field"),
        ("[\"both\"]", "[]", "booking_status = [\"both\"]", "at least one"),
        ("unattended_per_day = 4", "unattended_per_day = 0", "unattended_per_day = 4", "at least 1"),
        ("Europe/Berlin", "Europe/Musterstadt", "zone = \"Europe/Berlin\"", "time zone"),
        ("2026-11-21 ", "2026-11-21T10:00:00Z ", "    { about = \"all\"", "a day is written"),
        ("about = \"all\"", "about = \" \"", "sources = [", "what each source proves"),
        ("[limits]", "quirks = [\"detached_jws\"]\n[limits]", "[limits]", "unknown field"),
    ] {
        let (told_line, message) = complaint(piece, by);
        assert!(told_line.starts_with(line), "{piece} → {by}: told at {told_line:?}, {message}");
        assert!(message.contains(says), "{piece} → {by}: {message}");
    }
}

#[test]
fn an_unknown_behaviour_is_refused() {
    let findings = Profile::parse(FILE, &format!("quirks = [\"detached_jws\"]\n{TEXT}")).unwrap_err();
    assert_eq!(findings.0[0].line, 1);
}

#[test]
fn each_field_of_the_security_profile_can_be_the_banks_own() {
    let own = "client_auth = \"tls_client_auth\"\nbinding = \"none\"\nrequest = \"parameters\"\nalgs = [\"ES256\"]\n\
               audience = \"token_endpoint\"\nauthorization_details = '[{\"type\": \"ais\", \"id\": \"{consent_id}\"}]'\n[consent]";
    let profile = Profile::parse(FILE, &TEXT.replace("[consent]", own)).unwrap();
    let security = profile.security();
    assert_eq!(security.client_auth, ClientAuth::TlsClientAuth);
    assert_eq!(security.binding, TokenBinding::Unbound);
    assert_eq!(security.request, RequestForm::Parameters);
    assert_eq!(&*security.algs, [Alg::Es256]);
    assert_eq!(security.client_assertion_audience, Audience::TokenEndpoint);
    let authorization = profile.authorization(&BankConsentId::new("c-1").unwrap());
    assert_eq!(authorization.scope, "openid AIS:c-1");
    assert_eq!(authorization.authorization_details.as_deref(), Some(r#"[{"type": "ais", "id": "c-1"}]"#));
}

/// What the guide of the client shows as a profile of Australia or of the UK is one of the directory, too.
#[test]
fn an_ecosystem_is_written_as_fields_of_the_security_profile() {
    let own = "issuer_parameter = \"if_announced\"\nacr_values = [\"a\", \"b\"]\nacr_required = true\n\
               intent_claim = \"i\"\narrangement_claim = \"c\"\nduration_claim = \"d\"\ngranted_scope = \"any\"\n\
               id_token_encryption = \"required\"\ntoken_delivery = \"ping\"\nregistration = \"jwt\"\n\
               request_uri_seconds_max = 90\n[consent]";
    let security = Profile::parse(FILE, &TEXT.replace("[consent]", own)).unwrap().security();
    let base = Profile::parse(FILE, TEXT).unwrap().security();
    let expected = Security {
        issuer_parameter: IssuerParameter::IfAnnounced,
        acr_values: Cow::Owned(vec!["a".to_owned(), "b".to_owned()]),
        acr_required: true,
        intent_claim: Some("i".to_owned()),
        arrangement_claim: Some("c".to_owned()),
        duration_claim: Some("d".to_owned()),
        granted_scope: GrantedScope::Any,
        id_token_encryption: IdTokenEncryption::Required,
        token_delivery: TokenDelivery::Ping,
        registration: RegistrationForm::Jwt,
        request_uri_seconds_max: 90,
        ..base
    };
    assert_eq!(security, expected);
}

#[test]
fn the_banks_own_word_about_an_error_comes_before_the_standards() {
    let rules = "[[errors]]\nstatus = 401\ncode = \"expired_session\"\nmeans = \"ask_user\"\n\
                 [[errors]]\nstatus = 418\nmeans = \"wait_for_tomorrow\"\n[evidence]";
    let profile = Profile::parse(FILE, &TEXT.replace("[evidence]", rules)).unwrap();
    let meaning = |status, code: &str| {
        let code = crate::error::BankCode::new(code);
        profile.meaning(&BankProblem { status, code, shape: crate::error::Shape::Json })
    };
    assert_eq!(meaning(401, "EXPIRED_SESSION"), Some(Means::AskUser));
    assert_eq!(meaning(401, "OTHER"), None);
    assert_eq!(meaning(403, "EXPIRED_SESSION"), None);
    assert_eq!(meaning(418, ""), Some(Means::WaitForTomorrow));
    let broad = "[[errors]]\nmeans = \"skip\"\n[evidence]";
    assert!(Profile::parse(FILE, &TEXT.replace("[evidence]", broad)).is_err());
}

#[test]
fn every_key_is_explained_with_its_values() {
    let explained = explain(TEXT);
    let of = |table: &str, key: &str| {
        explained.iter().find(|one| (one.table, one.key) == (table, key)).unwrap_or_else(|| panic!("{table}.{key}"))
    };
    assert_eq!(of("bank", "id").values, ["\"de_musterbank\""]);
    assert_eq!(of("endpoints.*", "api").values, ["\"https://xs2a.sandbox.musterbank.example\""]);
    assert_eq!(of("evidence.sources", "checked").values, ["2026-11-21"]);
    assert!(of("errors", "means").values.is_empty());
    assert!(explained.iter().all(|one| one.about.ends_with(['.', '`']) && one.about.len() > 10));
    assert!(!explained.iter().any(|one| one.key == "endpoints" || one.key == "sources"));
}
