-- Two subqueries: SQLite finds one min() or max() at an end of the tree, but reads the whole table for both at once.
select (select min(rowid) from validator_duties), (select max(rowid) from validator_duties)
