-- A surface for clients of GoCardless Bank Account Data, and keys that hold on some networks only or prove themselves.

-- What a product intends to ask of a person.
create table agreement (
    tenant_id uuid not null,
    agreement_id uuid not null,
    product_id uuid not null,
    institution_id text not null,
    max_historical_days integer not null check (max_historical_days > 0),
    access_valid_for_days integer not null check (access_valid_for_days > 0),
    access_scope text[] not null,
    created_at timestamptz not null,
    deleted_at timestamptz,
    primary key (tenant_id, agreement_id),
    foreign key (tenant_id, product_id) references product
);
create index agreement_product on agreement (tenant_id, product_id, agreement_id) where deleted_at is null;

-- A consent that was asked for on that surface; the consent's id is the requisition's.
create table requisition (
    tenant_id uuid not null,
    consent_id uuid not null,
    product_id uuid not null,
    agreement_id uuid not null,
    -- The product's own reference, which may say something about a person. Gone with the consent's data.
    reference_tag bytea check (length(reference_tag) = 32),
    sealed_reference bytea,
    user_language text,
    redirect_immediate boolean not null,
    created_at timestamptz not null,
    deleted_at timestamptz,
    primary key (tenant_id, consent_id),
    unique (tenant_id, agreement_id),
    unique (tenant_id, product_id, reference_tag),
    foreign key (tenant_id, consent_id) references consent,
    foreign key (tenant_id, product_id) references product,
    foreign key (tenant_id, agreement_id) references agreement
);
create index requisition_product on requisition (tenant_id, product_id, consent_id) where deleted_at is null;

-- A key either is a secret, of which the hash is stored, or a public key that checks what its holder signs.
alter table api_key
    alter column hash drop not null,
    add column jwk text,
    -- Networks from which it works, CIDR. Empty: any.
    add column networks text[] not null default '{}',
    add check ((hash is null) <> (jwk is null));

select classify('agreement', 'legal', '{retention}', 'tenant_id agreement_id product_id institution_id max_historical_days
    access_valid_for_days access_scope created_at deleted_at');
select classify('requisition', 'legal', '{retention}', 'tenant_id consent_id product_id agreement_id user_language
    redirect_immediate created_at deleted_at');
select classify('requisition', 'id', '{consent}', 'reference_tag sealed_reference');
select classify('api_key', 'public', '{retention}', 'jwk');
select classify('api_key', 'operation', '{retention}', 'networks');
select fence('agreement');
select fence('requisition');
