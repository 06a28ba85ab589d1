-- How the pages of a product look: colours as numbers, a name, a picture that was read and written anew. Without a product
-- it is the tenant's own, for every product that has none.

create table theme (
    tenant_id uuid not null,
    -- Another one with every change, so that browsers may keep what it leads to.
    theme_id uuid not null,
    product_id uuid,
    name text check (length(name) between 1 and 320),
    -- sRGB, 0xrrggbb: the masthead and what is pressed, by day and by night.
    masthead integer not null check (masthead between 0 and 16777215),
    accent integer not null check (accent between 0 and 16777215),
    masthead_dark integer not null check (masthead_dark between 0 and 16777215),
    accent_dark integer not null check (accent_dark between 0 and 16777215),
    -- PNG.
    logo bytea check (length(logo) <= 262144),
    changed_at timestamptz not null,
    primary key (tenant_id, theme_id),
    foreign key (tenant_id, product_id) references product,
    unique nulls not distinct (tenant_id, product_id)
);
select classify('theme', 'public', '{retention}', 'tenant_id theme_id product_id name masthead accent masthead_dark
    accent_dark logo changed_at');
select fence('theme');
