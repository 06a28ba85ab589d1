-- Signing keys and certificates of registrations, and where each stands. The keys themselves are files or live in a
-- token; this table lets all nodes use the same ones.

create table credential (
    tenant_id uuid not null references tenant,
    registration_id text not null,
    use text not null check (use in ('signing', 'transport')),
    -- Key id, or the thumbprint of the certificate (x5t#S256, RFC 8705 §3.1).
    name text not null,
    state text not null check (state in ('next', 'current', 'retired', 'withdrawn', 'rejected')),
    since timestamptz not null,
    -- The stable code of why a bank did not take it.
    reason text,
    primary key (tenant_id, registration_id, use, name)
);
create unique index credential_current on credential (tenant_id, registration_id, use) where state = 'current';

select fence('credential');
select classify('credential', 'operation', '{retention}', 'tenant_id registration_id use name state since reason');
