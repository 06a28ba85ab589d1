-- What looks like an attack or a leak: noticed by a node, looked at by somebody.

create table alert (
    tenant_id uuid not null references tenant,
    alert_id uuid not null,
    kind text not null,
    -- Of whom: a key of a product, a network address, a member of staff.
    subject text not null,
    -- So often within the window that it was counted in.
    number bigint not null check (number > 0),
    raised_at timestamptz not null,
    primary key (tenant_id, alert_id)
);
create index alert_raised on alert (tenant_id, raised_at desc);
select classify('alert', 'operation', '{retention,expiry}', 'tenant_id alert_id kind subject number raised_at');
select fence('alert');
