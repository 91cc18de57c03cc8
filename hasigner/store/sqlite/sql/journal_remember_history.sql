-- Keeps in which history of the database this node works.
--
-- ?1 history
insert or replace into journal_history (only_row, history) values (1, ?1)
