-- Finding the grant of which a bank speaks unasked, and data that are kept and not used.

-- MAC of the bank's own name of the grant (consent id, arrangement) under the tenant's look-up key: equality can be looked
-- up, nothing else. Goes with the grant's secrets.
alter table bank_grant add column bank_tag bytea check (length(bank_tag) = 32);
create index bank_grant_tag on bank_grant (tenant_id, bank_tag) where bank_tag is not null;
select classify('bank_grant', 'id', '{grant}', 'bank_tag');

-- `restricted`: the person wants their data kept and not used (Article 18 GDPR).
alter table consent drop constraint consent_data_state_check;
alter table consent add constraint consent_data_state_check
    check (data_state in ('present', 'restricted', 'erasing', 'erased'));

-- Finding the records that have had their time.
create index evidence_key_age on evidence_key (tenant_id, created_at);
