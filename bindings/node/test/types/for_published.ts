// What users of the published package write.

import { Pool } from 'pg';

import { BlockNumber, IndexWithinCheckpoint, SlotNumber } from '@aztec/foundation/branded-types';
import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { Signature } from '@aztec/foundation/eth-signature';

import { type ValidatorHASignerConfig, getConfigEnvVars } from 'ha-signer/config';
import { INSERT_SCHEMA_VERSION, PostgresSlashingProtectionDatabase, SCHEMA_SETUP, SCHEMA_VERSION } from 'ha-signer/db';
import { DutyAlreadySignedError, SlashingProtectionError } from 'ha-signer/errors';
import {
  createHASigner,
  createLocalSignerWithProtection,
  createSharedSlashingProtectionDb,
  createSignerFromSharedDb,
} from 'ha-signer/factory';
import { HASignerMetrics } from 'ha-signer/metrics';
import { runMigrations } from 'ha-signer/migrations';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';
import {
  type CheckAndRecordParams,
  DutyStatus,
  DutyType,
  type HAProtectedSigningContext,
  type SigningContext,
  type SlashingProtectionDatabase,
  type TryInsertOrGetResult,
  getBlockNumberFromSigningContext,
  isHAProtectedContext,
} from 'ha-signer/types';
import { ValidatorHASigner } from 'ha-signer/validator-ha-signer';

const config: ValidatorHASignerConfig = {
  ...getConfigEnvVars(),
  haSigningEnabled: true,
  nodeId: 'node-1',
  l1Contracts: { rollupAddress: EthAddress.ZERO },
  databaseUrl: process.env.DATABASE_URL,
};

class KeyStore {
  constructor(private readonly signer: ValidatorHASigner) {}

  async sign(address: EthAddress, hash: Buffer32, context: SigningContext): Promise<Signature | undefined> {
    if (!isHAProtectedContext(context)) return Signature.empty();
    try {
      return await this.signer.signWithProtection(address, hash, context, h =>
        Promise.resolve(Signature.fromBuffer(h.toBuffer())),
      );
    } catch (error) {
      if (error instanceof DutyAlreadySignedError || error instanceof SlashingProtectionError) {
        const slot: SlotNumber = error.slot;
        const type: DutyType = error.dutyType;
        console.log(slot, type, error.blockIndexWithinCheckpoint, error.signedByNode);
      }
      throw error;
    }
  }
}

class OwnDatabase implements SlashingProtectionDatabase {
  tryInsertOrGetExisting(_params: CheckAndRecordParams): Promise<TryInsertOrGetResult> {
    throw new Error('not today');
  }
  updateDutySigned(
    _r: EthAddress,
    _v: EthAddress,
    _slot: SlotNumber,
    _type: DutyType,
    _signature: string,
    _token: string,
    _index: number,
  ) {
    return Promise.resolve(false);
  }
  deleteDuty(
    _r: EthAddress,
    _v: EthAddress,
    _slot: SlotNumber,
    _type: DutyType,
    _token: string,
    _index: number,
  ): Promise<boolean> {
    return Promise.resolve(false);
  }
  cleanupOwnStuckDuties(_nodeId: string, _maxAgeMs: number): Promise<number> {
    return Promise.resolve(0);
  }
  cleanupOutdatedRollupDuties(_rollup: EthAddress): Promise<number> {
    return Promise.resolve(0);
  }
  cleanupOldDuties(_maxAgeMs: number): Promise<number> {
    return Promise.resolve(0);
  }
  async close(): Promise<void> {}
}

async function main(): Promise<void> {
  const applied: string[] = await runMigrations(config.databaseUrl!, { direction: 'up', verbose: true });
  const pool = new Pool({ connectionString: config.databaseUrl });
  for (const statement of SCHEMA_SETUP) await pool.query(statement);
  await pool.query(INSERT_SCHEMA_VERSION, [SCHEMA_VERSION]);
  const { signer, db } = await createHASigner(config, { pool });
  const own = new PostgresSlashingProtectionDatabase(pool);
  await own.initialize();
  const manual = new ValidatorHASigner(own, config);
  const service = new SlashingProtectionService(new OwnDatabase(), config);
  const proposal: HAProtectedSigningContext = {
    dutyType: DutyType.BLOCK_PROPOSAL,
    slot: SlotNumber(1),
    blockNumber: BlockNumber(2),
    blockIndexWithinCheckpoint: IndexWithinCheckpoint(0),
  };
  const block: number = getBlockNumberFromSigningContext(proposal);
  await new KeyStore(signer).sign(EthAddress.random(), Buffer32.random(), proposal);
  const { isNew, record } = await db.tryInsertOrGetExisting({
    rollupAddress: EthAddress.ZERO,
    validatorAddress: EthAddress.ZERO,
    dutyType: DutyType.ATTESTATION,
    slot: SlotNumber(1),
    blockNumber: BlockNumber(block),
    messageHash: Buffer32.random().toString(),
    nodeId: signer.nodeId,
  });
  if (!isNew && record.status === DutyStatus.SIGNED)
    console.log(record.validatorAddress.toString(), record.startedAt.getTime(), applied);
  const local = await createLocalSignerWithProtection({
    pollingIntervalMs: 1,
    rollupAddress: EthAddress.ZERO,
    dataDirectory: '/x',
  });
  const shared: SlashingProtectionDatabase = await createSharedSlashingProtectionDb();
  const metrics = new HASignerMetrics({ getMeter: () => ({}) }, 'node-1');
  const sharing = createSignerFromSharedDb(shared, { nodeId: 'a', l1Contracts: config.l1Contracts }, { metrics });
  await sharing.signer.stop();
  await Promise.all([signer.stop(), manual.stop(), service.stop(), service.close(), local.signer.stop()]);
}

void main();
