import { native } from './core.js';
import { publishedWords } from './failures.js';
import { demandedVersion } from './installed_release.js';
import { secretOf } from './values.js';

const kNewestVersion = 3;

/**
 * Makes the shared tables and this project's own objects, or rolls the last migration back. Returns the names of the
 * migrations that were applied or rolled back.
 *
 * Migrates to the version that the installed release of the node demands, and says on standard error which it is and why;
 * or to `to`, or to that of the variable HA_SIGNER_SCHEMA_VERSION; never back to a lower one. Roles in `grantTo` get what a
 * signer needs.
 */
export async function runMigrations(databaseUrl, options = {}) {
  const direction = options.direction ?? 'up';
  if (direction !== 'up' && direction !== 'down') throw new Error(`direction is ${direction}; it must be up or down`);
  const tell = options.verbose ? message => console.info(message) : () => {};
  tell(`Running migrations ${direction}...`);
  const { version, reason } = demandedVersion(options.to);
  if (version > kNewestVersion)
    throw new Error(
      `Schema version ${version} is needed (${reason}); this package knows 1 to ${kNewestVersion}. Get a newer one`,
    );
  if (direction === 'up') process.stderr.write(`ha-signer: migrating to schema version ${version}: ${reason}\n`);
  let names;
  try {
    names = await native.migrate(String(secretOf(databaseUrl)), direction === 'up', version, [options.grantTo ?? []].flat());
  } catch (error) {
    throw new Error(publishedWords(error.message), { cause: error });
  }
  tell(
    names.length === 0
      ? 'No migrations to apply - schema is up to date'
      : `Applied ${names.length} migration(s): ${names.join(', ')}`,
  );
  return names;
}
