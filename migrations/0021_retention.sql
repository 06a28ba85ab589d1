-- Data kept after the end of a consent, as the policy of their purpose says.

-- What becomes of data when their consent ends, as its text says: the policy of the day on which it was asked for.
alter table consent
    add column at_end text not null default 'blocked'
        check (at_end in ('readable_until_retention', 'blocked', 'restricted_hold')),
    add column retention_days integer not null default 30 check (retention_days >= 0);
select classify('consent', 'legal', '{retention}', 'at_end retention_days');

-- `readable`: the consent ended by itself, and products go on reading what is stored until its retention is over.
alter table consent drop constraint consent_data_state_check;
alter table consent add constraint consent_data_state_check check (data_state in ('present', 'readable', 'restricted', 'held',
    'held_restricted', 'blocked', 'erasing', 'erased'));
drop index consent_retained;
create index consent_retained on consent (tenant_id, ended_at)
    where data_state in ('present', 'readable') and state in ('expired', 'failed');
-- A consent that ended by itself is no ground where a newer one of the same product took the account over: whoever stops that
-- one stops it all.
create or replace view ground with (security_invoker = true) as
select cl.tenant_id, cl.line_id, cl.consent_id
from consent_line cl
join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
where cl.state = 'granted'
  and (c.data_state in ('held', 'held_restricted', 'blocked')
    or c.data_state in ('present', 'readable', 'restricted')
      and c.state not in ('revoked', 'failed')
      and not (c.state = 'expired' and c.state_reason = 'superseded')
      and not (c.state = 'expired' and c.data_state in ('present', 'readable') and exists (
        select from consent_line taken
        join consent newer on newer.tenant_id = taken.tenant_id and newer.consent_id = taken.consent_id
        where taken.tenant_id = cl.tenant_id and taken.line_id = cl.line_id
          and newer.product_id = c.product_id and newer.consent_id > c.consent_id)));

-- When a hold ends by itself: one that a policy of retention has placed.
alter table hold add column ends_at timestamptz;
create index hold_ends on hold (tenant_id, ends_at) where state in ('placed', 'lift_asked') and ends_at is not null;
select classify('hold', 'legal', '{retention}', 'ends_at');

-- A search of the log by time alone.
create index evidence_entry_time on evidence_entry (tenant_id, recorded_at);
