#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "hasigner/protection/release_journal.hpp"
#include "tests/simulation/sim_time.hpp"

namespace hasigner::simulation {

/// What outlives a process.
struct JournalFile {
  std::map<DutyKey, JournalEntry> entries;
  std::map<EthAddress, Slot> unread, forgotten;
  std::set<DutyKey> left_unsettled;
  std::string history;
  MonotonicTime fails_until{};   ///< nothing can be written
  MonotonicTime silent_until{};  ///< nothing is written or answered
};

/// A journal whose entries are durable some time after they were given, and answered for later than that. A process
/// that is killed leaves those that were durable. What is not waited for is left until something can be written again;
/// what is found meanwhile is as if it had been.
class SimJournal final : public ReleaseJournal {
 public:
  SimJournal(SimTime& time, Chance& chance, std::shared_ptr<Life> life, std::shared_ptr<JournalFile> file)
      : time_(time), chance_(chance), life_(std::move(life)), file_(std::move(file)) {}

  JournalContents contents() override {
    JournalContents contents;
    for (const auto& [key, entry] : file_->entries) {
      const auto unread = file_->unread.find(key.rollup);
      if (unread == file_->unread.end() || key.slot > unread->second) contents.entries.push_back(entry);
    }
    contents.unread = file_->unread;
    contents.forgotten = file_->forgotten;
    contents.history = file_->history;
    return contents;
  }

  std::shared_ptr<Arrival<Written>> append(std::vector<JournalEntry> entries) override {
    life_->require_alive();
    auto arrival = std::make_shared<Arrival<Written>>(time_.io.get_executor());
    in_order([file = file_, &time = time_, life = life_, arrival, entries = std::move(entries)] {
      Written written = Unit{};
      const bool fails = time.now() < file->fails_until;
      for (const auto& entry : entries) {
        if (fails) break;
        auto& there = file->entries.try_emplace(entry.key, entry).first->second;
        if (there.message_hash != entry.message_hash) {
          written = std::unexpected(StoreError{StoreErrorKind::kIncompatible, "another message is in the journal"});
          continue;
        }
        if (entry.signature) there.signature = entry.signature;
        if (!entry.handed_out.empty()) there.handed_out = entry.handed_out;
      }
      if (fails) written = std::unexpected(StoreError{StoreErrorKind::kUnavailable, "the disk is full"});
      life->run_inside([arrival, written] { arrival->set(written); });
    });
    return arrival;
  }

  void withdraw(std::vector<JournalEntry> entries) override {
    if (!life_->alive()) return;
    write_later([entries = std::move(entries)](JournalFile& file) {
      for (const auto& entry : entries) {
        const auto there = file.entries.find(entry.key);
        if (there != file.entries.end() && there->second.message_hash == entry.message_hash) {
          file.entries.erase(there);
        }
      }
    });
  }

  /// None of its entries is settled later.
  void leave_unsettled(std::vector<JournalEntry> entries) override {
    for (const auto& entry : entries) file_->left_unsettled.insert(entry.key);
  }

  std::shared_ptr<Arrival<Found>> find(std::vector<DutyKey> keys) override {
    auto arrival = std::make_shared<Arrival<Found>>(time_.io.get_executor());
    in_order([file = file_, left = left_, life = life_, arrival, keys = std::move(keys)] {
      JournalFindings found;
      auto seen = file;
      if (!left->empty()) seen = std::make_shared<JournalFile>(*file);
      for (const auto& change : *left) change(*seen);
      for (const auto& key : keys) {
        const auto there = seen->entries.find(key);
        if (there != seen->entries.end()) found.entries.push_back(there->second);
      }
      found.forgotten = seen->forgotten;
      life->run_inside([arrival, found] { arrival->set(found); });
    });
    return arrival;
  }

  void remember_history(std::string history) override {
    if (!life_->alive()) return;
    write_later([history = std::move(history)](JournalFile& file) { file.history = history; });
  }

  void close() override {}

 private:
  using Change = std::function<void(JournalFile&)>;

  void write_later(Change change) {
    in_order([left = left_, change = std::move(change)] { left->push_back(change); });
  }

  /// A killed process does not come as far as this.
  void in_order(SimTime::Event event) {
    done_at_ =
        std::max({done_at_, file_->silent_until, time_.now() + chance_.between(milliseconds(0), milliseconds(3))});
    time_.at(done_at_, [life = life_, left = left_, file = file_, &time = time_, event = std::move(event)]() mutable {
      if (!life->alive()) return;
      const auto write_left = [&] {
        if (time.now() < file->fails_until) return;
        for (const auto& change : std::exchange(*left, {})) change(*file);
      };
      write_left();
      event();
      write_left();
    });
  }

  SimTime& time_;
  Chance& chance_;
  std::shared_ptr<Life> life_;
  std::shared_ptr<JournalFile> file_;
  std::shared_ptr<std::vector<Change>> left_ = std::make_shared<std::vector<Change>>();
  MonotonicTime done_at_{};
};

}  // namespace hasigner::simulation
