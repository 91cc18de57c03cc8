-- Reads what tells whose file it is.
--
-- Rows: one; application id, version, number of objects in the file
--
-- One statement, and so one moment: another process may be making the tables.
select (select application_id from pragma_application_id), (select user_version from pragma_user_version),
       (select count(*) from sqlite_schema)
