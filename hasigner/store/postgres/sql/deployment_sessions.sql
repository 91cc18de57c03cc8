-- Finds the programs of this project that are connected to this database.
--
-- Rows: name and version of the program, number of its connections
select a.application_name, count(*) as connections
from pg_catalog.pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.application_name like 'ha-signer%'
group by 1 order by 1
