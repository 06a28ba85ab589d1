-- Data that are restricted are kept: a consent in which they are is a ground for its lines like one that is read.
create or replace view ground with (security_invoker = true) as
select cl.tenant_id, cl.line_id, cl.consent_id
from consent_line cl
join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
where cl.state = 'granted'
  and c.data_state in ('present', 'restricted')
  and c.state not in ('revoked', 'failed')
  and not (c.state = 'expired' and c.state_reason = 'superseded');
