export interface RunMigrationsOptions {
  /** Default `up`. */
  direction?: 'up' | 'down';
  verbose?: boolean;
  /** Version of the shared tables (default 1, which the published package 4.1.2 requires; newer releases require 2 and 3). */
  to?: 1 | 2 | 3;
}

/** Runs the migrations. Returns the names of those that were applied or rolled back. */
export declare function runMigrations(
  databaseUrl: string | { getValue(): string | undefined },
  options?: RunMigrationsOptions,
): Promise<string[]>;
