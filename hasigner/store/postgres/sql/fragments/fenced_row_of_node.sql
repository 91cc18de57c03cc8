-- The node id is compared in another collation than its index has: only then does every planner find these rows by
-- (status, started_at), where few are, and not among everything that the node ever signed.
d.node_id collate "C" = $1::text collate "C" and {fenced_token}
