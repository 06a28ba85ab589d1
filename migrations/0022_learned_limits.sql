-- What a bank has shown of its limits. It says nothing about a person, so it belongs to no tenant.

-- A bank that has told us to slow down: whom not to ask without the person before a moment.
create table bank_pause (
    registration_id text primary key,
    -- No call without the person before it.
    until timestamptz not null,
    -- When the bank said so last: for a day it is asked by one piece of work at a time.
    slowed_at timestamptz not null
);

-- Limits that are narrower than the profile says, as the bank's refusals have shown them.
create table bank_learned (
    registration_id text not null,
    -- unattended_per_day, history_days, history_days_after_sca
    limit_name text not null,
    value integer not null check (value > 0),
    learned_at timestamptz not null,
    primary key (registration_id, limit_name)
);

select classify('bank_pause', 'operation', '{expiry}', 'registration_id until slowed_at');
select classify('bank_learned', 'operation', '{expiry}', 'registration_id limit_name value learned_at');
grant select, insert, update, delete on bank_pause, bank_learned to tributary_app, tributary_system;
