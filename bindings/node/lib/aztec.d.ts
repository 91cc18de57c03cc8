// Types of Aztec's own packages, from the scope that is installed. Those that are not installed are `any` here.

// @ts-ignore: it need not be installed
import type * as branded from '@aztec/foundation/branded-types';
// @ts-ignore: it need not be installed
import type * as buffer from '@aztec/foundation/buffer';
// @ts-ignore: it need not be installed
import type * as config from '@aztec/foundation/config';
// @ts-ignore: it need not be installed
import type * as address from '@aztec/foundation/eth-address';
// @ts-ignore: it need not be installed
import type * as signature from '@aztec/foundation/eth-signature';
// @ts-ignore: it need not be installed
import type * as labsBranded from '@aztec-labs/foundation/branded-types';
// @ts-ignore: it need not be installed
import type * as labsBuffer from '@aztec-labs/foundation/buffer';
// @ts-ignore: it need not be installed
import type * as labsConfig from '@aztec-labs/foundation/config';
// @ts-ignore: it need not be installed
import type * as labsAddress from '@aztec-labs/foundation/eth-address';
// @ts-ignore: it need not be installed
import type * as labsSignature from '@aztec-labs/foundation/eth-signature';

/**
 * The second type where the first one is `any`. They come in objects, since an alias whose own argument is the `any` of a
 * missing module is that `any`.
 */
type Installed<First extends { type: unknown }, Second extends { type: unknown }> = { type: unknown } extends First
  ? Second['type']
  : First['type'];

export type BlockNumber = Installed<{ type: branded.BlockNumber }, { type: labsBranded.BlockNumber }>;
export type CheckpointNumber = Installed<{ type: branded.CheckpointNumber }, { type: labsBranded.CheckpointNumber }>;
export type IndexWithinCheckpoint = Installed<
  { type: branded.IndexWithinCheckpoint },
  { type: labsBranded.IndexWithinCheckpoint }
>;
export type SlotNumber = Installed<{ type: branded.SlotNumber }, { type: labsBranded.SlotNumber }>;
export type Buffer32 = Installed<{ type: buffer.Buffer32 }, { type: labsBuffer.Buffer32 }>;
export type EthAddress = Installed<{ type: address.EthAddress }, { type: labsAddress.EthAddress }>;
export type Signature = Installed<{ type: signature.Signature }, { type: labsSignature.Signature }>;
export type ConfigMappingsType<T> = Installed<
  { type: config.ConfigMappingsType<T> },
  { type: labsConfig.ConfigMappingsType<T> }
>;
