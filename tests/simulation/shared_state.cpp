#include "tests/simulation/shared_state.hpp"

#include <algorithm>

namespace hasigner::simulation {

EthAddress address_of(std::uint8_t group, std::uint8_t number) {
  EthAddress address;
  address.bytes().fill(group);
  address.bytes()[19] = number;
  return address;
}

EthAddress rollup() {
  return address_of(0xaa, 1);
}

Signature signature_of(const MessageHash& hash, std::uint64_t call) {
  Signature signature;
  std::ranges::copy(hash.bytes(), signature.bytes().begin());
  for (std::size_t i = 0; i < 8; ++i) signature.bytes()[32 + i] = static_cast<std::uint8_t>(call >> (8 * i));
  signature.bytes()[64] = 27;
  return signature;
}

MessageHash signed_by(const Signature& signature) {
  MessageHash hash;
  std::copy_n(signature.bytes().begin(), MessageHash::kSize, hash.bytes().begin());
  return hash;
}

std::uint64_t call_of(const Signature& signature) {
  std::uint64_t call = 0;
  for (std::size_t i = 0; i < 8; ++i) call |= std::uint64_t{signature.bytes()[32 + i]} << (8 * i);
  return call;
}

SharedState::SharedState(const Settings& settings_in) : chance(settings_in.seed), settings(settings_in) {}

void SharedState::replace_server(std::uint64_t newer_timelines) {
  StoreEpoch next{.cluster_id = "1", .system_id = "1", .timeline = 1};
  if (epoch) next = *epoch;
  next.timeline += newer_timelines;
  next.server_started = std::to_string(++server_life);
  epoch = std::make_shared<const StoreEpoch>(std::move(next));
}

void SharedState::violation(const std::string& what) {
  if (report.violations.size() < 20) report.violations.push_back("seed " + std::to_string(settings.seed) + ": " + what);
}

void SharedState::violation(const std::string& what, const DutyKey& key) {
  violation(what + ": " + key.describe());
  for (const auto& line : history_[key]) report.violations.push_back(line);
}

void SharedState::note(const DutyKey& key, std::string what) {
  const auto ms = std::chrono::duration_cast<milliseconds>(time.now().time_since_epoch()).count() % 1'000'000;
  auto line = std::to_string(ms) + " " + std::move(what) + " -> ";
  if (const auto* row = tables->row(memory::key_of(key))) {
    line += row->node_id + " " + row->lock_token.substr(0, 18) +
            (row->status == DutyStatus::kSigned ? " signed " : " signing ") +
            row->message_hash.substr(row->message_hash.size() - 2);
  } else {
    line += "no row";
  }
  history_[key].push_back(line);
}

void SharedState::remember_undurable(const std::vector<DutyClaim>& claims) {
  for (const auto& claim : claims) {
    if (claim.token.kind() == TokenKind::kFenced) undurable_.insert(claim.token.str());
  }
}

void SharedState::released(const Duty& duty, const Signature& signature, const std::string& by) {
  const auto hash = signed_by(signature);
  trace(duty.key, [&] { return by + " released " + hash.to_string().substr(64); });
  ++report.released;
  for (const auto byte : hash.bytes()) report.digest = report.digest * 1099511628211ULL + byte;
  report.digest = report.digest * 1099511628211ULL + static_cast<std::uint64_t>(time.now().time_since_epoch().count());
  released_[duty.key].insert(hash);
  auto& of_node = released_by_[{duty.key, by.substr(0, by.find(' '))}];
  of_node.insert(hash);
  // Without a guard nodes cannot notice each other's messages once the store forgets.
  const auto& hashes = settings.failover > 0 && !settings.guard ? of_node : released_[duty.key];
  if (hashes.size() > 1) violation("two messages released, the second by " + by, duty.key);
  if (by == "peer") return;
  const auto view = tables->view(duty.key);
  const bool recorded = view.row && view.row->status == DutyStatus::kSigned && view.row->message_hash == hash;
  // A claim that the watermark is about to refuse may stand there for a moment.
  const bool no_signed_row = !view.row || view.row->status == DutyStatus::kSigning;
  const bool deleted = no_signed_row && view.watermarks.low && duty.key.slot <= *view.watermarks.low;
  // It may have been recorded just before the store forgot it.
  const bool may_be_lost = forgot_at != MonotonicTime{} && time.now() < forgot_at + milliseconds(20'000);
  if (!recorded && !deleted && !may_be_lost) violation("released without a record by " + by, duty.key);
}

void SharedState::check_row(const DutyKey& key) {
  const auto* row = tables->row(memory::key_of(key));
  const auto before = recorded_.find(key);
  if (before != recorded_.end() &&
      (!row || row->status != DutyStatus::kSigned || row->message_hash != before->second)) {
    violation("a signed row was changed", key);
  }
  if (!row || row->status != DutyStatus::kSigned) return;
  recorded_[key] = row->message_hash;
  if (denied.empty() || !row->signature) return;
  // After a restart a journal gives back, with its message, also the signature of a caller's record that had failed.
  if (settings.failover > 0 && LockToken(row->lock_token).kind() == TokenKind::kTakenOver) return;
  if (const auto signature = Signature::parse(*row->signature); signature && denied.contains(call_of(*signature))) {
    violation("signed by an attempt that had said that nothing was written", key);
  }
}

}  // namespace hasigner::simulation
