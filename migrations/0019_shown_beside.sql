-- What was shown in a browser, before it went to the bank, about other products' authorisations: the hash of the text. It
-- comes on their record once the bank has named the same person, and goes with the grant otherwise.
alter table browser_grant add column shown_hash bytea check (length(shown_hash) = 32);
select classify('browser_grant', 'visible', '{grant}', 'shown_hash');
