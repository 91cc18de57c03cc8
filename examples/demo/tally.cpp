#include "examples/demo/tally.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "hasigner/hasigner.hpp"

namespace hasigner::demo {

namespace {

using std::chrono::microseconds;

microseconds between(TimePoint from, TimePoint to) {
  return std::chrono::duration_cast<microseconds>(to - from);
}

}  // namespace

microseconds Latencies::percentile(double share) const {
  if (values_.empty()) return microseconds(0);
  if (!sorted_) std::ranges::sort(values_);
  sorted_ = true;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values_.size())));
  return values_[std::clamp<std::size_t>(rank, 1, values_.size()) - 1];
}

Tally::Tally(Duties duties, std::set<std::size_t> special_slots)
    : duties_(std::move(duties)),
      special_slots_(std::move(special_slots)),
      progress_(duties_.count()),
      slot_begun_(duties_.slots()) {}

void Tally::slot_begins(std::size_t slot_index, TimePoint now) {
  slot_begun_.at(slot_index) = now;
}

void Tally::killed(std::size_t index, TimePoint now) {
  killed_node_ = index;
  rescue_.killed_at = now;
  rescue_.held = held_by(index);
}

std::set<std::size_t> Tally::held_by(std::size_t index) const {
  std::set<std::size_t> held;
  for (std::size_t duty = 0; duty < progress_.size(); ++duty) {
    if (progress_[duty].holders.contains(index)) held.insert(duty);
  }
  return held;
}

std::optional<std::size_t> Tally::signer_of(std::size_t duty) const {
  return progress_.at(duty).signer;
}

bool Tally::all_signed(const std::set<std::size_t>& duties) const {
  return std::ranges::all_of(duties, [this](std::size_t duty) { return progress_.at(duty).signer.has_value(); });
}

microseconds Tally::time_of_slot(std::size_t slot_index) const {
  auto last = slot_begun_.at(slot_index);
  for (std::size_t i = 0; i < duties_.per_slot(); ++i) {
    const auto& progress = progress_.at(duties_.first_of(slot_index) + i);
    if (progress.signer) last = std::max(last, progress.signed_at);
  }
  return between(slot_begun_.at(slot_index), last);
}

void Tally::take(std::size_t index, const std::string& author, const NodeEvent& event, TimePoint now) {
  using Kind = NodeEvent::Kind;
  auto& count = counts_.at(index);
  const bool of_duty = event.kind != Kind::kReady && event.kind != Kind::kTakenOver && event.kind != Kind::kReplaced &&
                       event.kind != Kind::kSlotDone && event.kind != Kind::kFailed;
  if (of_duty && event.kind != Kind::kHolding) progress_.at(event.number).holders.erase(index);
  switch (event.kind) {
    case Kind::kReady:
    case Kind::kSlotDone:
    case Kind::kFailed: break;
    case Kind::kTakenOver: ++count.taken_over; break;
    case Kind::kReplaced: ++count.replaced; break;
    case Kind::kHolding: progress_.at(event.number).holders.insert(index); break;
    case Kind::kSigned:
      take_signature(index, author, event, now);
      take_rescue(index, event.number, now);
      break;
    case Kind::kAlreadySigned:
      ++count.already_signed;
      if (is_ordinary(event.number)) refused_latencies_.add(event.took);
      // What another node recorded and this one was given is let out once more, so it is judged like any other.
      if (event.signature && event.message) {
        progress_.at(event.number).releases.push_back({index, author, *event.message, *event.signature});
      }
      break;
    case Kind::kOtherData:
      ++count.other_data;
      if (is_ordinary(event.number)) refused_latencies_.add(event.took);
      break;
    case Kind::kTriedAgain:
      if (event.text == "still_held") {
        ++count.still_held;
      } else {
        ++count.failed[event.text];
      }
      break;
    case Kind::kGaveUp:
      ++gave_up_;
      ++count.failed["gave_up"];
      break;
  }
}

void Tally::take_signature(std::size_t index, const std::string& author, const NodeEvent& event, TimePoint now) {
  ++counts_.at(index).signatures;
  auto& progress = progress_.at(event.number);
  progress.releases.push_back(
      {index, author, event.message.value_or(MessageHash{}), event.signature.value_or(Signature{})});
  if (!progress.signer) {
    progress.signer = index;
    progress.signed_at = now;
  }
  if (is_ordinary(event.number)) signed_latencies_.add(event.took);
}

void Tally::take_rescue(std::size_t index, std::size_t duty, TimePoint now) {
  if (index == killed_node_ && rescue_.restarted_at && !rescue_.first_signature_after_restart) {
    rescue_.first_signature_after_restart = between(*rescue_.restarted_at, now);
  }
  // It had signed before it was killed; its event arrived after the kill.
  if (index == killed_node_ && !rescue_.restarted_at) rescue_.held.erase(duty);
  if (index == killed_node_ || !rescue_.held.contains(duty)) return;
  auto& latencies = duties_.differs_by_node(duty) ? rescue_.other_data : rescue_.same_data;
  latencies.add(between(rescue_.killed_at, now));
}

bool Tally::correct(const Release& release, std::size_t duty) const {
  return release.message == duties_.message_of(duty, release.author) &&
         recover(release.message, release.signature) == duties_.validator_of(duty);
}

Verdict Tally::judge(const std::optional<std::vector<DutyEntry>>& table) const {
  Verdict verdict{.gave_up = gave_up_};
  for (std::size_t duty = 0; duty < progress_.size(); ++duty) {
    std::set<MessageHash> messages;
    for (const auto& release : progress_[duty].releases) {
      messages.insert(release.message);
      const bool good = correct(release, duty);
      ++(good ? verdict.recovered : verdict.wrong_signatures);
    }
    if (!progress_[duty].signer) ++verdict.missed;
    if (messages.size() > 1) ++verdict.two_messages;
  }
  if (table) judge_table(*table, verdict);
  return verdict;
}

void Tally::judge_table(const std::vector<DutyEntry>& table, Verdict& verdict) const {
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  std::map<Key, const DutyEntry*> rows;
  const auto rollup = duties_.rollup().to_string();
  for (const auto& row : table) {
    if (row.rollup != rollup) continue;
    rows[{row.validator, row.slot, row.duty_type, row.block_index}] = &row;
    if (row.status != "signed") ++verdict.still_signing;
  }
  for (std::size_t duty = 0; duty < progress_.size(); ++duty) {
    const auto context = duties_.context_of(duty);
    const auto index = context.block_index.value_or(kNoBlockIndex);
    const auto row = rows.find({duties_.validator_of(duty).to_string(), context.slot.to_string(),
                                std::string(to_string(context.duty_type)), std::to_string(index)});
    const auto& releases = progress_[duty].releases;
    const bool agrees = row != rows.end() && std::ranges::all_of(releases, [&row](const Release& release) {
                          return row->second->message_hash == release.message.to_string() &&
                                 row->second->signature == release.signature.to_string();
                        });
    if (!agrees) ++verdict.table_disagrees;
  }
}

}  // namespace hasigner::demo
