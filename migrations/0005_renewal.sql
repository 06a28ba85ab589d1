-- Renewing a consent in place, and warning before its clocks run out.

-- Up to when warnings were given, when the next one is due, and when the regime's written notice is.
alter table consent
    add column warned_at timestamptz,
    add column wake_at timestamptz,
    add column notice_due_at timestamptz;
create index consent_wake on consent (tenant_id, (least(due_at, wake_at))) where least(due_at, wake_at) is not null;

-- One login at a time that renews a consent. The consent stands on its old grant until the new one is proven.
create table renewal (
    tenant_id uuid not null,
    consent_id uuid not null,
    -- The grant that is being authorised: a new one, or the consent's own where the bank renews under the same id.
    grant_id uuid not null,
    -- begun: the person is at the bank. done: proven; the first fetch has yet to tell what became of the accounts.
    -- broken: it failed where the bank may have ended the old authorisation already.
    state text not null check (state in ('begun', 'done', 'broken')),
    text_hash bytea not null,
    -- Last day of the consent from then on, inclusive, in the bank's calendar.
    asked_until date not null,
    accepted_at timestamptz not null,
    authorise_by timestamptz not null,
    primary key (tenant_id, consent_id),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, grant_id) references bank_grant,
    foreign key (tenant_id, text_hash) references consent_text
);
create index renewal_grant on renewal (tenant_id, grant_id);
create index renewal_begun on renewal (tenant_id, authorise_by) where state = 'begun';

select classify('consent', 'legal', '{retention}', 'warned_at wake_at notice_due_at');
select classify('renewal', 'legal', '{consent}', 'tenant_id consent_id grant_id state text_hash asked_until accepted_at
    authorise_by');
select fence('renewal');
