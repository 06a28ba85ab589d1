-- Notices in writing that a person was owed: what was rendered from which template, and what became of it. The words
-- themselves are in the event that asked for the handing over; their hash is in the evidence.

create table notice (
    tenant_id uuid not null,
    notice_id uuid not null,
    consent_id uuid not null,
    kind text not null check (kind in ('receipt', 'ongoing', 'expired', 'revoked')),
    language text not null,
    template text not null,
    text_hash bytea not null check (length(text_hash) = 32),
    state text not null check (state in ('requested', 'delivered', 'failed')),
    -- How it was handed over, in the product's word: `email`, `letter`, `app`.
    channel text,
    requested_at timestamptz not null,
    settled_at timestamptz,
    primary key (tenant_id, notice_id),
    foreign key (tenant_id, consent_id) references consent,
    check ((state = 'requested') = (settled_at is null))
);
create index notice_consent on notice (tenant_id, consent_id, requested_at desc);
select classify('notice', 'legal', '{retention}', 'tenant_id notice_id consent_id kind language template text_hash state
    channel requested_at settled_at');
select fence('notice');
