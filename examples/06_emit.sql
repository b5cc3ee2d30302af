-- A row and an event in one transaction, from any language. Usage: psql "$DATABASE_URL" -f 06_emit.sql
begin;

update orders set status = 'packed' where id = 2;

select rowcast.emit('acme', 'shop.order_confirmed', '{"order_id": "2", "total": "27.00"}', aggregate_id => '2');

commit;
