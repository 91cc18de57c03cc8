// A journal's file that others had in hand. After "rows" and a new line: its entries, one a line, columns separated by
// tabs, bytes as hex digits. Anything else: the file as it is.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/sqlite/connection.hpp"
#include "hasigner/store/sqlite/sqlite_journal.hpp"
#include "tests/fuzz/fuzz_target.hpp"

// What is tried here is what is read: nothing must outlive a power cut.
extern "C" int fsync(int) {
  return 0;
}
extern "C" int fdatasync(int) {
  return 0;
}

namespace {

using namespace hasigner;
namespace fs = std::filesystem;

constexpr sqlite::JournalLimits kLimits{.entries = 100, .read_at_once = 2};
constexpr int kMostRows = 20;

/// A folder that is removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "hasigner-journal-fuzz-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string journal() const { return (path_ / "journal.db").string(); }
  void empty() const {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) fs::remove(journal() + suffix);
  }

 private:
  fs::path path_;
};

asio::io_context& io() {
  static asio::io_context context;
  return context;
}

template <class T>
T value_of(const std::shared_ptr<Arrival<T>>& arrival) {
  io().restart();
  const auto work = asio::make_work_guard(io());
  while (!arrival->has_come()) io().run_one();
  return *arrival->take();
}

/// Without an error: what was read.
std::optional<JournalContents> check_opened(const std::string& path) {
  try {
    sqlite::SqliteJournal journal(path, io().get_executor(), milliseconds(0), kLimits);
    auto contents = journal.contents();
    if (contents.entries.empty()) return contents;
    auto other = contents.entries.front();
    other.message_hash.bytes()[0] ^= 1;
    HASIGNER_ASSERT(!value_of(journal.append({other})));
    return contents;
  } catch (const std::runtime_error& error) {
    test::check_showable(error.what());
    return std::nullopt;
  }
}

/// What was read is read again, and a duty keeps its message.
void check_twice(const std::string& path) {
  const auto first = check_opened(path);
  if (!first) return;
  const auto again = check_opened(path);
  HASIGNER_ASSERT(again && again->entries.size() == first->entries.size() && again->unread == first->unread);
  for (std::size_t i = 0; i < first->entries.size(); ++i) {
    HASIGNER_ASSERT(again->entries[i].key == first->entries[i].key);
    HASIGNER_ASSERT(again->entries[i].message_hash == first->entries[i].message_hash);
  }
}

void write(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A journal without entries.
const std::string& new_journal(const Folder& folder) {
  static const std::string bytes = [&] {
    folder.empty();
    { const sqlite::SqliteJournal journal(folder.journal(), io().get_executor(), milliseconds(0)); }
    std::ifstream file(folder.journal(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return bytes;
}

std::string_view take_until(std::string_view& text, char end) {
  const auto at = std::min(text.find(end), text.size());
  const auto part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

/// As SQL; empty: null.
std::string literal(std::string_view text, bool is_bytes, bool is_number) {
  if (text.empty()) return "null";
  if (is_number) return text.find_first_not_of("-0123456789") == text.npos ? std::string(text) : "0";
  std::string quoted;
  for (const char c : text) {
    const bool is_digit = std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
    if (c == '\0' || (is_bytes && !is_digit)) continue;
    quoted += c == '\'' ? std::string("''") : std::string(1, c);
  }
  if (is_bytes && quoted.size() % 2 != 0) quoted.pop_back();
  return (is_bytes ? "x'" : "'") + quoted + "'";
}

void insert_rows(sqlite::Connection& connection, std::string_view text) {
  enum class Kind : std::uint8_t { kBytes, kText, kNumber };
  using enum Kind;
  constexpr Kind kColumns[] = {kBytes, kNumber, kBytes, kText, kNumber, kBytes, kBytes, kText, kNumber};
  for (int row = 0; row < kMostRows && !text.empty(); ++row) {
    auto line = take_until(text, '\n');
    std::string values;
    for (const Kind kind : kColumns) {
      values += (values.empty() ? "" : ",") + literal(take_until(line, '\t'), kind == kBytes, kind == kNumber);
    }
    try {
      connection.execute(("insert into journal_entries values (" + values + ")").c_str());
    } catch (const sqlite::SqliteError&) {
      continue;  // the table takes no such row
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const Folder folder;
  constexpr std::string_view kRows = "rows\n";
  const auto text = test::text_of(bytes, size);
  const bool are_rows = text.starts_with(kRows);
  const auto& empty = new_journal(folder);
  folder.empty();
  write(folder.journal(), are_rows ? empty : text);
  ::chmod(folder.journal().c_str(), 0600);
  if (are_rows) {
    sqlite::Connection connection(folder.journal());
    insert_rows(connection, text.substr(kRows.size()));
  }
  check_twice(folder.journal());
  return 0;
}
