#include "hasigner/cli/doctor/sqlite_checks.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/store/rows/utc_time.hpp"
#include "hasigner/store/sqlite/database_file.hpp"
#include "hasigner/store/sqlite/examination.hpp"
#include "hasigner/store/sqlite/file_system.hpp"
#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::cli::doctor {

namespace {

using sqlite::DatabaseFile;
using sqlite::ExaminedFile;
using sqlite::FileSystemKind;
using Words = std::vector<std::string>;

/// Between the making of a file and the first registration in it.
constexpr std::int64_t kCopyTolerance_s = 10;

Finding check_file_system(const SqliteDeployment& deployment) {
  const auto found = sqlite::file_system_of(deployment.path);
  if (!found) return failure(found.error(), "correct the path of the database");
  const std::string said = in_quotes(deployment.path) + " is on " + found->name;
  const std::string mend = "put the database on a local disk of this machine";
  switch (found->kind) {
    case FileSystemKind::kLocal: return ok(said);
    case FileSystemKind::kNetwork:
      return failure(said + ", which other machines share: SQLite's locks do not work there", mend);
    case FileSystemKind::kVolatile:
      return failure(said + ", which is in memory: a restart of the machine forgets what was signed", mend);
    case FileSystemKind::kContainer:
      return warning(said + ", the layer of a container: what was signed is forgotten with the container",
                     "put the database on a volume that outlives the container");
    case FileSystemKind::kPassedOn:
      return warning(
          said + ", behind which another program works: whether its locks and writes are those of a disk is unknown",
          mend);
  }
  return ok(said);
}

Finding check_space(const SqliteDeployment& deployment) {
  const auto found = sqlite::file_system_of(deployment.path);
  if (!found) return skipped("the file system cannot be looked at");
  const std::string said = std::to_string(found->free_bytes / kMebibyte) + " MiB are free for the database";
  if (found->free_bytes < kFreeFailure)
    return failure(said + ": nothing is signed on a full disk", "free space on that disk");
  if (found->free_bytes < kFreeWarning) return warning(said, "free space on that disk");
  return ok(said);
}

/// The folder, or the first of the files in it, that others can write at the moment.
std::optional<std::string> open_to_others(const std::string& path) {
  for (const auto& one : {std::filesystem::path(path).parent_path().string(), path, path + "-wal", path + "-nodes"}) {
    std::error_code error;
    const auto mode = std::filesystem::status(one, error).permissions();
    constexpr auto kOthersWrite = std::filesystem::perms::group_write | std::filesystem::perms::others_write;
    if (!error && (mode & kOthersWrite) != std::filesystem::perms::none && mode != std::filesystem::perms::unknown)
      return one;
  }
  return std::nullopt;
}

/// The first of the files beside the database that this user may not read and write.
std::optional<std::string> closed_to_us(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm", "-nodes"}) {
    const std::string one = path + suffix;
    if (::access(one.c_str(), F_OK) == 0 && ::access(one.c_str(), R_OK | W_OK) != 0) return one;
  }
  return std::nullopt;
}

/// Finds the file, or says why there is none that may be used.
Finding check_file(const SqliteDeployment& deployment, std::optional<DatabaseFile>& file) {
  auto found = DatabaseFile::look(deployment.path);
  if (!found) {
    return refused(found.error(),
                   "give this user the right to read and write it and its folder (chown, chmod u+rwX), or name another "
                   "file");
  }
  if (!*found) {
    return warning(
        in_quotes(deployment.path) + " is not there: serve makes it, and it remembers nothing yet",
        "none needed before the first start of keys that have never signed; otherwise correct the path, or import "
        "the history (ha-signer import)");
  }
  file = std::move(*found);
  if (const auto closed = closed_to_us(file->path())) {
    return failure("this user may not read and write " + in_quotes(*closed) + ", which belongs to the database",
                   "run as root: chown --reference=" + in_quotes(file->path()) + " " + in_quotes(*closed));
  }
  std::error_code error;
  if (const auto names = std::filesystem::hard_link_count(file->path(), error); !error && names > 1) {
    return failure(in_quotes(file->path()) + " has " + std::to_string(names) +
                       " names (hard links): under each name SQLite keeps a log of its own, so what one node signs "
                       "another may not see",
                   "stop every node, and remove all names but this one");
  }
  if (const auto open = open_to_others(file->path())) {
    return warning("other users can write " + in_quotes(*open) +
                       "; the next start takes that right from them, but they may have used it",
                   "chmod go-w " + in_quotes(*open) + ", and find out who could write it");
  }
  return ok(in_quotes(file->path()) + " is there, and closed to the writes of others");
}

