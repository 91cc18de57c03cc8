import type { SignerConfig, ValidatorHASignerConfig } from './config.js';
import type {
  CheckAndRecordParams,
  DeleteDutyParams,
  RecordSuccessParams,
  SignerDeps,
  SlashingProtectionDatabase,
} from './types.js';

/** At which a duty that is still being signed counts as stuck. */
export declare const DEFAULT_MAX_STUCK_DUTIES_AGE_MS: 144_000;

/** The steps of protection on their own. A signature must not be released unless recordSuccess() has returned true. */
export declare class SlashingProtectionService {
  constructor(db: SlashingProtectionDatabase, config: ValidatorHASignerConfig | SignerConfig, deps?: SignerDeps);
  /** Claims the duty: the lock token. */
  checkAndRecord(params: CheckAndRecordParams): Promise<string>;
  /** Records the signature. False: the duty was no longer held, so the signature must not be used. */
  recordSuccess(params: RecordSuccessParams): Promise<boolean>;
  /** Gives the duty up. False: it was no longer held. */
  deleteDuty(params: DeleteDutyParams): Promise<boolean>;
  get nodeId(): string;
  /** Cleans up in the background. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Closes the database. */
  close(): Promise<void>;
}
