// Stands for an Aztec node: it depends on the published package, and knows nothing of the override.

import { DutyAlreadySignedError } from '@aztec/validator-ha-signer/errors';
import { createHASigner } from '@aztec/validator-ha-signer/factory';
import { runMigrations } from '@aztec/validator-ha-signer/migrations';
import { DutyType } from '@aztec/validator-ha-signer/types';

export async function signTwice(databaseUrl) {
  await runMigrations(databaseUrl);
  const { signer } = await createHASigner({
    databaseUrl,
    haSigningEnabled: true,
    nodeId: 'my-node',
    pollingIntervalMs: 100,
    signingTimeoutMs: 3000,
    l1Contracts: { rollupAddress: '0x5fbdb2315678afecb367f032d93f642f64180aa3' },
  });
  const validator = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf';
  const hash = `0x${'11'.repeat(32)}`;
  const context = { dutyType: DutyType.ATTESTATION, slot: 100n, blockNumber: 50n };
  const sign = async root => ({ toString: () => `${root}${'22'.repeat(32)}1b` });
  const signature = await signer.signWithProtection(validator, hash, context, sign);
  const refusal = await signer.signWithProtection(validator, hash, context, sign).catch(error => error);
  await signer.stop();
  return { signature: signature.toString(), refused: refusal instanceof DutyAlreadySignedError && refusal.message };
}
