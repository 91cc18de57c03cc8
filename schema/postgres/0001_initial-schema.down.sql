-- Takes version 1 away: the two tables that the published package's own way down takes away, and nothing else.
--
-- Our trigger and index on validator_duties belong to that table and go with it. Our tables and functions (ha_signer.up.sql)
-- stay, watermarks above all; after a new way up, ha_signer.up.sql puts trigger and index back.

-- Dropping a table fires no trigger for its rows, truncating it does. So what was signed lives on as watermarks, and a
-- way down and up again does not make slots signable a second time. Without our trigger this changes nothing.
do $empty$
begin
  if to_regclass('validator_duties') is not null then
    truncate validator_duties;
  end if;
end
$empty$;

drop table if exists validator_duties;
drop table if exists schema_version;
