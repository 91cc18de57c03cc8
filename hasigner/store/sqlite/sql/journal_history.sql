-- Reads in which history of the database this node worked last.
--
-- Rows: one or none: history
select history from journal_history
