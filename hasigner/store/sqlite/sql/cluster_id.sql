-- Reads the id of the database.
select cluster_id from ha_signer_cluster
