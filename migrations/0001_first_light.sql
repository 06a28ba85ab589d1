-- The schema's words are the design's: tenant, product, PSU, consent, grant, line, epoch key.
--
-- Two classes of tables. Tenant tables begin their primary key with tenant_id and are fenced by row-level security;
-- reference tables hold no bank data. Every column is classified in data_map, from which erasures are derived.
-- Business time is written by the caller; now() appears only in leases, which run on the database's clock.

-- Roles -----------------------------------------------------------------------------------------------------------
-- tributary_app sees one tenant at a time. tributary_system crosses tenants, and has no right on any table with bank data.
-- Roles belong to the whole server, so another database of it may have made them already.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['tributary_app', 'tributary_system'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;
            end;
        end if;
        if not (select rolsuper from pg_roles where rolname = current_user) then
            execute format('grant %I to current_user', wanted);
        end if;
    end loop;
end $$;

grant usage on schema public to tributary_app, tributary_system;

-- The data map ----------------------------------------------------------------------------------------------------

create table data_map (
    table_name text not null,
    column_name text not null,
    -- id: random ids and keyed tags. legal: our record of what was allowed and done. operation: how we run.
    -- bank_data: sealed facts about a person's account. visible: what stays readable about them, dates and counts.
    -- secret: keys, tokens and their hashes. public: words that everybody may read.
    class text not null check (class in ('id', 'legal', 'operation', 'bank_data', 'visible', 'secret', 'public')),
    -- What takes it away. line, consent, grant: an erasure of that. A table whose every column goes with one of these
    -- loses the row, else the columns are emptied. expiry: a deadline in the row. retention: the end of a legal period.
    erased_with text[] not null check (erased_with <@ array['line', 'consent', 'grant', 'capsule', 'evidence', 'expiry',
        'retention']),
    primary key (table_name, column_name)
);

create function classify(of_table text, as_class text, goes_with text[], columns text) returns void
language sql as $$
    insert into data_map select of_table, name, as_class, goes_with from regexp_split_to_table(trim(columns), '\s+') name
$$;

-- Tenants and products --------------------------------------------------------------------------------------------

create table tenant (
    tenant_id uuid primary key,
    name text not null,
    regime text not null,
    created_at timestamptz not null
);

create table product (
    tenant_id uuid not null references tenant,
    product_id uuid not null,
    name text not null,
    purposes text[] not null,
    return_urls text[] not null,
    next_event_seq bigint not null default 1,
    created_at timestamptz not null,
    primary key (tenant_id, product_id)
);

create table api_key (
    tenant_id uuid not null,
    api_key_id uuid not null,
    product_id uuid not null,
    prefix text not null,
    hash bytea not null check (length(hash) = 32),
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (tenant_id, api_key_id),
    foreign key (tenant_id, product_id) references product
);
create index api_key_hash on api_key (hash);

create table psu (
    tenant_id uuid not null,
    psu_id uuid not null,
    product_id uuid not null,
    ref_tag bytea not null check (length(ref_tag) = 32),
    sealed_ref bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, psu_id),
    unique (tenant_id, product_id, ref_tag),
    foreign key (tenant_id, product_id) references product
);

-- Keys ------------------------------------------------------------------------------------------------------------

create table secret_key (
    tenant_id uuid not null references tenant,
    purpose text not null,
    key_epoch bigint not null,
    wrapped_key bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, purpose)
);

create table epoch (
    tenant_id uuid not null references tenant,
    epoch bigint not null,
    created_at timestamptz not null,
    destroyed_at timestamptz,
    primary key (tenant_id, epoch)
);

-- Reference tables ------------------------------------------------------------------------------------------------

create table registration (
    registration_id text primary key,
    tenant_id uuid not null,
    institution_id text not null,
    environment text not null,
    level text not null check (level in ('docs', 'sandbox', 'production')),
    enabled boolean not null,
    updated_at timestamptz not null,
    unique (tenant_id, institution_id, environment)
);

create table bank_budget (
    registration_id text not null,
    subject uuid not null,
    operation text not null,
    day date not null,
    used integer not null check (used >= 0),
    primary key (registration_id, subject, operation, day)
);

