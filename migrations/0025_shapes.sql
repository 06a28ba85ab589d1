-- Of which members a bank's rows consist, so that a change of its schema is noticed. Names of members alone, none of their
-- values: it says nothing about a person and belongs to no tenant.
create table bank_shape (
    registration_id text not null,
    -- transactions, balances
    capability text not null,
    -- Names from the outside in, and the kind of value: transactionAmount.amount=text
    path text not null check (length(path) <= 400),
    first_seen timestamptz not null,
    primary key (registration_id, capability, path)
);

select classify('bank_shape', 'operation', '{}', 'registration_id capability path first_seen');
grant select, insert, update, delete on bank_shape to tributary_app, tributary_system;
