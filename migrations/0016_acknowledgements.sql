-- What a product confirms, and what its keys are for.

alter table deletion
    add column acknowledged_at timestamptz,
    add column reminders integer not null default 0,
    -- When the product is reminded; set with the receipt, empty once it has acknowledged or was reminded for the last time.
    add column remind_at timestamptz;
create index deletion_reminder on deletion (tenant_id, remind_at) where remind_at is not null;
select classify('deletion', 'legal', '{retention}', 'acknowledged_at reminders remind_at');

-- Purposes that the key reads for. Empty: every purpose of its product.
alter table api_key add column purposes text[] not null default '{}';
grant select (purposes) on api_key to tributary_system;
select classify('api_key', 'id', '{retention}', 'purposes');
