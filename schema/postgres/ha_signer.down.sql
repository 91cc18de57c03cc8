-- Takes our own objects away, and leaves the shared tables as they are.
--
-- With the watermarks goes the memory of every duty whose row was deleted: such a slot can be signed again afterwards.
-- Run it as one transaction, with no signer of ours at work.

-- Our objects stand where validator_duties stands, or stood.
do $home$
declare
  home regnamespace;
begin
  perform pg_advisory_xact_lock(7241865325823964);  -- the published tool's, as in ha_signer.up.sql
  perform set_config('client_min_messages', 'warning', true);

  select relnamespace into home
  from pg_catalog.pg_class
  where oid = coalesce(to_regclass('validator_duties'), to_regclass('ha_signer_schema'));

  if home is not null then
    perform set_config('search_path', format('%s, pg_temp', home), true);
  end if;
end
$home$;

drop trigger if exists ha_signer_raise_watermarks on validator_duties;
drop trigger if exists ha_signer_raise_watermarks_on_truncate on validator_duties;
drop trigger if exists ha_signer_keep_to_released on validator_duties;
drop index if exists ha_signer_upper_case;
drop index if exists ha_signer_foreign_index;
drop index if exists ha_signer_being_signed;

drop function if exists ha_signer_raise_watermarks();
drop function if exists ha_signer_raise_watermarks_on_truncate();
drop function if exists ha_signer_keep_to_released();
drop function if exists ha_signer_hold_off_writers();
drop function if exists ha_signer_claim_signed(text[], text[], bigint[], text[], int[], bigint[], bigint[], text[], text[],
                                               text[], text, int, text, oid, text, int);
drop function if exists ha_signer_forbid_up_to(text, text, text[], bigint);
drop function if exists ha_signer_set_watermark(text, text, text, bigint, bigint, boolean, boolean, boolean);

drop table if exists ha_signer_released;
drop function if exists ha_signer_raise_watermarks_of_released();
drop function if exists ha_signer_raise_watermarks_of_released_on_truncate();
drop function if exists ha_signer_check_released();

drop table if exists ha_signer_key_switches;
drop table if exists ha_signer_watermarks;
drop table if exists ha_signer_nodes;
drop table if exists ha_signer_cluster;
drop table if exists ha_signer_schema;