Finding check_database(const SqliteDeployment& deployment, const DatabaseFile& file,
                       std::optional<ExaminedFile>& content) {
  auto found = sqlite::examine_file(file.path(), deployment.rollup);
  if (!found) return refused(found.error(), "name another file, or use a newer ha-signer");
  if (!found->differences.empty()) {
    return failure(
        in_quotes(file.path()) + " is not as ha-signer makes it: " + listed(found->differences),
        "stop every node; run sqlite3 " + in_quotes(file.path()) +
            " 'drop trigger NAME' for a trigger that is not ha-signer's; otherwise take what it remembers "
            "into a new file (ha-signer export, ha-signer import), and set a watermark above everything that "
            "was signed (docs/operating.md, After a restore)");
  }
  if (found->is_empty && found->has_lock_file) {
    return failure(
        in_quotes(file.path()) + " is empty, but " + in_quotes(file.path() + "-nodes") +
            " shows that nodes have used it: its log (-wal) may have been removed",
        "put " + in_quotes(file.path() + "-wal") +
            " back; without it, set a watermark above everything that was signed (docs/operating.md, After a "
            "restore). Where no key has ever signed, remove both files");
  }
  content = std::move(*found);
  if (content->is_empty) {
    return warning(in_quotes(file.path()) + " is empty, so it remembers nothing",
                   "none needed before the first start; otherwise find out what emptied it, and set a watermark "
                   "(docs/operating.md, "
                   "After a restore)");
  }
  const auto version = std::to_string(content->version);
  if (content->version < sqlite::schema_version())
    return ok("version " + version + " of the tables; the next start brings them up to date");
  return ok("version " + version + " of the tables, the newest");
}

/// Seconds since 1970 of a time as the tables hold it.
std::optional<std::int64_t> seconds_of(const std::string& text) {
  const auto time = parse_utc_text(text);
  if (!time) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(time->time_since_epoch()).count();
}

Finding check_copy(const SqliteDeployment& deployment, const DatabaseFile& file, const ExaminedFile& content) {
  if (content.nodes.empty()) return ok("no node has used the file");
  const std::string mend =
      "use the file that the node itself wrote; if this one was restored, or moved while a node signed: a watermark "
      "above "
      "everything that was signed (docs/operating.md, After a restore)";
  if (!content.has_lock_file) {
    return failure(in_quotes(file.path()) + " seems to be a copy: nodes have used it, but " +
                       in_quotes(file.path() + "-nodes") + ", which each of them keeps beside it, is not there",
                   mend);
  }
  for (const auto& node : content.nodes) {
    const auto since = seconds_of(node.registered_at);
    if (!content.made_at || !since || *since + kCopyTolerance_s >= *content.made_at) continue;
    return warning(in_quotes(file.path()) + " seems to be a copy: the node " + node.node_id + " has used it since " +
                       node.registered_at + " UTC, before this file was made on this disk",
                   mend);
  }
  const auto is_ours = [&](const auto& node) { return node.node_id == deployment.node_id; };
  const bool others_only = std::ranges::none_of(content.nodes, is_ours);
  const bool some_alive = std::ranges::any_of(content.nodes, &ExaminedFile::Node::alive);
  if (others_only && !some_alive) {
    Words ids;
    for (const auto& node : content.nodes) ids.push_back(node.node_id);
    return warning(
        "the file was used by " + listed(ids) + ", never by " + deployment.node_id + ": it may be another node's",
        "name this node's own file, or give it the node id that it had (VALIDATOR_HA_NODE_ID)");
  }
  return ok("the file is the one that its nodes have written");
}

Finding check_node_id(const SqliteDeployment& deployment, const ExaminedFile& content, StoreFacts& facts) {
  for (const auto& node : content.nodes) {
    if (node.node_id != deployment.node_id) continue;
    facts.this_node_is_alive = node.alive;
    if (!node.alive) return ok(node.node_id + " has been here, and does not run now");
    return warning(
        "a process runs under the id " + node.node_id + " (last heartbeat " + node.heartbeat_at + " UTC)",
        "none needed if it is this node's own service; otherwise give this node another VALIDATOR_HA_NODE_ID");
  }
  return ok("no other node has the id " + deployment.node_id);
}

Finding check_nodes(const SqliteDeployment& deployment, const ExaminedFile& content, StoreFacts& facts) {
  Words alive;
  for (const auto& node : content.nodes) {
    if (node.alive && node.node_id != deployment.node_id) alive.push_back(node.node_id);
  }
  facts.is_shared = !alive.empty();
  return ok(alive.empty() ? "no other node runs now" : "other nodes that run now: " + listed(alive));
}

void take_validators(const ExaminedFile& content, const std::string& rollup, StoreFacts& facts) {
  if (rollup.empty()) return;
  facts.known_validators.emplace();
  for (const auto& [address, node_id] : content.validators) {
    auto& nodes = (*facts.known_validators)[address];
    if (!node_id.empty()) nodes.insert(node_id);
  }
}

}  // namespace

Group check_sqlite(const SqliteDeployment& deployment, StoreFacts& facts) {
  Group group{.title = "SQLite, " + deployment.path, .findings = {}};
  std::optional<DatabaseFile> file;
  std::optional<ExaminedFile> content;
  group.run("file_system", [&] { return check_file_system(deployment); });
  group.run("space", [&] { return check_space(deployment); });
  group.run("file", [&] { return check_file(deployment, file); });
  if (!file) {
    const bool failed = group.failed({"file"}) != nullptr;
    group.skip({"database", "copy", "node_id", "nodes"}, failed ? "the check file failed" : "there is no file yet");
    if (!failed) facts.known_validators.emplace();
    return group;
  }
  group.run("database", [&] { return check_database(deployment, *file, content); });
  if (!content) {
    group.skip({"copy", "node_id", "nodes"}, "the check database failed");
    return group;
  }
  group.run("copy", [&] { return check_copy(deployment, *file, *content); });
  group.run("node_id", [&] { return check_node_id(deployment, *content, facts); });
  group.run("nodes", [&] { return check_nodes(deployment, *content, facts); });
  take_validators(*content, deployment.rollup, facts);
  return group;
}

}  // namespace hasigner::cli::doctor
