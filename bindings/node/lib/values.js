// Converts values of callers to the text and numbers that the addon reads: objects of Aztec's classes, hex strings with and
// without 0x, Uint8Array, number and bigint.

const kBareHex = /^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/;

function textOf(value) {
  return typeof value === 'string' ? value : String(value);
}

/** An address or a hash as `0x` and hex digits. The addon refuses any other value. */
export function hexOf(value) {
  if (value === undefined || value === null) return '';
  if (ArrayBuffer.isView(value))
    return `0x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  const text = textOf(value);
  return kBareHex.test(text) ? `0x${text}` : text;
}

/** Numbers stay numbers, everything else becomes text. */
export function numberOf(value) {
  if (value === undefined || value === null || typeof value === 'number') return value;
  return String(value);
}

/** A signature as the table has it. */
export function textOfSignature(signature) {
  if (signature === undefined || signature === null) {
    throw new TypeError(`the sign function returned ${signature}, which is not a signature`);
  }
  if (ArrayBuffer.isView(signature)) {
    return `0x${Buffer.from(signature.buffer, signature.byteOffset, signature.byteLength).toString('hex')}`;
  }
  return textOf(signature);
}

/** A database URL. It may be in an object with `getValue()`, so that it is not printed by accident. */
export function secretOf(value) {
  return typeof value?.getValue === 'function' ? value.getValue() : value;
}

/** The rollup address, from the newer or the older shape of a config. */
export function rollupOf(config) {
  return config.rollupAddress ?? config.l1Contracts?.rollupAddress ?? process.env.ROLLUP_CONTRACT_ADDRESS;
}

/** A whole number of a row: a number where it is exact, otherwise a bigint. */
export function wholeNumber(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : BigInt(value);
}

let lastClass;

/**
 * An address of the class of the given one, so that callers get the class that they use. A given text says nothing about
 * it: then it is the class that was seen last, or, when none was, an object with the same text form.
 */
export function addressLike(given, text) {
  const constructor = given?.constructor;
  if (typeof constructor?.fromString === 'function') lastClass = constructor;
  return (lastClass ?? PlainAddress).fromString(text);
}

class PlainAddress {
  #hex;
  constructor(hex) {
    this.#hex = hex;
  }
  static fromString(hex) {
    return new PlainAddress(hex.toLowerCase());
  }
  toString() {
    return this.#hex;
  }
  toJSON() {
    return this.#hex;
  }
  toBuffer() {
    return Buffer.from(this.#hex.slice(2), 'hex');
  }
  equals(other) {
    return hexOf(other).toLowerCase() === this.#hex;
  }
}

/** Whether a variable says yes. */
export const isTrue = text => ['1', 'true', 'TRUE'].includes(text);