-- Consents and grants ---------------------------------------------------------------------------------------------

create table consent_text (
    tenant_id uuid not null references tenant,
    text_hash bytea not null check (length(text_hash) = 32),
    language text not null,
    body text not null,
    first_shown_at timestamptz not null,
    primary key (tenant_id, text_hash)
);

create table bank_grant (
    tenant_id uuid not null,
    grant_id uuid not null,
    registration_id text not null,
    institution_id text not null,
    psu_id uuid not null,
    state text not null,
    seq bigint not null,
    -- Stored before the call that creates or changes something at the bank, so that an unknown outcome is found.
    intent text check (intent in ('create_consent', 'redeem', 'refresh', 'end')),
    intent_id uuid,
    intent_at timestamptz,
    key_epoch bigint,
    wrapped_key bytea,
    sealed_bank_consent bytea,
    sealed_tokens bytea,
    token_expires_at timestamptz,
    sca_at timestamptz,
    valid_until timestamptz,
    created_at timestamptz not null,
    ended_at timestamptz,
    primary key (tenant_id, grant_id),
    foreign key (tenant_id, psu_id) references psu,
    check ((intent is null) = (intent_id is null) and (intent is null) = (intent_at is null))
);
create index bank_grant_intent on bank_grant (tenant_id, intent_at) where intent is not null;
create index bank_grant_psu on bank_grant (tenant_id, psu_id);

create table consent (
    tenant_id uuid not null,
    consent_id uuid not null,
    product_id uuid not null,
    psu_id uuid not null,
    -- Both or neither: without them the user chooses the bank on the link page.
    institution_id text,
    registration_id text,
    purposes text[] not null,
    clusters text[] not null,
    language text not null,
    return_url text not null,
    text_hash bytea,
    state text not null check (state in ('initiated', 'authorized', 'active', 'reauth_pending', 'expired', 'revoked',
        'failed')),
    state_reason text,
    data_state text not null check (data_state in ('present', 'erasing', 'erased')),
    seq bigint not null,
    grant_id uuid,
    -- Last day that the user was asked for, inclusive, in the bank's calendar.
    asked_until date not null,
    created_at timestamptz not null,
    authorise_by timestamptz not null,
    accepted_at timestamptz,
    authorized_at timestamptz,
    sca_at timestamptz,
    confirmed_at timestamptz,
    sca_due_at timestamptz,
    reconfirm_due_at timestamptz,
    valid_until timestamptz,
    ended_at timestamptz,
    -- When a timer must look at it next. Whoever waits for the user already is only waiting for the end.
    due_at timestamptz generated always as (
        case state
            when 'initiated' then authorise_by
            when 'authorized' then least(sca_due_at, reconfirm_due_at, valid_until)
            when 'active' then least(sca_due_at, reconfirm_due_at, valid_until)
            when 'reauth_pending' then valid_until
        end
    ) stored,
    primary key (tenant_id, consent_id),
    foreign key (tenant_id, product_id) references product,
    foreign key (tenant_id, psu_id) references psu,
    foreign key (tenant_id, grant_id) references bank_grant,
    foreign key (tenant_id, text_hash) references consent_text,
    check ((institution_id is null) = (registration_id is null)),
    check (institution_id is not null or state in ('initiated', 'revoked', 'failed'))
);
create index consent_product on consent (tenant_id, product_id, consent_id);
create index consent_psu on consent (tenant_id, psu_id, consent_id);
create index consent_grant on consent (tenant_id, grant_id);
create index consent_retained on consent (tenant_id, ended_at)
    where data_state = 'present' and state in ('expired', 'failed');
create index consent_due on consent (tenant_id, due_at) where due_at is not null;

create table consent_history (
    tenant_id uuid not null,
    consent_id uuid not null,
    seq bigint not null,
    event text not null,
    actor text not null,
    from_state text,
    from_reason text,
    to_state text not null,
    to_reason text,
    at timestamptz not null,
    primary key (tenant_id, consent_id, seq),
    foreign key (tenant_id, consent_id) references consent
);

