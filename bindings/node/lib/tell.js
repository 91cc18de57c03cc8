/** Tells a caller's metrics something. What they throw ends no duty, and there is nobody to tell it to. */
export function tell(metrics, name, ...what) {
  try {
    metrics?.[name]?.(...what);
  } catch {
    // See above.
  }
}
