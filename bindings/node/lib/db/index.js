export * from './types.js';
export {
  CLEANUP_OLD_DUTIES,
  CLEANUP_OLD_SIGNED_DUTIES,
  CLEANUP_OUTDATED_ROLLUP_DUTIES,
  CLEANUP_OWN_STUCK_DUTIES,
  CREATE_EXPIRY_INDEX,
  CREATE_HA_SIGNER_OBJECTS,
  CREATE_NODE_INDEX,
  CREATE_SCHEMA_VERSION_TABLE,
  CREATE_STATUS_INDEX,
  CREATE_VALIDATOR_DUTIES_TABLE,
  DELETE_DUTY,
  DROP_SCHEMA_VERSION_TABLE,
  DROP_VALIDATOR_DUTIES_TABLE,
  GET_SCHEMA_VERSION,
  GET_STUCK_DUTIES,
  INSERT_OR_GET_DUTY,
  INSERT_SCHEMA_VERSION,
  SCHEMA_SETUP,
  SCHEMA_VERSION,
  UPDATE_DUTY_SIGNED,
} from './schema.js';
export { LmdbSlashingProtectionDatabase, migrateLmdbSlashingProtectionDatabase } from './lmdb.js';
export { PostgresSlashingProtectionDatabase } from './postgres.js';
export { recordFromFields } from './stored_record.js';
