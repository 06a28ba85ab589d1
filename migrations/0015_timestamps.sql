-- What time-stamp authorities signed over our checkpoints (RFC 3161): that they existed at a time.

create table checkpoint_timestamp (
    tenant_id uuid not null,
    size bigint not null,
    -- The subject of the authority's certificate.
    authority text not null,
    -- The token, DER.
    token bytea not null,
    stamped_at timestamptz not null,
    primary key (tenant_id, size),
    foreign key (tenant_id, size) references checkpoint
);
select classify('checkpoint_timestamp', 'legal', '{retention}', 'tenant_id size authority token stamped_at');
select fence('checkpoint_timestamp');
