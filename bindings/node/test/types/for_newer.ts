// What users of a release 5.x, or a later one, write.

import { BlockNumber, CheckpointNumber, IndexWithinCheckpoint, SlotNumber } from '@aztec/foundation/branded-types';
import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { Signature } from '@aztec/foundation/eth-signature';

import { PostgresSlashingProtectionDatabase, type StoredDutyRecord, recordFromFields } from 'ha-signer/db';
import { LmdbSlashingProtectionDatabase } from 'ha-signer/db/lmdb';
import { SigningLockLostError } from 'ha-signer/errors';
import { createHASigner, createSharedSlashingProtectionDb, createSignerFromSharedDb } from 'ha-signer/factory';
import { HASignerMetrics } from 'ha-signer/metrics';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';
import type {
  AttestationSigningContext,
  CheckAndRecordParams,
  CheckpointProposalSigningContext,
  HAProtectedSigningContext,
  SlashingProtectionDatabase,
  TryInsertOrGetResult,
  ValidatorDutyRecord,
} from 'ha-signer/types';
import { ValidatorHASigner } from 'ha-signer/validator-ha-signer';

/** As stdlib declares it: a type of its own. */
enum DutyType {
  BLOCK_PROPOSAL = 'BLOCK_PROPOSAL',
  CHECKPOINT_PROPOSAL = 'CHECKPOINT_PROPOSAL',
  ATTESTATION = 'ATTESTATION',
  ATTESTATIONS_AND_SIGNERS = 'ATTESTATIONS_AND_SIGNERS',
  GOVERNANCE_VOTE = 'GOVERNANCE_VOTE',
}

class Secret {
  constructor(private readonly value: string) {}
  getValue(): string {
    return this.value;
  }
}

const config = {
  haSigningEnabled: false,
  nodeId: 'node-1',
  rollupAddress: EthAddress.ZERO,
  pollingIntervalMs: 100,
  peerSigningTimeoutMs: 3000,
  signerCallTimeoutMs: 30_000,
  cleanupOldDutiesAfterHours: 24,
  databaseUrl: new Secret('postgresql://'),
};

/** Retention per row; no rollup to clean up. */
class OwnDatabase implements SlashingProtectionDatabase {
  tryInsertOrGetExisting(params: CheckAndRecordParams): Promise<TryInsertOrGetResult> {
    const retention: number | undefined = params.retentionMs;
    throw new Error(`not today, not for ${retention}`);
  }
  updateDutySigned() {
    return Promise.resolve(false);
  }
  deleteDuty() {
    return Promise.resolve(false);
  }
  cleanupOwnStuckDuties(_nodeId: string, _maxAgeMs: number): Promise<number> {
    return Promise.resolve(0);
  }
  cleanupOldDuties(): Promise<number> {
    return Promise.resolve(0);
  }
  async close(): Promise<void> {}
}

const contexts: HAProtectedSigningContext[] = [
  {
    dutyType: DutyType.BLOCK_PROPOSAL,
    slot: SlotNumber(1),
    blockNumber: BlockNumber(2),
    checkpointNumber: CheckpointNumber(3),
    blockIndexWithinCheckpoint: IndexWithinCheckpoint(0),
  },
  { dutyType: DutyType.CHECKPOINT_PROPOSAL, slot: SlotNumber(1), checkpointNumber: CheckpointNumber(3) },
  { dutyType: DutyType.ATTESTATION, slot: SlotNumber(1), checkpointNumber: CheckpointNumber(3) },
  { dutyType: DutyType.GOVERNANCE_VOTE, slot: SlotNumber(1) },
];
const attestation = contexts[2] as AttestationSigningContext;
const proposal = contexts[1] as CheckpointProposalSigningContext;

async function main(stored: StoredDutyRecord, pool: { query(): Promise<any>; end(): Promise<void> }): Promise<void> {
  const metrics = new HASignerMetrics({ getMeter: () => ({}) }, 'node-1', 'Mine');
  const deps = { metrics, dateProvider: { now: () => 0 } };
  const { signer, db } = await createHASigner(config, { telemetryClient: undefined, dateProvider: deps.dateProvider });
  const own = new ValidatorHASigner(new OwnDatabase(), config, deps);
  const service = new SlashingProtectionService(new PostgresSlashingProtectionDatabase(pool), config, deps);
  const shared: SlashingProtectionDatabase = await createSharedSlashingProtectionDb(deps.dateProvider);
  const sharing = createSignerFromSharedDb(shared, config, { dateProvider: deps.dateProvider });
  try {
    const signature: Signature = await signer.signWithProtection(
      EthAddress.ZERO,
      Buffer32.random(),
      attestation,
      hash => Promise.resolve(Signature.fromBuffer(hash.toBuffer())),
    );
    console.log(signature.toString());
  } catch (error) {
    if (error instanceof SigningLockLostError) console.log(error.slot, error.nodeId);
  }
  const { record } = await db.tryInsertOrGetExisting({
    rollupAddress: EthAddress.ZERO,
    validatorAddress: EthAddress.ZERO,
    dutyType: DutyType.CHECKPOINT_PROPOSAL,
    slot: proposal.slot,
    blockNumber: BlockNumber(0),
    checkpointNumber: proposal.checkpointNumber,
    messageHash: '0x',
    nodeId: 'node-1',
    retentionMs: 3_600_000,
  });
  const checkpoint: CheckpointNumber = record.checkpointNumber;
  const address: EthAddress = record.rollupAddress;
  const again: ValidatorDutyRecord = recordFromFields(stored);
  const removed: number = await db.cleanupOldDuties();
  const kept = new LmdbSlashingProtectionDatabase(
    { openMap: () => ({}), transactionAsync: run => run(), close: async () => {} },
    deps.dateProvider,
  );
  console.log(checkpoint, address, again, removed, LmdbSlashingProtectionDatabase.SCHEMA_VERSION, kept);
  await Promise.all([own.stop(), service.stop(), sharing.signer.stop()]);
}

void main;
