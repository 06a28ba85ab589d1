-- What a fetch did to the rows of a line beyond bringing new ones, so that products are told of it.

alter table fetch_line
    add column rows_changed bigint not null default 0,
    add column rows_settled bigint not null default 0,
    add column rows_withdrawn bigint not null default 0,
    add column rows_doubtful bigint not null default 0;
select classify('fetch_line', 'operation', '{line,consent}', 'rows_changed rows_settled rows_withdrawn rows_doubtful');