create table link (
    tenant_id uuid not null,
    link_id uuid not null,
    consent_id uuid not null,
    token_hash bytea not null check (length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (tenant_id, link_id),
    foreign key (tenant_id, consent_id) references consent
);
create index link_token on link (token_hash);
create index link_consent on link (tenant_id, consent_id);

create table login (
    tenant_id uuid not null,
    login_id uuid not null,
    consent_id uuid not null,
    grant_id uuid not null,
    registration_id text not null,
    state_tag bytea not null check (length(state_tag) = 32),
    browser_hash bytea not null check (length(browser_hash) = 32),
    sealed_pending bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    outcome text,
    finished_at timestamptz,
    primary key (tenant_id, login_id),
    unique (tenant_id, state_tag),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, grant_id) references bank_grant,
    check ((outcome is null) = (finished_at is null))
);
create index login_consent on login (tenant_id, consent_id);
create index login_open on login (tenant_id, expires_at) where outcome is null;

create table page_session (
    tenant_id uuid not null,
    session_id uuid not null,
    consent_id uuid not null,
    login_id uuid,
    token_hash bytea not null check (length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, session_id),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, login_id) references login
);
create index page_session_token on page_session (token_hash);
create index page_session_consent on page_session (tenant_id, consent_id);
create index page_session_login on page_session (tenant_id, login_id);

-- Lines and bank data ---------------------------------------------------------------------------------------------

create table line (
    tenant_id uuid not null,
    line_id uuid not null,
    psu_id uuid not null,
    institution_id text not null,
    account_tag bytea not null check (length(account_tag) = 32),
    key_epoch bigint not null,
    wrapped_key bytea not null,
    schema_version smallint not null,
    sealed bytea not null,
    next_seq bigint not null default 1,
    balances_as_of timestamptz,
    transactions_as_of timestamptz,
    complete_from date,
    complete_until date,
    created_at timestamptz not null,
    primary key (tenant_id, line_id),
    unique (tenant_id, psu_id, institution_id, account_tag),
    foreign key (tenant_id, psu_id) references psu
);

create table consent_line (
    tenant_id uuid not null,
    consent_id uuid not null,
    line_id uuid not null,
    state text not null check (state in ('granted', 'removed')),
    sealed_resource_id bytea not null,
    granted_at timestamptz not null,
    removed_at timestamptz,
    primary key (tenant_id, consent_id, line_id),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, line_id) references line,
    check ((state = 'removed') = (removed_at is not null))
);
create index consent_line_line on consent_line (tenant_id, line_id);

-- An account that its holder took out of a consent: the next fetch must drop it although the bank still lists it.
create table removed_account (
    tenant_id uuid not null,
    consent_id uuid not null,
    account_tag bytea not null check (length(account_tag) = 32),
    removed_at timestamptz not null,
    primary key (tenant_id, consent_id, account_tag),
    foreign key (tenant_id, consent_id) references consent
);

create table balance (
    tenant_id uuid not null,
    line_id uuid not null,
    balance_id uuid not null,
    -- The run that brought it. A run goes with its consent, the line may stay: no foreign key.
    fetch_id uuid not null,
    fetched_at timestamptz not null,
    schema_version smallint not null,
    sealed bytea not null,
    primary key (tenant_id, line_id, balance_id),
    foreign key (tenant_id, line_id) references line
);
create index balance_latest on balance (tenant_id, line_id, fetched_at desc);

create table transaction (
    tenant_id uuid not null,
    line_id uuid not null,
    transaction_id uuid not null,
    seq bigint not null,
    -- The day it is listed under: booking, else value, else transaction day, else the day it was first seen.
    booking_date date not null,
    status text not null check (status in ('booked', 'pending')),
    schema_version smallint not null,
    dedup_tag bytea not null check (length(dedup_tag) = 32),
    content_tag bytea not null check (length(content_tag) = 32),
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    removed_at timestamptz,
    sealed bytea not null,
    primary key (tenant_id, line_id, transaction_id),
    unique (tenant_id, line_id, dedup_tag),
    foreign key (tenant_id, line_id) references line
);
create index transaction_page on transaction (tenant_id, line_id, booking_date desc, seq desc) where removed_at is null;
create index transaction_pending on transaction (tenant_id, line_id, last_seen_at)
    where status = 'pending' and removed_at is null;

