// The HTTP call of the remote signer of Aztec's node-keystore, which sends no credentials, and what it signs.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

export const kRollup = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
export const kChainId = 31337;
const kDomain = { name: 'Aztec Rollup', version: '1', chainId: kChainId, verifyingContract: kRollup };
const kDomainType = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
];
const kPayloadTypes = [
  'BlockProposal',
  'CheckpointProposal',
  'CheckpointAttestation',
  'AttestationsAndSigners',
  'SignedTxs',
];

/** What nodes from 5.0 on sign for a duty. */
export const payload = (primaryType, payloadHash, domain = kDomain) => ({
  domain,
  types: {
    EIP712Domain: kDomainType,
    ...Object.fromEntries(kPayloadTypes.map(type => [type, [{ name: 'payloadHash', type: 'bytes32' }]])),
  },
  primaryType,
  message: { payloadHash },
});

const kContract = '0x2222222222222222222222222222222222222222';

/** A governance vote. */
export const signal = (slot, { instance = kRollup, to = kContract } = {}) => ({
  domain: { name: 'EmpireBase', version: '1', chainId: kChainId, verifyingContract: kContract },
  types: {
    EIP712Domain: kDomainType,
    Signal: [
      { name: 'payload', type: 'address' },
      { name: 'slot', type: 'uint256' },
      { name: 'instance', type: 'address' },
    ],
  },
  primaryType: 'Signal',
  message: { payload: to, slot: BigInt(slot), instance },
});

/** A slashing vote, under the name of 4.1.2 or of later releases. */
export const vote = (slot, { name = 'TallySlashingProposer', votes = '0x00' } = {}) => ({
  domain: { name, version: '1', chainId: kChainId, verifyingContract: kContract },
  types: {
    EIP712Domain: kDomainType,
    Vote: [
      { name: 'votes', type: 'bytes' },
      { name: 'slot', type: 'uint256' },
    ],
  },
  primaryType: 'Vote',
  message: { votes, slot: BigInt(slot) },
});

const text = value => JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? String(member) : member));

export class Refused extends Error {
  constructor({ code, message, data }) {
    super(message);
    this.code = code;
    this.kind = data.type.split(':').at(-1);
  }
}

/** Every signature that left a service, by the duty that it was asked for. */
export class Ledger {
  released = new Map();

  note(duty, message) {
    const messages = this.released.get(duty) ?? new Set();
    this.released.set(duty, messages.add(message));
  }

  /** Duties with more than one message. */
  get doubles() {
    return [...this.released].filter(([, messages]) => messages.size > 1);
  }
}

export class RemoteKeyStore {
  constructor(url, address, ledger) {
    this.url = url;
    this.address = address;
    this.ledger = ledger;
  }

  async call(method, ...params) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: text({ jsonrpc: '2.0', method, params, id: randomBytes(4).toString('hex') }),
    });
    assert.ok(response.ok, `${response.status}`);
    const answer = await response.json();
    if (answer.error) throw new Refused(answer.error);
    return answer.result;
  }

  /** `duty`: for the ledger. */
  async signMessage(hash, duty) {
    const signature = await this.call('eth_sign', this.address, `${hash}`);
    this.ledger?.note(duty, `${hash}`);
    return signature;
  }

  async signTypedData(typedData, duty) {
    const signature = await this.call('eth_signTypedData', this.address, text(typedData));
    this.ledger?.note(duty, text(typedData));
    return signature;
  }
}
