-- Tells the role that migrates, as it is written in SQL.
--
-- Rows: one; the name
select quote_ident(current_user)
