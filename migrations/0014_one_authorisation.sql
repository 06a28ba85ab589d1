-- Several products on one authorisation, at banks that allow one at a time.

-- MAC of the bank's own name of the person (the ID token's subject) under the tenant's look-up key: two grants of one person
-- at one registration can be told, nothing else. Goes with the grant's secrets.
alter table bank_grant add column subject_tag bytea check (length(subject_tag) = 32);
create index bank_grant_subject on bank_grant (tenant_id, registration_id, subject_tag) where subject_tag is not null;
select classify('bank_grant', 'id', '{grant}', 'subject_tag');

-- In which browsers a grant was authorised: SHA-256 of a cookie. It hints that a bank may end a grant for another one and
-- proves nothing, since browsers are shared.
create table browser_grant (
    tenant_id uuid not null,
    browser_hash bytea not null check (length(browser_hash) = 32),
    grant_id uuid not null,
    primary key (tenant_id, browser_hash, grant_id),
    foreign key (tenant_id, grant_id) references bank_grant
);
create index browser_grant_grant on browser_grant (tenant_id, grant_id);
select classify('browser_grant', 'secret', '{grant}', 'tenant_id browser_hash grant_id');
select fence('browser_grant');
