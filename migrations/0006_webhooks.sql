-- Webhooks: endpoints of products, what each is sent in which order, and every attempt.
--
-- An endpoint has a stream of its own: a delivery gets its number in the transaction that numbers the event, so that a
-- receiver sees neither gaps nor how much others are told.

-- Set for an event that is meant for one endpoint alone, as a test is.
alter table event add column endpoint_id uuid;
select classify('event', 'legal', '{retention}', 'endpoint_id');

create table webhook_endpoint (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    product_id uuid not null,
    url text not null,
    description text not null,
    -- Types of event, or `group.*`. Empty: every type.
    types text[] not null,
    state text not null check (state in ('active', 'failing', 'disabled', 'gone', 'paused')),
    failures integer not null default 0 check (failures >= 0),
    failing_since timestamptz,
    retry_at timestamptz,
    next_seq bigint not null default 1,
    created_at timestamptz not null,
    primary key (tenant_id, endpoint_id),
    foreign key (tenant_id, product_id) references product
);
create index webhook_endpoint_product on webhook_endpoint (tenant_id, product_id, endpoint_id);

create table webhook_secret (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    secret_id uuid not null,
    sealed bytea not null,
    created_at timestamptz not null,
    -- Set by a rotation: until then both sign.
    expires_at timestamptz,
    primary key (tenant_id, endpoint_id, secret_id),
    foreign key (tenant_id, endpoint_id) references webhook_endpoint
);

create table webhook_delivery (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    seq bigint not null,
    event_id uuid not null,
    state text not null check (state in ('pending', 'delivered', 'skipped')),
    attempts integer not null default 0,
    settled_at timestamptz,
    primary key (tenant_id, endpoint_id, seq),
    unique (tenant_id, endpoint_id, event_id),
    foreign key (tenant_id, endpoint_id) references webhook_endpoint,
    foreign key (tenant_id, event_id) references event,
    check ((state = 'pending') = (settled_at is null))
);
create index webhook_delivery_pending on webhook_delivery (tenant_id, endpoint_id, seq) where state = 'pending';
create index webhook_delivery_settled on webhook_delivery (tenant_id, settled_at) where state <> 'pending';

-- What a receiver answered is not kept, only that it did.
create table webhook_attempt (
    tenant_id uuid not null,
    endpoint_id uuid not null,
    attempt_id uuid not null,
    seq bigint not null,
    event_id uuid not null,
    kind text not null,
    attempted_at timestamptz not null,
    -- `delivered`, `refused`, or the code of what went wrong on the way.
    outcome text not null,
    status smallint,
    latency_ms integer not null,
    retry_at timestamptz,
    primary key (tenant_id, endpoint_id, attempt_id),
    foreign key (tenant_id, endpoint_id) references webhook_endpoint
);
create index webhook_attempt_age on webhook_attempt (tenant_id, attempted_at);

select classify('webhook_endpoint', 'operation', '{retention}', 'tenant_id endpoint_id product_id url description types
    state failures failing_since retry_at next_seq created_at');
select classify('webhook_secret', 'secret', '{expiry}', 'tenant_id endpoint_id secret_id sealed created_at expires_at');
select classify('webhook_delivery', 'operation', '{expiry}', 'tenant_id endpoint_id seq event_id state attempts settled_at');
select classify('webhook_attempt', 'operation', '{expiry}', 'tenant_id endpoint_id attempt_id seq event_id kind
    attempted_at outcome status latency_ms retry_at');

select fence('webhook_endpoint');
select fence('webhook_secret');
select fence('webhook_delivery');
select fence('webhook_attempt');
