-- Histories that were imported at a start, by their names and the state that they had: each state once.
create table ha_signer_imports (
  source      text    not null primary key,
  state       text    not null,
  duties      integer not null,
  imported_at text    not null
) strict;

update ha_signer_schema set version = 2, applied_at = strftime('%Y-%m-%d %H:%M:%f000', 'now');