create table raw_page (
    tenant_id uuid not null,
    line_id uuid not null,
    raw_page_id uuid not null,
    -- As in balance.
    fetch_id uuid not null,
    kind text not null,
    fetched_at timestamptz not null,
    expires_at timestamptz not null,
    sealed bytea not null,
    primary key (tenant_id, line_id, raw_page_id),
    foreign key (tenant_id, line_id) references line
);
create index raw_page_expiry on raw_page (tenant_id, expires_at);

create table fetch_run (
    tenant_id uuid not null,
    fetch_id uuid not null,
    consent_id uuid not null,
    grant_id uuid not null,
    attended boolean not null,
    basis text not null,
    state text not null check (state in ('running', 'done', 'partial', 'failed', 'stopped')),
    error_code text,
    started_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, fetch_id),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, grant_id) references bank_grant,
    check ((state = 'running') = (finished_at is null))
);
create index fetch_run_consent on fetch_run (tenant_id, consent_id, started_at desc);
create index fetch_run_grant on fetch_run (tenant_id, grant_id) where state = 'running';

create table fetch_line (
    tenant_id uuid not null,
    fetch_id uuid not null,
    line_id uuid not null,
    consent_id uuid not null,
    state text not null check (state in ('running', 'done', 'failed')),
    error_code text,
    pages integer not null default 0,
    rows_seen bigint not null default 0,
    rows_new bigint not null default 0,
    primary key (tenant_id, fetch_id, line_id),
    foreign key (tenant_id, fetch_id) references fetch_run,
    foreign key (tenant_id, line_id) references line
);
create index fetch_line_line on fetch_line (tenant_id, line_id);
create index fetch_line_consent on fetch_line (tenant_id, consent_id);

-- A line lives while it has a ground: a consent that granted it, still holds its data and was not replaced.
create view ground with (security_invoker = true) as
select cl.tenant_id, cl.line_id, cl.consent_id
from consent_line cl
join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
where cl.state = 'granted'
  and c.data_state = 'present'
  and c.state not in ('revoked', 'failed')
  and not (c.state = 'expired' and c.state_reason = 'superseded');

-- Work and events -------------------------------------------------------------------------------------------------

-- A job written in a business transaction is its outbox: the effect happens after the commit, once or again.
create table job (
    tenant_id uuid not null references tenant,
    job_id uuid not null,
    kind text not null,
    subject uuid not null,
    -- What the cap on work at the same time is counted by: a registration, or the tenant.
    lane text not null,
    requests integer not null default 1,
    due_at timestamptz not null,
    leased_by uuid,
    -- Database clock.
    lease_until timestamptz,
    attempts integer not null default 0,
    last_error text,
    parked_at timestamptz,
    created_at timestamptz not null,
    primary key (tenant_id, job_id),
    unique (tenant_id, kind, subject),
    check ((leased_by is null) = (lease_until is null))
);
create index job_due on job (lane, due_at) where parked_at is null;
create index job_leased on job (lane) where leased_by is not null;

create table event (
    tenant_id uuid not null,
    event_id uuid not null,
    product_id uuid not null,
    arrival bigint generated always as identity,
    seq bigint,
    kind text not null,
    consent_id uuid,
    payload jsonb not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, event_id),
    unique (tenant_id, product_id, seq),
    foreign key (tenant_id, product_id) references product
);
create index event_unsequenced on event (tenant_id, product_id, arrival) where seq is null;

create table idempotency (
    tenant_id uuid not null,
    product_id uuid not null,
    key_hash bytea not null check (length(key_hash) = 32),
    request_hash bytea not null check (length(request_hash) = 32),
    sealed_answer bytea,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, product_id, key_hash),
    foreign key (tenant_id, product_id) references product
);
create index idempotency_expiry on idempotency (tenant_id, expires_at);

-- Deletion --------------------------------------------------------------------------------------------------------

