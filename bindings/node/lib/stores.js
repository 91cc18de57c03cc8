// Decides on which database objects the core works on the tables directly: objects of this package with their own methods.

import { native, operate } from './core.js';

/** The member of a database object of this package that opens its store. */
export const kStoreSettings = Symbol('store settings');

/** The member that names the incarnation of its signers, if there is one. */
export const kIncarnationOf = Symbol('incarnation of');

const ownClasses = [];

/** Declares a class of this package, and the methods that must not have been replaced. */
export function declareOwn(constructor, names) {
  ownClasses.push({ constructor, methods: names.map(name => ({ name, method: constructor.prototype[name] })) });
}

/** Whether the object is of this package and none of its methods was replaced. */
export function isWithin(db) {
  // Called for every duty.
  for (const { constructor, methods } of ownClasses) {
    if (!(db instanceof constructor)) continue;
    for (const { name, method } of methods) if (db[name] !== method) return false;
    return true;
  }
  return false;
}

/** As operate(), for operations that open something. Returns a promise of its number. */
export async function open(begin) {
  let opened;
  await operate(number => {
    opened = number;
    begin(number);
  });
  return opened;
}

/** Opens a store for one signer on the database behind the object. */
export async function openStoreOf(db, signerSettings) {
  const settings = await db[kStoreSettings]();
  if (settings.store !== undefined) return settings.store;
  const { retentionHours, storageReplicates } = signerSettings;
  return open(number => native.openStore(number, { ...settings, retentionHours, storageReplicates }));
}
