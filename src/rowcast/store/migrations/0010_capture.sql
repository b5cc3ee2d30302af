-- Capture: who leads the WAL feed, and how often a watch could not write its event.

-- Raised by each process that begins to lead the WAL feed, in the row of shard -1. Whoever led before can then settle nothing.
alter table rowcast.feed_cursor add column fence bigint not null default 0;
insert into rowcast.feed_cursor (shard) values (-1);

-- Drawn from by a watch's trigger whenever changes could not be captured: a number that survives the rollback of its reason.
create sequence rowcast.capture_failures;
