-- name: speak_with_token
-- From here to the end of the transaction the token's role and claims decide what is seen and written.
select set_config('role', :role, true), set_config('request.jwt.claims', :claims, true);

-- name: insert_rows
-- New rows of a table.
select rowcast_shim.insert_rows(:relation, :items::json, :is_returned)::text as document;

-- name: update_rows
-- Changed rows of a table.
select rowcast_shim.update_rows(:relation, :changes::json, :filters::json, :is_returned)::text as document;

-- name: delete_rows
-- Deleted rows of a table.
select rowcast_shim.delete_rows(:relation, :filters::json, :is_returned)::text as document;

-- name: select_rows
-- Rows of a table.
select rowcast_shim.select_rows(:relation, :filters::json)::text as document;

-- name: add_account
-- A new account; no row when the address is taken.
insert into rowcast_shim.account (email, password, user_metadata, app_metadata)
values (lower(:email), :password, :user_metadata::json, :app_metadata::json)
on conflict (email) do nothing
returning id, email, password, user_metadata::text as user_metadata, app_metadata::text as app_metadata, created_at;

-- name: account_by_email
-- The account of an address.
select id, email, password, user_metadata::text as user_metadata, app_metadata::text as app_metadata, created_at
from rowcast_shim.account where email = lower(:email);

-- name: account_by_id
-- One account.
select id, email, password, user_metadata::text as user_metadata, app_metadata::text as app_metadata, created_at
from rowcast_shim.account where id = :id;

-- name: add_login
-- What a refresh token stands for; only its hash is kept.
insert into rowcast_shim.login (refresh_hash, account_id) values (:refresh_hash, :account_id);

-- name: use_login
-- Takes a refresh token: it is good for one use.
delete from rowcast_shim.login where refresh_hash = :refresh_hash returning account_id;

-- name: end_logins
-- Signs an account out everywhere.
delete from rowcast_shim.login where account_id = :account_id;
