#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hasigner/duty/duty.hpp"
#include "hasigner/service/audit_chain.hpp"
#include "hasigner/service/log.hpp"

namespace hasigner::service {

/// One duty, or other thing to sign, that a client has asked for.
struct AuditedDuty {
  EthAddress signer;  ///< validator or publisher
  MessageHash hash;
  std::optional<SigningContext> context = {};  ///< nullopt when the client gave none
  std::string_view outcome = {};               ///< lives as long as the program: `signed`, or the kind of a problem
};

/// What becomes a line of the audit log, or one for each duty.
struct AuditEntry {
  std::string event;             ///< short and stable: `sign`, `reload`
  std::vector<LogField> fields;  ///< of each line; names live as long as the program, values must not be secrets
  std::vector<AuditedDuty> duties = {};  ///< empty: one line
};

struct AuditStatus {
  std::string failure;     ///< why lines cannot be written; empty when they can
  std::uint64_t lost = 0;  ///< lines that were never written, since the start
  AuditHead head;          ///< of the last line that was written
};

struct AuditLimits {
  std::size_t waiting = 100'000;                 ///< lines that wait to be written; more are lost, and counted
  std::chrono::milliseconds retry{1'000};        ///< between two tries while the file cannot be opened or written
  std::chrono::milliseconds first_try{1'000};    ///< the constructor waits so long for the file to be opened
  std::chrono::milliseconds hangs_after{5'000};  ///< of one call: then the status says that the disk does not answer
  std::chrono::milliseconds last_writes{5'000};  ///< end() waits no longer
};

/// Appends lines to a file of its own on a thread of its own: the caller never waits.
///
/// The chain of the file goes on after a restart. What a kill has left of a line is taken away, and the next line says
/// so. While the file cannot be opened or written the lines wait; when too many wait, further ones are lost, and a line
/// says how many. A file whose end is not of a chain is renamed, and a new chain begins. The file is forced to the disk
/// once a second. Thread safety: any thread.
class AuditLog {
 public:
  /// `about`: what the first line of a start and of a file says of the service. A file that cannot be opened is tried
  /// again and again; status() says why.
  AuditLog(std::filesystem::path file, std::vector<LogField> about, std::shared_ptr<Log> log, AuditLimits limits = {});
  /// Ends.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  void note(AuditEntry entry);
  /// Where the file has been renamed or removed, goes on in a new one, whose first line follows the last of the old
  /// one.
  void reopen();
  [[nodiscard]] AuditStatus status() const;
  /// Writes what waits; what cannot be written in time is lost. Further lines are lost, too.
  void end();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

/// An audit log as a service would find it.
struct FoundAuditLog {
  bool is_there = false;
  bool is_in_use = false;  ///< by another process; the rest was not looked at then
  std::string refusal;     ///< why a service could not open it, as it would say it; empty: it could
};
/// Makes and changes nothing.
[[nodiscard]] FoundAuditLog look_at_audit_log(const std::filesystem::path& file);

}  // namespace hasigner::service
