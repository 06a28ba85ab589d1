-- Where a row was read from and by which rules, and whether an account adds up.

-- The page may have gone when its retention ended: no foreign key.
alter table transaction
    add column raw_page_id uuid,
    add column raw_row integer check (raw_row >= 0),
    add column rule_set text;
create index transaction_raw on transaction (tenant_id, line_id, raw_page_id) where raw_page_id is not null;

-- One verdict a line: the latest, with the balances that the next one begins at.
create table reconciliation (
    tenant_id uuid not null,
    line_id uuid not null,
    judged_at timestamptz not null,
    schema_version smallint not null,
    sealed bytea not null,
    primary key (tenant_id, line_id),
    foreign key (tenant_id, line_id) references line
);

select classify('transaction', 'id', '{line}', 'raw_page_id');
select classify('transaction', 'visible', '{line}', 'raw_row rule_set');
select classify('reconciliation', 'id', '{line}', 'tenant_id line_id');
select classify('reconciliation', 'visible', '{line}', 'judged_at schema_version');
select classify('reconciliation', 'bank_data', '{line}', 'sealed');

select fence('reconciliation');
