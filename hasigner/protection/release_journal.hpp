#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

/// The one message that this node has released for a duty, or may have.
struct JournalEntry {
  DutyKey key;
  MessageHash message_hash;
  std::optional<Signature> signature;  ///< nullopt: only handed out, to a caller who makes the signature
  LockToken handed_out = {};           ///< under which a caller got the duty; empty: none did
  /// Of an entry that is read: false where a crash may have come between its writing and the store's answer.
  bool is_settled = false;
};

/// What a journal holds when it is opened.
struct JournalContents {
  std::vector<JournalEntry> entries;     ///< of each rollup those of the highest slots
  std::map<EthAddress, Slot> unread;     ///< by rollup: at and below this slot there may be more
  std::map<EthAddress, Slot> forgotten;  ///< by rollup: entries at and below this slot were dropped to bound the size
  std::string history = {};              ///< as remember_history() was told it last; empty: never
};

/// What a journal holds about some duties.
struct JournalFindings {
  std::vector<JournalEntry> entries;
  std::map<EthAddress, Slot> forgotten;  ///< as in JournalContents
};

/// Port: this node's own memory of what it has released, kept beside the store and independent of it.
///
/// It has one entry for a duty. Requests are carried out in the order in which they were made.
/// Thread safety: one executor, on which the arrivals are set.
class ReleaseJournal {
 public:
  using Written = StoreResult<Unit>;
  using Found = StoreResult<JournalFindings>;

  virtual ~ReleaseJournal() = default;

  /// To be called once.
  [[nodiscard]] virtual JournalContents contents() = 0;

  /// Begins to write the entries; a duty that has an entry with the same message keeps what only the earlier one has.
  /// They are durable when the arrival has a value; after an error they may be. Without entries: tries whether the
  /// journal can be written.
  ///
  /// Errors: kUnavailable; kIncompatible where a duty has an entry with another message, which stays.
  [[nodiscard]] virtual std::shared_ptr<Arrival<Written>> append(std::vector<JournalEntry> entries) = 0;
  /// Takes back the entries with these messages: what they stand for was not released. Not durable: an entry that is
  /// there again after a crash makes this node refuse more, never less.
  virtual void withdraw(std::vector<JournalEntry> entries) = 0;
  /// Of entries that are not settled: another message was released for their duties, so theirs has probably never left.
  /// They are not settled later either, unless they are written again. Not durable.
  virtual void leave_unsettled(std::vector<JournalEntry> entries) = 0;
  [[nodiscard]] virtual std::shared_ptr<Arrival<Found>> find(std::vector<DutyKey> keys) = 0;

  /// Keeps in which history of the store this node works, and what it knows of other nodes. Not durable: after a crash
  /// an earlier text may be there.
  virtual void remember_history(std::string history) = 0;

  /// Writes what was requested, within a bound of time, and ends threads of its own.
  virtual void close() = 0;
};

}  // namespace hasigner
