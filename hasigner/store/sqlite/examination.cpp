#include "hasigner/store/sqlite/examination.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "hasigner/store/sqlite/connection.hpp"
#include "hasigner/store/sqlite/node_locks.hpp"
#include "hasigner/store/sqlite/schema.hpp"
#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {

namespace {

constexpr std::int64_t kRowsLookedAt = 20'000;
/// The bytes that readers lock together, and one who has the file for itself alone. Source: SQLite's os.h, SHARED_FIRST
/// and SHARED_SIZE.
constexpr off_t kFirstShared = 0x40000002;
constexpr off_t kSharedSize = 510;

std::optional<std::int64_t> birth_of(const std::string& path) {
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME, &found) != 0) return std::nullopt;
  if ((found.stx_mask & STATX_BTIME) == 0) return std::nullopt;
  return found.stx_btime.tv_sec;
}

struct SchemaObject {
  std::string definition;
  bool has_say = false;
};

std::map<std::string, SchemaObject> objects_in(Connection& connection) {
  Statement reading(connection, statement("schema_objects"));
  std::map<std::string, SchemaObject> objects;
  Run run = reading.start();
  while (run.next()) objects[run.text(0)] = {run.text(1), run.integer(2) != 0};
  return objects;
}

std::vector<std::string> differences_of(Connection& connection, std::int64_t version) {
  Connection made(":memory:");
  for (std::int64_t i = 0; i < version; ++i) made.execute(migrations()[static_cast<std::size_t>(i)]);
  const auto wanted = objects_in(made);
  const auto found = objects_in(connection);
  std::vector<std::string> differences;
  for (const auto& [name, object] : wanted) {
    const auto there = found.find(name);
    if (there == found.end()) differences.push_back(name + " is missing");
    if (there != found.end() && there->second.definition != object.definition)
      differences.push_back(name + " is not as ha-signer makes it");
  }
  for (const auto& [name, object] : found) {
    if (object.has_say && !wanted.contains(name)) differences.push_back(name + " is not ha-signer's");
  }
  return differences;
}

void read_nodes(Connection& connection, const std::string& locks, ExaminedFile& file) {
  Statement reading(connection, statement("nodes_since"));
  std::vector<std::int64_t> numbers;
  {
    Run run = reading.start();
    while (run.next()) {
      numbers.push_back(run.integer(0));
      file.nodes.push_back({.node_id = run.text(1), .registered_at = run.text(2), .heartbeat_at = run.text(3)});
    }
  }
  const auto held = NodeLocks::held_in(locks, numbers);
  for (std::size_t i = 0; i < numbers.size(); ++i) file.nodes[i].alive = held.contains(numbers[i]);
}

void read_validators(Connection& connection, const std::string& rollup, ExaminedFile& file) {
  Statement reading(connection, statement("recent_validators"));
  Run run = reading.start(rollup, kRowsLookedAt);
  while (run.next()) file.validators.push_back({run.text(0), run.optional_text(1).value_or("")});
}

ExaminedFile read(const std::string& path, const std::string& rollup) {
  const std::string locks = path + "-nodes";
  std::error_code error;
  ExaminedFile file{.has_lock_file = std::filesystem::exists(locks, error), .made_at = birth_of(path)};
  Connection connection = Connection::to_look_at(path);
  file.version = known_version(connection, path);
  file.is_empty = file.version == 0;
  if (file.is_empty) return file;
  file.differences = differences_of(connection, file.version);
  if (!file.differences.empty()) return file;
  read_nodes(connection, locks, file);
  read_validators(connection, rollup, file);
  return file;
}

}  // namespace

std::expected<ExaminedFile, std::string> examine_file(const std::string& path, const std::string& rollup) {
  try {
    return read(path, rollup);
  } catch (const UnusableDatabase& error) {
    return std::unexpected(error.what());
  } catch (const SqliteError& error) {
    const std::string said = "the database \"" + path + "\" cannot be read (" + error.what() + ")";
    if (!error.is_damage()) return std::unexpected(said + "; run doctor again when no node starts");
    return std::unexpected(said +
                           "; restore it from a copy and set a watermark above everything that was signed "
                           "(docs/operating.md, After a restore)");
  }
}

bool is_held(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kFirstShared;
  lock.l_len = kSharedSize;
  const bool is_told = ::fcntl(descriptor, F_GETLK, &lock) == 0;
  ::close(descriptor);
  return is_told && lock.l_type == F_WRLCK;
}

}  // namespace hasigner::sqlite
