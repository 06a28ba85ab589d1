-- The person whose data a hold is about, where it was asked for by their reference: what they gave until its confirmation is held too.
alter table hold add column psu_id uuid;
select classify('hold', 'legal', '{retention}', 'psu_id');
