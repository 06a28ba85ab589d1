-- People who sign in to the console through an identity provider, and their sessions there.

alter table staff
    alter column hash drop not null,
    -- Who they are to their identity provider (OIDC Core §2: `iss` and `sub` together, and nothing else, name somebody).
    add column issuer text,
    add column subject text,
    add check ((issuer is null) = (subject is null)),
    add check ((hash is null) = (subject is not null)),
    add unique (tenant_id, issuer, subject);
select classify('staff', 'operation', '{retention}', 'issuer subject');

create table staff_session (
    tenant_id uuid not null,
    session_id uuid not null,
    staff_id uuid not null,
    token_hash bytea not null check (length(token_hash) = 32),
    -- What the identity provider said at the beginning; a change counts from the next session on.
    roles text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, session_id),
    unique (tenant_id, token_hash),
    foreign key (tenant_id, staff_id) references staff
);
create index staff_session_staff on staff_session (tenant_id, staff_id);
create index staff_session_expiry on staff_session (tenant_id, expires_at);
select classify('staff_session', 'secret', '{expiry}', 'tenant_id session_id staff_id token_hash roles created_at
    expires_at');
select fence('staff_session');
