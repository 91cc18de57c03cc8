/** The version of the shared tables that SCHEMA_SETUP makes: what the installed release of the node demands, 1 if none is found. */
export declare const SCHEMA_VERSION: number;
export declare const CREATE_SCHEMA_VERSION_TABLE: string;
export declare const CREATE_VALIDATOR_DUTIES_TABLE: string;
export declare const CREATE_STATUS_INDEX: string;
export declare const CREATE_NODE_INDEX: string;
/** From version 3 on. */
export declare const CREATE_EXPIRY_INDEX: string;
/** What this package needs beside the shared tables. */
export declare const CREATE_HA_SIGNER_OBJECTS: string;
/** $1 version. */
export declare const INSERT_SCHEMA_VERSION: string;
/** All of the above but the version, in this order; each is one statement. */
export declare const SCHEMA_SETUP: readonly string[];
export declare const GET_SCHEMA_VERSION: string;
/**
 * $1 rollup, $2 validator, $3 slot, $4 block number; from version 2 on the checkpoint number; then block index, duty type,
 * message hash, node id, lock token; from version 3 on the retention in ms, null for none.
 */
export declare const INSERT_OR_GET_DUTY: string;
/** $1 signature, $2 rollup, $3 validator, $4 slot, $5 duty type, $6 block index, $7 lock token. */
export declare const UPDATE_DUTY_SIGNED: string;
/** $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index, $6 lock token. */
export declare const DELETE_DUTY: string;
/** $1 a time. */
export declare const CLEANUP_OLD_SIGNED_DUTIES: string;
/** $1 age in ms; from version 3 on no parameter. */
export declare const CLEANUP_OLD_DUTIES: string;
/** $1 node id, $2 age in ms. */
export declare const CLEANUP_OWN_STUCK_DUTIES: string;
/** $1 rollup. */
export declare const CLEANUP_OUTDATED_ROLLUP_DUTIES: string;
export declare const DROP_VALIDATOR_DUTIES_TABLE: string;
export declare const DROP_SCHEMA_VERSION_TABLE: string;
/** $1 a time. Rows that have been *signing* since before it. */
export declare const GET_STUCK_DUTIES: string;