create table deletion (
    tenant_id uuid not null,
    deletion_id uuid not null,
    consent_id uuid not null,
    -- The account, for an erasure of one account. Its line is gone when the erasure is.
    line_id uuid,
    scope text not null check (scope in ('consent', 'account')),
    trigger text not null,
    -- Each word names the step that is done.
    state text not null check (state in ('stopped', 'erased', 'shredded', 'receipted')),
    bank text not null check (bank in ('not_needed', 'pending', 'confirmed', 'unconfirmed')),
    counts jsonb not null default '{}',
    -- Accounts of the consent that stay, because another consent stands on them.
    kept uuid[] not null,
    stopped_at timestamptz not null,
    erased_at timestamptz,
    key_deleted_at timestamptz,
    unreadable_after timestamptz,
    bank_at timestamptz,
    receipted_at timestamptz,
    receipt bytea,
    primary key (tenant_id, deletion_id),
    foreign key (tenant_id, consent_id) references consent,
    check ((scope = 'account') = (line_id is not null)),
    check ((state = 'receipted') = (receipt is not null))
);
create index deletion_consent on deletion (tenant_id, consent_id);
create index deletion_unfinished on deletion (tenant_id, deletion_id) where state <> 'receipted';

create table deletion_line (
    tenant_id uuid not null,
    deletion_id uuid not null,
    line_id uuid not null,
    counts jsonb not null default '{}',
    -- What an old backup still shows: rows of transactions, and their days.
    visible_rows bigint not null,
    first_booking date,
    last_booking date,
    key_epoch bigint,
    erased_at timestamptz,
    key_deleted_at timestamptz,
    primary key (tenant_id, deletion_id, line_id),
    foreign key (tenant_id, deletion_id) references deletion
);
create index deletion_line_epoch on deletion_line (tenant_id, key_epoch);
create index deletion_line_line on deletion_line (tenant_id, line_id);

create table deletion_addendum (
    tenant_id uuid not null,
    deletion_id uuid not null,
    seq integer not null,
    kind text not null,
    body bytea not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, deletion_id, seq),
    foreign key (tenant_id, deletion_id) references deletion
);

-- What the revoker needs to end a grant at the bank after everybody else has lost the key to it.
create table revocation_capsule (
    tenant_id uuid not null,
    capsule_id uuid not null,
    deletion_id uuid,
    consent_id uuid not null,
    grant_id uuid not null,
    registration_id text not null,
    key_epoch bigint,
    wrapped_key bytea,
    sealed bytea,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    destroyed_at timestamptz,
    primary key (tenant_id, capsule_id),
    foreign key (tenant_id, deletion_id) references deletion,
    foreign key (tenant_id, grant_id) references bank_grant,
    check ((destroyed_at is null) = (wrapped_key is not null)),
    check ((wrapped_key is null) = (sealed is null) and (wrapped_key is null) = (key_epoch is null))
);
create index revocation_capsule_open on revocation_capsule (tenant_id, expires_at) where destroyed_at is null;

-- Evidence --------------------------------------------------------------------------------------------------------

create table evidence_key (
    tenant_id uuid not null references tenant,
    subject uuid not null,
    key_epoch bigint not null,
    wrapped_key bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, subject)
);

create table evidence_entry (
    tenant_id uuid not null references tenant,
    entry_id uuid not null,
    arrival bigint generated always as identity,
    -- A consent, or the tenant itself.
    subject uuid not null,
    kind text not null,
    recorded_at timestamptz not null,
    -- Salt and statement are sealed together and go together; commitment, leaf and proofs stay.
    commitment bytea not null check (length(commitment) = 32),
    sealed bytea,
    leaf_index bigint,
    previous bytea check (length(previous) = 32),
    leaf bytea check (length(leaf) = 32),
    primary key (tenant_id, entry_id),
    unique (tenant_id, leaf_index),
    check ((leaf_index is null) = (previous is null) and (leaf_index is null) = (leaf is null))
);
create index evidence_entry_unsequenced on evidence_entry (tenant_id, arrival) where leaf_index is null;
create index evidence_entry_subject on evidence_entry (tenant_id, subject, leaf_index desc);

-- Roots of complete subtrees (RFC 9162 §2.1): node_index counts subtrees of 2^level leaves from the left.
create table evidence_node (
    tenant_id uuid not null references tenant,
    level smallint not null,
    node_index bigint not null,
    hash bytea not null check (length(hash) = 32),
    primary key (tenant_id, level, node_index)
);

