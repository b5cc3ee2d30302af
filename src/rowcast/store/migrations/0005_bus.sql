-- The bus between nodes: what is too long for one NOTIFY lies here for a minute. Unlogged: after a crash nobody misses it.

create unlogged table rowcast.bus_message (
    node bytea not null,
    number bigint not null,
    body bytea not null,
    sent_at timestamptz not null default clock_timestamp(),
    primary key (node, number)
);

create index bus_message_sent_at on rowcast.bus_message (sent_at);

-- Whoever may connect to the database may LISTEN and NOTIFY. What the nodes say is for them alone, so it is sealed with this key.
create table rowcast.bus_key (
    only_one boolean primary key default true check (only_one),
    key bytea not null check (octet_length(key) = 32)
);

insert into rowcast.bus_key (key) values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
