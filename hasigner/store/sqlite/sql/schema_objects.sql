-- Reads what is in the file beside rows.
--
-- Rows: kind and name, its definition, whether it has a say in every write of a table
select type || ' ' || name, sql, type = 'trigger' or sql like 'create unique %'
from sqlite_schema where name not like 'sqlite\_%' escape '\' order by 1
