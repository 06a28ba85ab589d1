-- Legal holds: data that the law wants kept although somebody may erase them, and the staff whose four eyes place one.

create table staff (
    tenant_id uuid not null references tenant,
    staff_id uuid not null,
    -- How colleagues call them; in no record of a consent.
    name text not null,
    hash bytea not null check (length(hash) = 32),
    created_at timestamptz not null,
    withdrawn_at timestamptz,
    primary key (tenant_id, staff_id),
    unique (tenant_id, hash)
);
select classify('staff', 'operation', '{retention}', 'tenant_id staff_id name created_at withdrawn_at');
select classify('staff', 'secret', '{retention}', 'hash');
select fence('staff');

create table hold (
    tenant_id uuid not null references tenant,
    hold_id uuid not null,
    -- The reference of the matter: never bank data, never a person's name.
    matter text not null,
    state text not null check (state in ('asked', 'placed', 'lift_asked', 'lifted', 'taken_back')),
    -- Who asked last: for the hold, or for its end. No foreign key: a restored database may know the hold alone.
    asked_by uuid not null,
    asked_at timestamptz not null,
    placed_at timestamptz,
    lifted_at timestamptz,
    primary key (tenant_id, hold_id)
);

create table hold_consent (
    tenant_id uuid not null,
    hold_id uuid not null,
    consent_id uuid not null,
    primary key (tenant_id, hold_id, consent_id),
    foreign key (tenant_id, hold_id) references hold,
    foreign key (tenant_id, consent_id) references consent
);
create index hold_consent_consent on hold_consent (tenant_id, consent_id);
select classify('hold', 'legal', '{retention}', 'tenant_id hold_id matter state asked_by asked_at placed_at lifted_at');
select classify('hold_consent', 'legal', '{retention}', 'tenant_id hold_id consent_id');
select fence('hold');
select fence('hold_consent');

-- `held`: kept and not used. `held_restricted`: and its person does not want them used either. `blocked`: their erasure
-- is owed and waits for the end of the hold.
alter table consent drop constraint consent_data_state_check;
alter table consent add constraint consent_data_state_check check (data_state in ('present', 'restricted', 'held',
    'held_restricted', 'blocked', 'erasing', 'erased'));

-- A consent whose data are held is a ground for its lines, whatever has become of it.
create or replace view ground with (security_invoker = true) as
select cl.tenant_id, cl.line_id, cl.consent_id
from consent_line cl
join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
where cl.state = 'granted'
  and (c.data_state in ('held', 'held_restricted', 'blocked')
    or c.data_state in ('present', 'restricted')
      and c.state not in ('revoked', 'failed')
      and not (c.state = 'expired' and c.state_reason = 'superseded'));

-- `blocked`: everything has stopped, and a hold keeps the rest from happening.
alter table deletion drop constraint deletion_state_check;
alter table deletion add constraint deletion_state_check check (state in ('blocked', 'stopped', 'erased', 'shredded',
    'receipted'));
alter table deletion add column unblocked_at timestamptz;
select classify('deletion', 'legal', '{retention}', 'unblocked_at');
