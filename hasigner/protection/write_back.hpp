#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hasigner/protection/release_journal.hpp"

namespace hasigner {

/// How a store stands to what a journal says was released for a duty.
enum class EntryInStore : std::uint8_t {
  kStands,        ///< it has this message, or signs none for this duty any more
  kContradicted,  ///< it has another message, signed or released
  kMissing,       ///< it has no row
  kHeld,          ///< this message is being signed
  kAbandoned,     ///< another message was being signed, by a holder whose lease has run out
  kBusy,          ///< another message is being signed
};

[[nodiscard]] EntryInStore entry_in_store(const DutyView& view, const JournalEntry& entry);

/// A duty for which the store has another message than the journal.
struct Contradiction {
  DutyKey key;
  std::string message_hash;  ///< the store's, as it has it
  std::string node_id;       ///< of the node that signed it
  bool is_settled = false;   ///< of the journal's entry: that message was released
};

struct WriteBackOutcome {
  std::vector<DutyKey> missing;  ///< entries that the store did not have
  std::vector<DutyKey> busy;     ///< of those, the ones whose duties are being signed with another message
  std::size_t written_back = 0;
  std::vector<Contradiction> contradicted;
  bool is_complete = true;  ///< nothing is missing any more
};

/// Whose journal it is, and by what it is written back.
struct WriteBackParts {
  std::shared_ptr<Store> store;
  std::shared_ptr<RandomSource> random;
  NodeId node_id;
  Incarnation incarnation;  ///< registered
};

/// Compares entries of a journal with the store, and writes into the store what it has lost: by claim, takeover or
/// replacement, and record, under tokens of this incarnation. So a row that stands is never overwritten, and every
/// condition of those requests holds. A row that is claimed and not recorded yet is as one that was taken over: given
/// to no other data. Block and checkpoint numbers, which a journal does not have, are not written. Of a duty that was
/// only handed out the row is made again as it was handed out.
///
/// The entries are those of one chunk; a duty of which an attempt is under way must not be among them.
/// Errors: those of the store. What was written by then stays, and is found the next time.
[[nodiscard]] asio::awaitable<StoreResult<WriteBackOutcome>> write_back(WriteBackParts parts,
                                                                        std::vector<JournalEntry> entries,
                                                                        MonotonicTime deadline);

}  // namespace hasigner
