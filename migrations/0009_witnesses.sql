-- What witnesses signed under our checkpoints (C2SP tlog-cosignature): that they saw them, and when.

create table cosignature (
    tenant_id uuid not null,
    size bigint not null,
    witness text not null,
    -- The signature line, newline included.
    line text not null,
    seen_at timestamptz not null,
    primary key (tenant_id, size, witness),
    foreign key (tenant_id, size) references checkpoint
);
create index cosignature_witness on cosignature (tenant_id, witness, size desc);
select classify('cosignature', 'legal', '{retention}', 'tenant_id size witness line seen_at');
select fence('cosignature');
