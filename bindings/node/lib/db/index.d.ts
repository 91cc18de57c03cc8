export * from './types.js';
export * from './schema.js';
export * from './postgres.js';
export * from './lmdb.js';
export * from './stored_record.js';
