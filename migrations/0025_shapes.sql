-- Of which members a bank's rows consist, so that a change of its schema is noticed. Digests of names and kinds of value: it says
-- nothing about a person, even where a bank makes names out of what it should list, and belongs to no tenant.
create table bank_shape (
    registration_id text not null,
    -- rows
    capability text not null,
    -- SHA-256 of names from the outside in and the kind of value: transactionAmount.amount=text
    member bytea not null check (length(member) = 32),
    first_seen timestamptz not null,
    primary key (registration_id, capability, member)
);

select classify('bank_shape', 'operation', '{}', 'registration_id capability member first_seen');
grant select, insert, update, delete on bank_shape to tributary_app, tributary_system;
