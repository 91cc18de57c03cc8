-- Says what server answers, and as which role: for a check of a deployment.
--
-- Rows: one: name and version of the server, its major version, whether it is Amazon Aurora, the role quoted, whether it is
-- a superuser, the database quoted, the search path, whether the connection is encrypted, whether both its ends are on one
-- machine
select version() as server,
       current_setting('server_version_num')::int / 10000 as major,
       to_regproc('aurora_version') is not null as is_aurora,
       quote_ident(current_user) as role,
       (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) as is_superuser,
       quote_ident(current_database()) as database,
       current_setting('search_path') as search_path,
       coalesce((select s.ssl from pg_catalog.pg_stat_ssl s where s.pid = pg_backend_pid()), false) as is_encrypted,
       inet_client_addr() is null or host(inet_client_addr()) like '127.%' or host(inet_client_addr()) = '::1' as is_local
