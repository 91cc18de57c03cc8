-- Sets what every connection that writes relies on.
--
-- Recursive triggers, so that a replaced row counts as deleted. A limit for the log's file, so that one burst does not keep
-- that space of the disk.
pragma synchronous=full;
pragma recursive_triggers=on;
pragma cell_size_check=on;
pragma temp_store=memory;
pragma cache_size=-16384;
pragma journal_size_limit=33554432
