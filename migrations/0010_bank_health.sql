-- How banks behave, measured from every call, and whom not to call for a while. What a bank does to one TPP says nothing
-- about a person, so these belong to no tenant.

create table bank_health (
    registration_id text not null,
    -- accounts, balances, transactions, consents, authorisation
    capability text not null,
    -- Start of ten minutes.
    window_start timestamptz not null,
    -- ok, or the class of the error.
    outcome text not null,
    calls bigint not null check (calls > 0),
    millis bigint not null check (millis >= 0),
    primary key (registration_id, capability, window_start, outcome)
);

create table bank_breaker (
    registration_id text not null,
    capability text not null,
    -- Since the last success.
    failures integer not null check (failures >= 0),
    opened integer not null check (opened >= 0),
    -- No call before this moment; empty while it is closed.
    open_until timestamptz,
    primary key (registration_id, capability)
);

-- From the first rest that a bank was given to the first success after it.
create table bank_incident (
    registration_id text not null,
    capability text not null,
    opened_at timestamptz not null,
    closed_at timestamptz check (closed_at >= opened_at),
    -- The class of the error that opened it.
    cause text not null,
    primary key (registration_id, capability, opened_at)
);
create unique index bank_incident_open on bank_incident (registration_id, capability) where closed_at is null;

select classify('bank_health', 'operation', '{expiry}', 'registration_id capability window_start outcome calls millis');
select classify('bank_breaker', 'operation', '{expiry}', 'registration_id capability failures opened open_until');
select classify('bank_incident', 'operation', '{expiry}', 'registration_id capability opened_at closed_at cause');
grant select, insert, update, delete on bank_health, bank_breaker, bank_incident to tributary_app, tributary_system;
