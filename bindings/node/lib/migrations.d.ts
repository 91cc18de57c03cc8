export interface RunMigrationsOptions {
  /** Default `up`. */
  direction?: 'up' | 'down';
  verbose?: boolean;
  /** Up to which version of the shared tables (default 1, which the published package 4.1.2 demands; 2 and 3 are those of newer releases). */
  to?: 1 | 2 | 3;
}

/** Runs the migrations: the names of those that were applied or rolled back. */
export declare function runMigrations(
  databaseUrl: string | { getValue(): string | undefined },
  options?: RunMigrationsOptions,
): Promise<string[]>;
