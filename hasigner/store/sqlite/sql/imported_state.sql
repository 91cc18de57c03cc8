-- Reads the state that a history had when it was imported.
--
-- ?1 source
select state from ha_signer_imports where source = ?1
