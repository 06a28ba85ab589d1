-- A withdrawal needs no key provider. What ends a grant at the bank moves as it is sealed, with its wrapped key; and an entry of
-- the log that cannot be sealed waits for the sequencer to seal it.

-- Whether `sealed` has the parts of the grant as they were sealed there, and the key is the grant's, which nobody else has any more.
alter table revocation_capsule add column of_grant boolean not null default false;
select classify('revocation_capsule', 'legal', '{retention}', 'of_grant');

-- Payload, never bank data, of an entry that was written while its subject's key could not be had; gone before the entry has a place.
alter table evidence_entry add column pending text,
    add constraint evidence_entry_pending check (pending is null or (sealed is null and leaf_index is null));
select classify('evidence_entry', 'secret', '{evidence}', 'pending');
