#include "hasigner/cli/doctor/journal_checks.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>

#include "hasigner/cli/service_settings.hpp"
#include "hasigner/service/audit_log.hpp"
#include "hasigner/store/sqlite/database_file.hpp"
#include "hasigner/store/sqlite/examination.hpp"
#include "hasigner/store/sqlite/file_system.hpp"

namespace hasigner::cli::doctor {

namespace {

/// Of an audit log that is read line by line, which takes a second or two.
constexpr std::uint64_t kLongestRead = 64 * kMebibyte;

/// The device of a file, or where it is not there, of the nearest folder above it that is.
std::optional<dev_t> device_of(const std::filesystem::path& file) {
  std::error_code error;
  auto looked_at = std::filesystem::absolute(file, error);
  struct stat found {};
  while (!error && ::stat(looked_at.c_str(), &found) != 0) {
    if (looked_at == looked_at.parent_path()) return std::nullopt;
    looked_at = looked_at.parent_path();
  }
  return error ? std::nullopt : std::optional(found.st_dev);
}

bool share_a_file_system(const std::filesystem::path& one, const std::filesystem::path& other) {
  const auto device = device_of(one);
  return device && device == device_of(other);
}

/// Where it lies, whether it can be written, whether another process has it: as a start finds it.
Finding check_journal(const Settings& settings, const StoreFacts& facts) {
  const auto file = journal_file(settings);
  if (!file) {
    return warning(
        "serve keeps no journal (" + file.error() + "), so that a database that forgets may lead to a second message",
        "set DATA_DIRECTORY to a folder of this node's own, and leave HA_SIGNER_JOURNAL true");
  }
  const auto found = sqlite::file_system_of(file->string());
  if (!found) return failure(found.error(), "correct DATA_DIRECTORY");
  std::string said = "the journal " + in_quotes(*file) + " is on " + found->name;
  const std::string mend = "let DATA_DIRECTORY be on a disk of this machine that outlives a restart";
  using enum sqlite::FileSystemKind;
  if (found->kind == kNetwork) return failure(said + ", which other machines share: serve does not start", mend);
  const auto there = sqlite::DatabaseFile::look(file->string());
  if (!there) {
    return refused("the journal cannot be opened, so serve does not start: " + there.error(),
                   "give this user the right to write in the folder of the journal (chown, chmod u+rwX)");
  }
  const std::string room = said + ", where " + std::to_string(found->free_bytes / kMebibyte) + " MiB are free";
  if (found->free_bytes < kFreeFailure)
    return failure(room + ": where it cannot be written, nothing is signed", "free space on that disk");
  switch (found->kind) {
    case kVolatile: return warning(said + ", which is in memory: a restart of the machine forgets it", mend);
    case kContainer: return warning(said + ", the layer of a container: it goes with the container", mend);
    case kPassedOn: return warning(said + ", behind which another program works", mend);
    case kNetwork:
    case kLocal: break;
  }
  const bool is_in_use = *there && sqlite::is_held((*there)->path());
  if (is_in_use && !facts.this_node_is_alive) {
    return warning("another process uses the journal " + in_quotes(*file) + ", so serve would not start beside it",
                   "none needed if that is this node's own service; otherwise give each node a DATA_DIRECTORY of its "
                   "own");
  }
  if (found->free_bytes < kFreeWarning) return warning(room + ": it grows to some 100 MB", "free space on that disk");
  if (facts.database_file && share_a_file_system(*file, *facts.database_file)) {
    said += ", as the database is: what takes that disk back to an earlier state takes back both";
  }
  if (is_in_use) return ok(said + "; this node's service uses it");
  return ok(said + (*there ? "" : "; serve makes it"));
}

/// Where others may remove the file, or put another one in its place.
bool is_open_to_others(const std::filesystem::path& folder) {
  struct stat found {};
  const bool is_shared = ::stat(folder.c_str(), &found) == 0 && (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  return is_shared && (found.st_mode & S_ISVTX) == 0;
}

/// What is wrong in the lines themselves.
std::optional<Finding> look_at_lines(const std::filesystem::path& file, bool is_in_use) {
  std::error_code error;
  if (std::filesystem::file_size(file, error) > kLongestRead || error) return std::nullopt;
  const auto fault = service::verify_audit(std::array{file}).fault;
  // A line may just be on its way.
  if (!fault || (fault->is_torn && is_in_use)) return std::nullopt;
  const auto said =
      (fault->line == 0 ? "" : "line " + std::to_string(fault->line) + " of ") + in_quotes(file) + " " + fault->reason;
  if (fault->is_torn) {
    return warning(said + "; the next start takes that line away",
                   "none needed after a kill; otherwise find out what has cut it");
  }
  return warning(said, "find out what has changed it, keep the file, and let serve begin a new one (mv " +
                           in_quotes(file) + " " + in_quotes(file.string() + ".kept") +
                           ", then ha-signer service reload)");
}

/// Nothing of it ends a start or a signature, so none of it is a failure.
Finding check_audit_log(const Settings& settings, const StoreFacts& facts) {
  if (!settings.is_set(SettingId::kAuditLog)) return ok("no audit log is set");
  const auto& setting = settings.value(SettingId::kAuditLog);
  const std::filesystem::path file = setting.text;
  const auto found = service::look_at_audit_log(file);
  if (!found.refusal.empty()) {
    auto refusal = refused(found.refusal, "let " + setting.given_as + " name a file that this user may write");
    return warning(refusal.found + "; serve signs all the same, and lines are lost when too many wait", refusal.mend);
  }
  if (found.is_in_use && !facts.this_node_is_alive) {
    return warning("another process writes the audit log " + in_quotes(file),
                   "none needed if that is this node's own service; otherwise give each service a file of its own in " +
                       setting.given_as);
  }
  const auto folder = std::filesystem::absolute(file).parent_path();
  if (is_open_to_others(folder)) {
    return warning("other users can write in " + in_quotes(folder) + ", so they can remove or replace the audit log",
                   "chmod go-w " + in_quotes(folder) + ", and find out who could write there");
  }
  if (found.is_there) {
    if (auto fault = look_at_lines(file, found.is_in_use)) return std::move(*fault);
  }
  const auto journal = journal_file(settings);
  const bool beside_journal = journal && share_a_file_system(file, *journal);
  if (beside_journal || (facts.database_file && share_a_file_system(file, *facts.database_file))) {
    return warning("the audit log " + in_quotes(file) + " is on the file system of the " +
                       (beside_journal ? "journal" : "database") + ": when it has filled that, nothing is signed",
                   "put it on another file system, or rotate it long before that one is full (docs/operating.md, The "
                   "audit log)");
  }
  return ok("the audit log " + in_quotes(file) + (found.is_there ? " can be continued" : " can be begun"));
}

}  // namespace

Group check_journal_and_audit_log(const Settings& settings, const StoreFacts& facts) {
  Group group{.title = "Journal and audit log", .findings = {}};
  group.run("journal", [&] { return check_journal(settings, facts); });
  group.run("audit_log", [&] { return check_audit_log(settings, facts); });
  return group;
}

}  // namespace hasigner::cli::doctor