create table checkpoint (
    tenant_id uuid not null references tenant,
    size bigint not null,
    root bytea not null check (length(root) = 32),
    note text not null,
    signed_at timestamptz not null,
    primary key (tenant_id, size)
);

-- Classes of columns ----------------------------------------------------------------------------------------------

select classify('data_map', 'public', '{}', 'table_name column_name class erased_with');
select classify('registration', 'operation', '{}', 'registration_id tenant_id institution_id environment level enabled
    updated_at');
select classify('bank_budget', 'operation', '{expiry}', 'registration_id subject operation day used');

select classify('tenant', 'public', '{retention}', 'tenant_id name regime created_at');
select classify('product', 'public', '{retention}', 'tenant_id product_id name purposes return_urls next_event_seq
    created_at');
select classify('api_key', 'id', '{retention}', 'tenant_id api_key_id product_id prefix scopes created_at expires_at
    revoked_at');
select classify('api_key', 'secret', '{retention}', 'hash');
select classify('psu', 'id', '{retention}', 'tenant_id psu_id product_id ref_tag created_at');
select classify('psu', 'secret', '{retention}', 'sealed_ref');
select classify('secret_key', 'secret', '{retention}', 'tenant_id purpose key_epoch wrapped_key created_at');
select classify('epoch', 'legal', '{retention}', 'tenant_id epoch created_at destroyed_at');

select classify('consent_text', 'public', '{retention}', 'tenant_id text_hash language body first_shown_at');
select classify('bank_grant', 'legal', '{retention}', 'tenant_id grant_id registration_id institution_id psu_id state seq
    intent intent_id intent_at sca_at valid_until created_at ended_at');
select classify('bank_grant', 'secret', '{grant}', 'key_epoch wrapped_key sealed_bank_consent sealed_tokens
    token_expires_at');
select classify('consent', 'legal', '{retention}', 'tenant_id consent_id product_id psu_id institution_id registration_id
    purposes clusters language return_url text_hash state state_reason data_state seq grant_id asked_until created_at authorise_by
    accepted_at authorized_at sca_at confirmed_at sca_due_at reconfirm_due_at valid_until ended_at due_at');
select classify('consent_history', 'legal', '{retention}', 'tenant_id consent_id seq event actor from_state from_reason
    to_state to_reason at');
select classify('link', 'secret', '{consent,expiry}', 'tenant_id link_id consent_id token_hash created_at expires_at
    used_at');
select classify('login', 'secret', '{consent,expiry}', 'tenant_id login_id consent_id grant_id registration_id state_tag
    browser_hash sealed_pending created_at expires_at outcome finished_at');
-- A session outlives an erasure by minutes: it is how the person who asked for it sees what became of it.
select classify('page_session', 'secret', '{expiry}', 'tenant_id session_id consent_id token_hash created_at expires_at');
select classify('page_session', 'secret', '{consent,expiry}', 'login_id');

select classify('line', 'id', '{line}', 'tenant_id line_id psu_id institution_id account_tag created_at');
select classify('line', 'secret', '{line}', 'key_epoch wrapped_key');
select classify('line', 'bank_data', '{line}', 'sealed');
select classify('line', 'visible', '{line}', 'schema_version next_seq balances_as_of transactions_as_of complete_from
    complete_until');
select classify('consent_line', 'id', '{line,consent}', 'tenant_id consent_id line_id');
select classify('consent_line', 'visible', '{line,consent}', 'state granted_at removed_at');
select classify('consent_line', 'bank_data', '{line,consent}', 'sealed_resource_id');
select classify('removed_account', 'id', '{consent}', 'tenant_id consent_id account_tag removed_at');
select classify('balance', 'id', '{line}', 'tenant_id line_id balance_id fetch_id');
select classify('balance', 'visible', '{line}', 'fetched_at schema_version');
select classify('balance', 'bank_data', '{line}', 'sealed');
select classify('transaction', 'id', '{line}', 'tenant_id line_id transaction_id dedup_tag content_tag');
select classify('transaction', 'visible', '{line}', 'seq booking_date status schema_version first_seen_at last_seen_at
    removed_at');
select classify('transaction', 'bank_data', '{line}', 'sealed');
select classify('raw_page', 'id', '{line,expiry}', 'tenant_id line_id raw_page_id fetch_id');
select classify('raw_page', 'visible', '{line,expiry}', 'kind fetched_at expires_at');
select classify('raw_page', 'bank_data', '{line,expiry}', 'sealed');
select classify('fetch_run', 'operation', '{consent}', 'tenant_id fetch_id consent_id grant_id attended basis state
    error_code started_at finished_at');
select classify('fetch_line', 'operation', '{line,consent}', 'tenant_id fetch_id line_id consent_id state error_code pages
    rows_seen rows_new');

select classify('job', 'operation', '{retention}', 'tenant_id job_id kind subject lane requests due_at leased_by
    lease_until attempts last_error parked_at created_at');
select classify('event', 'legal', '{retention}', 'tenant_id event_id product_id arrival seq kind consent_id payload
    recorded_at');
select classify('idempotency', 'secret', '{expiry}', 'tenant_id product_id key_hash request_hash sealed_answer created_at
    expires_at');

select classify('deletion', 'legal', '{retention}', 'tenant_id deletion_id consent_id line_id scope trigger state bank
    counts kept stopped_at erased_at key_deleted_at unreadable_after bank_at receipted_at receipt');
select classify('deletion_line', 'legal', '{retention}', 'tenant_id deletion_id line_id counts visible_rows
    first_booking last_booking key_epoch erased_at key_deleted_at');
select classify('deletion_addendum', 'legal', '{retention}', 'tenant_id deletion_id seq kind body recorded_at');
select classify('revocation_capsule', 'legal', '{retention}', 'tenant_id capsule_id deletion_id consent_id grant_id
    registration_id created_at expires_at destroyed_at');
select classify('revocation_capsule', 'secret', '{capsule}', 'key_epoch wrapped_key sealed');

select classify('evidence_key', 'secret', '{evidence}', 'tenant_id subject key_epoch wrapped_key created_at');
select classify('evidence_entry', 'legal', '{retention}', 'tenant_id entry_id arrival subject kind recorded_at commitment
    leaf_index previous leaf');
select classify('evidence_entry', 'secret', '{evidence}', 'sealed');
select classify('evidence_node', 'legal', '{retention}', 'tenant_id level node_index hash');
select classify('checkpoint', 'legal', '{retention}', 'tenant_id size root note signed_at');

-- Fences ----------------------------------------------------------------------------------------------------------

-- Puts a tenant table behind row-level security; every migration that makes one calls it. Without a tenant in the
-- transaction the setting is missing or empty, and the statement fails instead of seeing nothing or everything.
create function fence(target regclass) returns void
language plpgsql as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy one_tenant on %s to tributary_app
        using (tenant_id = current_setting(''tributary.tenant'')::uuid)
        with check (tenant_id = current_setting(''tributary.tenant'')::uuid)', target);
    execute format('grant select, insert, update, delete on %s to tributary_app', target);
end $$;

select fence(c.oid::regclass)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
  and c.relname not in ('data_map', 'registration', 'bank_budget', '_sqlx_migrations');

grant select on ground to tributary_app;
grant select on data_map, registration to tributary_app, tributary_system;
grant select, insert, update on registration to tributary_system;
grant select, insert, update, delete on bank_budget to tributary_app, tributary_system;

-- What crosses tenants: finding whose a token is, and claiming work. Nothing else.
create policy all_tenants on tenant to tributary_system using (true) with check (true);
create policy all_tenants on api_key for select to tributary_system using (true);
create policy all_tenants on link for select to tributary_system using (true);
create policy all_tenants on page_session for select to tributary_system using (true);
create policy all_tenants on job to tributary_system using (true);
create policy all_tenants on event for select to tributary_system using (true);
create policy all_tenants on evidence_entry for select to tributary_system using (true);
grant select, insert, update on tenant to tributary_system;
grant select on api_key to tributary_system;
grant select (tenant_id, token_hash) on link, page_session to tributary_system;
grant select, update on job to tributary_system;
grant select (tenant_id, seq) on event to tributary_system;
grant select (tenant_id, leaf_index) on evidence_entry to tributary_system;
