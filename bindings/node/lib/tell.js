/** Calls the metrics of a caller. Ignores what they throw: it must not end a duty. */
export function tell(metrics, name, ...what) {
  try {
    metrics?.[name]?.(...what);
  } catch {
    // See above.
  }
}
