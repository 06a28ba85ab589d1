-- Transactions are recognised by alignment: what is stored of a line is compared with what a complete fetch brought.

alter table transaction
    -- What identifies the row in the next fetch; opaque here. Null in rows of builds that knew rows by their tag alone.
    add column sealed_identity bytea,
    -- When a complete fetch first failed to list the row; null again when it comes back.
    add column missed_at timestamptz,
    -- When, and by which evidence, a pending row was found booked.
    add column settled_at timestamptz,
    add column settled_by text,
    -- The row that it may be, where a fetch could not decide.
    add column doubtful_of uuid,
    -- Numbered like seq: the latest change that a product would notice. Null: none since the row came.
    add column change_seq bigint,
    -- The tag is no longer written. A tombstone keeps its identity and loses its content.
    alter column dedup_tag drop not null,
    alter column sealed drop not null,
    add constraint transaction_content check (sealed is not null or removed_at is not null);
create index transaction_change on transaction (tenant_id, line_id, (coalesce(change_seq, seq)));
drop index transaction_pending;
create index transaction_pending on transaction (tenant_id, line_id) where status = 'pending' and removed_at is null;

-- How far each identifier of the bank has proven worth believing on this account.
alter table line add column sealed_trust bytea;

select classify('transaction', 'id', '{line}', 'doubtful_of');
select classify('transaction', 'visible', '{line}', 'missed_at settled_at settled_by change_seq');
select classify('transaction', 'bank_data', '{line}', 'sealed_identity');
select classify('line', 'bank_data', '{line}', 'sealed_trust');
