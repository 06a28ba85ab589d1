//! Every English sentence of the pages, once, and the list of entries that every other language has to have: a missing or
//! misspelt one does not compile.
//!
//! `consent_version` names the wording that evidence refers to. Any change to an entry that begins with `consent_` raises it.

use std::fmt::Display;

use super::language::{Language, entries};

entries! {
    language() "en";
    consent_version() "en-3";
    skip() "Skip to the content";
    for_product(product) "for {product}";
    steps_label() "Progress";
    step_bank() "Bank";
    step_permission() "Permission";
    step_at_bank() "At your bank";
    step_done() "Done";
    footer_tpp(tpp, authorisation) "{tpp} is the regulated provider behind this page ({authorisation}).";
    footer_password() "You sign in at your bank. Your password is never shown to us.";
    footer_support() "Questions and complaints";
    footer_privacy() "Privacy notice";

    landing_title() "Connect your bank";
    landing_title_at(bank) "Connect your account at {bank}";
    landing_intro(product, tpp) "{product} asks {tpp} to connect your bank account. Nothing is shared until you have read what for and agreed.";
    landing_step_choose() "Choose your bank";
    landing_step_bank(bank) "Your bank: {bank}";
    landing_step_read() "Read what would be shared, with whom and for how long";
    landing_step_confirm() "Confirm at your bank, on your bank’s own page";
    landing_stop() "You can stop at any time, and what was read is then erased.";
    landing_begin() "Begin";

    picker_title() "Choose your bank";
    picker_search() "Name of your bank, or its BIC";
    picker_go() "Search";
    picker_results() "Banks";
    picker_sandbox() "Test system";
    picker_none(query) "No bank matches “{query}”.";
    picker_none_help() "Check the spelling, or search for a part of the name. A bank that is not listed here cannot be connected yet.";
    picker_empty() "No bank can be connected at the moment. Please come back later.";
    picker_left_off(count) "{count} more match. Type more of the name to find yours.";

    consent_title(bank) "What you share from {bank}";
    consent_intro(product, tpp, bank) "{product} would like to see data of your accounts at {bank}. {tpp} reads them for it, with your permission only.";
    consent_purpose() "What it is for";
    consent_purpose_limit(product) "{product} may not use the data for anything else.";
    consent_data() "What is shared";
    consent_data_limit() "Nothing else. Nobody can make a payment or change anything in your account, and nobody but your bank sees your password.";
    consent_cluster_accounts() "Accounts";
    consent_cluster_accounts_detail() "name, number, type and currency";
    consent_cluster_holder() "Account holder";
    consent_cluster_holder_detail() "the name on the account";
    consent_cluster_balances() "Balances";
    consent_cluster_balances_detail() "what is in the account and what is available";
    consent_cluster_transactions() "Transactions";
    consent_cluster_transactions_detail() "amount, date, the other party and the text, as far back as your bank gives them";
    consent_cluster_transactions_days(days) "amount, date, the other party and the text, from the last {days} days on";
    consent_term() "For how long";
    consent_term_once() "The data are read once, now. After that the permission is used up.";
    consent_term_until(date) "Until {date}, unless you stop earlier.";
    consent_term_unattended(reads) "New data are read at most {reads} times a day while you are away, and whenever you ask for it.";
    consent_term_confirm(days) "Your bank asks you to confirm again about every {days} days. Without that, reading stops.";
    consent_instead_replaces(bank) "{bank} allows one permission at a time. This one takes the place of the one that you have given before; what was read under it stays.";
    consent_instead_renews(bank) "{bank} allows one permission at a time. Confirming there renews the permissions that you have given before as well; they go on as they are.";
    elsewhere_shared(bank) "{bank} allows one permission at a time, and another service seems to have one. If you gave it, both go on under the new one: the other service reads what it has read before, and nothing more.";
    elsewhere_ends(bank) "{bank} allows one permission at a time, and another service seems to have one. If you gave it, the bank ends it as soon as you confirm there. The other service keeps what it has read, reads nothing new, and has to ask you to confirm again.";
    consent_who() "Who receives it";
    consent_who_product(product) "{product}, the product you came from";
    consent_who_tpp(tpp, authorisation) "{tpp}, the provider that reads the data and keeps them encrypted ({authorisation})";
    consent_who_intermediary(name, bank, tpp) "{name}, which signs in at {bank} for {tpp} and passes the data on. What {name} keeps of them, only {name} can say; receipts of {tpp} do not prove it.";
    consent_who_limit() "Nobody else.";
    consent_stop() "How to stop";
    consent_stop_where(product, tpp) "At any time and at no cost: on your overview page at {tpp}, in {product}, or at your bank.";
    consent_stop_effect() "Reading stops at once and what was read is erased; you can have a signed receipt of that. Only the record of this permission is kept, as the law asks.";
    consent_stop_effect_held(days) "Reading stops at once, and nobody uses what was read any more. A law obliges us to keep it for {days} more days; then it is erased, and you can have a signed receipt of that. The record of this permission is kept longer, as the law asks.";
    consent_stop_effect_held_day() "Reading stops at once, and nobody uses what was read any more. A law obliges us to keep it for one more day; then it is erased, and you can have a signed receipt of that. The record of this permission is kept longer, as the law asks.";
    consent_end_blocked(days) "If the permission ends by itself, nobody can read what was stored, and it is erased after {days} days.";
    consent_end_blocked_day() "If the permission ends by itself, nobody can read what was stored, and it is erased a day later.";
    consent_end_readable(product, days) "If the permission ends by itself, {product} can read what was stored for {days} more days, unless you stop it; then it is erased.";
    consent_end_readable_day(product) "If the permission ends by itself, {product} can read what was stored for one more day, unless you stop it; then it is erased.";
    consent_end_erased() "If the permission ends by itself, what was stored is erased at once.";
    consent_acknowledge(tpp, bank, product) "I have read this. I agree that {tpp} reads these data of mine at {bank} and gives them to {product} for this purpose.";
    consent_accept(bank) "Agree and go to {bank}";
    consent_decline() "No, go back";
    login_name(bank) "Your user name at {bank}";
    login_name_why(bank) "{bank} asks you in its app and has to know whom. The name goes to {bank} alone and is not kept. Never type your password here.";
    login_name_missing(bank) "Please type the name by which you sign in at {bank}.";
    consent_missing() "Please tick the box to agree, or go back without agreeing.";
    consent_next(bank) "Next you sign in at {bank}, on its own page, and choose the accounts there.";

    return_what_next() "What you can do";
    return_restart() "Try again";
    return_overview() "See what is connected";
    return_product(product) "Back to {product}";
    return_by_hand(product) "Close this page and begin again from {product}.";
    return_reference(reference) "If you ask for help, quote {reference}.";
    your_bank() "your bank";

    connected_title(bank) "{bank} is connected";
    connected_intro(product) "{product} can now see these accounts.";
    connected_reading(product) "The first data are being read now; {product} shows them in a moment. This page looks again by itself.";
    connected_until(date) "Until {date}, unless you stop earlier.";
    connected_once() "Read once; the permission is used up.";
    connected_accounts() "Connected accounts";
    connected_stop_hint() "You can see and stop what you share at any time.";

    overview_title() "What you share";
    overview_intro(tpp, product) "What {tpp} reads from your banks for {product}, and until when.";
    overview_nothing() "You share nothing at the moment.";
    overview_nothing_help() "When you connect a bank, you will find it here.";
    overview_with(product) "shared with {product}";
    overview_active() "Active";
    overview_needs_you() "Needs you";
    overview_ended() "Ended";
    overview_purpose() "For";
    overview_data() "Data";
    overview_erasure() "Erasure";
    overview_accounts() "Accounts";
    overview_since() "Since";
    overview_until() "Until";
    overview_until_stopped() "until you stop it";
    overview_last_read() "Last read";
    overview_never_read() "not yet";
    overview_ended_at() "Stopped";
    overview_needs_you_text(bank) "{bank} wants to see you again before more is read. What was read so far stays as it is.";
    overview_soon_text(bank) "{bank} wants to see you again soon. Confirm in time, and reading goes on without a break.";
    overview_renew(bank) "Confirm at {bank}";
    overview_reconfirm_text(bank, product) "You have not confirmed for 90 days, so nothing more is read from {bank}. Do you still want to share these data with {product}? You need not go to your bank.";
    overview_reconfirm_soon_text(product) "Every 90 days we ask: do you still want to share these data with {product}? You need not go to your bank.";
    overview_reconfirm() "Yes, go on sharing";
    overview_stop(bank) "Stop sharing from {bank}";
    overview_stop_ask(bank, product) "{product} will lose access at once, and everything that was read from {bank} for it will be erased. This cannot be undone; you can connect again later.";
    overview_stop_confirm() "Stop and erase";
    overview_remove() "Stop sharing one account";
    overview_remove_ask(product) "{product} will lose it at once, and what was read from it will be erased. Your other accounts stay as they are.";
    overview_remove_which() "Which account?";
    overview_remove_confirm() "Remove and erase";

    stopped_title(bank) "You no longer share data from {bank}";
    stopped_intro(product) "{product} has lost access.";
    stopped_progress() "What has happened";
    stopped_ours() "Stopped at our side";
    stopped_ours_text(at) "{at}. Since then nothing is read, stored or handed out.";
    stopped_at(at) "Stopped at {at}; your bank has not yet confirmed.";
    stopped_bank_pending(bank) "{bank} has not yet confirmed";
    stopped_bank_pending_text() "We have told your bank and go on asking until it answers. You need not wait.";
    stopped_bank_confirmed(bank) "{bank} has confirmed";
    stopped_bank_confirmed_text(at) "{at}. The permission is over there too.";
    stopped_bank_unconfirmed(bank) "{bank} did not confirm";
    stopped_bank_unconfirmed_text() "Our side stopped all the same. You can also remove the permission in your online banking, under connected services.";
    stopped_erasing() "Your data are being erased";
    stopped_erasing_text() "This takes a moment. This page looks again by itself.";
    stopped_erased() "Your data are erased";
    stopped_erased_text(at) "{at}. The key that could decrypt them is destroyed as well.";
    stopped_unreadable(at) "Backups cannot be read either from {at} on.";
    stopped_held() "Some data are kept out of use";
    stopped_held_text() "A legal duty forbids erasing them for now. Nobody can read them until it ends; then they are erased.";
    stopped_receipt() "Download the signed receipt";
    stopped_overview() "Back to your overview";
    stopped_kept() "Out of use, not yet erased";
    stopped_kept_text() "The permission ended by itself. Nobody can read what was stored, and it is erased when its retention is over.";
    stopped_readable() "Not yet erased";
    stopped_readable_text(product) "The permission ended by itself. {product} can read what was stored until its retention is over; then it is erased. You can stop that on your overview page at any time.";
    account_unnamed() "Account";
    account_ending(ending) "ending in {ending}";

    relay_title() "One moment";
    relay_intro() "Your bank has sent you back. This page hands its answer on, and then goes on by itself.";
    relay_without_script(product) "Your bank gives its answer to the browser alone, and it takes a script to hand it on; in this browser scripts are switched off. Allow them for this page and load it again, or close the page and begin again from {product} in another browser. Nothing has been shared.";

    months() "January February March April May June July August September October November December";
    day(day, month, year) "{day} {month} {year}";
    switch_label() "Language";
    // Heading, what happened, what to do: three lines each.
    outcome_denied(bank) "You did not agree at the bank
{bank} told us that you said no or left its page. Nothing was shared.
If that was a mistake, you can try again.";
    outcome_declined(bank, product) "Nothing was shared
You did not agree, so {bank} was not asked for anything.
You can go on using {product} and connect later.";
    outcome_timed_out(bank, minutes) "That took too long
For your safety a sign-in at {bank} has to be finished within {minutes} minutes. Nothing was shared.
Please try again; have your banking app or TAN device at hand.";
    outcome_bank_error(bank) "The bank reported an error
{bank} could not finish your sign-in. It is not your fault, and nothing was shared.
Please try again in a few minutes.";
    outcome_bank_unavailable(bank) "The bank cannot be reached
{bank} does not answer at the moment. Nothing was shared.
Please try again later.";
    outcome_came_twice(bank) "You have been here already
This answer of {bank} was already used, so opening it again changes nothing. This happens when a page is reloaded.
Your connection is as it was.";
    outcome_other_browser(bank) "Please go on where you began
You began in one browser and {bank} sent you back to another. So that nobody can connect your account to theirs, we stopped here; nothing was shared.
Begin again in this browser, and come back to it from your banking app.";
    outcome_not_trusted(bank) "This answer could not be trusted
What came back did not prove that it comes from {bank}, so it was thrown away. Nothing was shared.
Please try again. If you see this page twice, tell us.";
    outcome_unknown() "We do not know this visit
No sign-in at a bank is waiting for this page. It may be long over, or the address was cut short. Nothing was shared by opening it.
If you were on the way to your bank, begin again.";
    outcome_awaits_signers(bank, product) "Others have to sign as well
{bank} has your signature. Your accounts there need more than one, so it does not count yet.
Ask the others to sign in their own online banking at {bank}. We look from time to time, and {product} is told when it is done; you need not wait here.";
    outcome_awaits_psu(bank, minutes) "Confirm at {bank}
{bank} asks you to confirm, in its app or on its page. This page goes on by itself once you have.
Nothing there? Open the app of {bank}. You have {minutes} minutes, and can begin again at any time.";
    outcome_withdrawn(bank, product) "This request was withdrawn
It ended before {bank} had confirmed it, so nothing was shared. What was begun at {bank} is ended there as well.
If you still want to connect your bank, begin again from {product}.";
    outcome_link_over() "This link is no longer valid
A link can be used once, for a day. This one was used, is too old, or was not copied in full.
You need a new link.";
    outcome_signed_out(minutes) "This page has forgotten you
For your safety it knows you for {minutes} minutes, and only in the browser in which you began. What you have done so far is kept.
A new link leads you on.";
    outcome_our_fault() "Something went wrong on our side
It is not your fault and not your bank’s. We have been told.
Please try again in a few minutes.";
    countries() "AT=Austria;AU=Australia;BE=Belgium;BG=Bulgaria;BR=Brazil;CH=Switzerland;CY=Cyprus;CZ=Czechia;DE=Germany;DK=Denmark;EE=Estonia;ES=Spain;FI=Finland;FR=France;GB=United Kingdom;GR=Greece;HR=Croatia;HU=Hungary;IE=Ireland;IS=Iceland;IT=Italy;LI=Liechtenstein;LT=Lithuania;LU=Luxembourg;LV=Latvia;MT=Malta;NL=Netherlands;NO=Norway;PL=Poland;PT=Portugal;RO=Romania;SE=Sweden;SI=Slovenia;SK=Slovakia;US=United States";
}
