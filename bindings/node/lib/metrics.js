const nodeAttribute = 'aztec.ha_signer.node_id';
const typeAttribute = 'aztec.ha_signer.duty_type';

const kCleanups = {
  stuck: 'cleanup_stuck_duties',
  old: 'cleanup_old_duties',
  outdated_rollup: 'cleanup_outdated_rollup_duties',
};

/** Metrics of signers for a telemetry client, under the names of existing dashboards. */
export class HASignerMetrics {
  #node;
  #counters = {};
  #duration;

  constructor(client, nodeId, name = 'HASignerMetrics') {
    const meter = client.getMeter(name);
    const described = last => ({ name: `aztec.ha_signer.${last}`, description: last.replaceAll('_', ' ') });
    for (const last of [
      'signing_success',
      'duty_already_signed',
      'slashing_protection',
      'signing_error',
      'lock_acquired',
      ...Object.values(kCleanups),
    ]) {
      this.#counters[last] = meter.createUpDownCounter(described(`${last}_count`));
    }
    this.#counters.recorded_returned = meter.createUpDownCounter({
      name: 'ha_signer.recorded_returned_count',
      description: 'recorded signatures that were returned',
    });
    this.#duration = meter.createHistogram({ ...described('signing_duration'), unit: 'ms' });
    this.#node = { [nodeAttribute]: nodeId };
  }

  #ofType(dutyType) {
    return { ...this.#node, [typeAttribute]: dutyType };
  }

  recordSigningSuccess(dutyType, durationMs) {
    this.#counters.signing_success.add(1, this.#ofType(dutyType));
    this.#duration.record(durationMs, this.#ofType(dutyType));
  }

  /** The result was what another attempt had recorded. */
  recordRecordedReturned(dutyType) {
    this.#counters.recorded_returned.add(1, this.#ofType(dutyType));
  }

  recordDutyAlreadySigned(dutyType) {
    this.#counters.duty_already_signed.add(1, this.#ofType(dutyType));
  }

  recordSlashingProtection(dutyType) {
    this.#counters.slashing_protection.add(1, this.#ofType(dutyType));
  }

  recordSigningError(dutyType) {
    this.#counters.signing_error.add(1, this.#ofType(dutyType));
  }

  recordLockAcquire(acquired) {
    if (acquired) this.#counters.lock_acquired.add(1, this.#node);
  }

  recordCleanup(type, count) {
    this.#counters[kCleanups[type]]?.add(count, this.#node);
  }
}
