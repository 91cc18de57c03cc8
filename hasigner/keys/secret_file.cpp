#include "hasigner/keys/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <system_error>

namespace hasigner::keys {

namespace {

constexpr mode_t kOfOthers = S_IRWXG | S_IRWXO;
constexpr mode_t kOthersRead = S_IRGRP | S_IROTH;

std::unexpected<InvalidInput> refuse(const std::filesystem::path& path, std::string value, std::string allowed) {
  return std::unexpected(
      InvalidInput{"the key file " + printable(path.string(), 300), std::move(value), std::move(allowed)});
}

std::string error_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

/// A file that is open.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

/// Quotes a text for a shell.
std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string octal(mode_t mode) {
  std::string digits;
  for (const int shift : {9, 6, 3, 0}) digits.push_back(static_cast<char>('0' + (mode >> shift & 7)));
  return digits;
}

struct OpenedFile {
  Descriptor file;
  struct stat status {};

  [[nodiscard]] bool is_pipe() const { return S_ISFIFO(status.st_mode); }
};

/// Where a relative path leads is not what its writer may have thought.
std::string folder_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  return path.is_absolute() || error ? "" : " (the path is relative to " + printable(here.string(), 300) + ")";
}

/// Checks the file that was opened, so that it cannot be exchanged in between.
std::optional<InvalidInput> open_file(const std::filesystem::path& path, OpenedFile& opened) {
  if (opened.file.number() < 0) {
    return refuse(path, error_text(errno), "a file that can be read" + folder_of(path)).error();
  }
  if (fstat(opened.file.number(), &opened.status) != 0) return refuse(path, error_text(errno), "readable").error();
  return std::nullopt;
}

// Without O_NONBLOCK, opening a named pipe instead of a file would never return.
int open_number(const std::filesystem::path& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

std::optional<InvalidInput> refuse_kind_and_owner(const std::filesystem::path& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return refuse(path, "not a regular file", "a regular file").error();
  if (status.st_size > static_cast<off_t>(kMaxKeyFileBytes)) {
    return refuse(path, std::to_string(status.st_size) + " bytes",
                  "at most " + std::to_string(kMaxKeyFileBytes) + " bytes")
        .error();
  }
  if (status.st_uid == geteuid() || status.st_uid == 0) return std::nullopt;
  return refuse(path, "the file of user " + std::to_string(status.st_uid),
                "a file of the user who runs this program: chown " + std::to_string(geteuid()) + " " +
                    quoted(printable(path.string(), 300)))
      .error();
}

/// Refuses a file that other users may use in a way that is not among `harmless`.
std::optional<InvalidInput> refuse_mode(const std::filesystem::path& path, const struct stat& status, mode_t harmless) {
  if (status.st_uid == 0 && geteuid() != 0) harmless |= S_IRGRP;
  if ((status.st_mode & kOfOthers & ~harmless) == 0) return std::nullopt;
  return refuse(path, "open to other users (mode " + octal(status.st_mode) + ")",
                "closed to them: chmod 600 " + quoted(printable(path.string(), 300)))
      .error();
}

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// As the file has it.
Parsed<SecretText> read_all(const std::filesystem::path& path, int descriptor) {
  constexpr std::size_t kPiece = 4096;
  SecretText text;
  std::size_t filled = 0;
  for (;;) {
    text.resize(filled + kPiece);
    const auto count = read(descriptor, text.writable() + filled, kPiece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(path, error_text(errno), "a file that can be read");
    filled += static_cast<std::size_t>(count);
    if (filled > kMaxKeyFileBytes) {
      return refuse(path, "larger", "at most " + std::to_string(kMaxKeyFileBytes) + " bytes");
    }
    if (count == 0) break;
  }
  text.resize(filled);
  if (text.view().starts_with("\xff\xfe") || text.view().starts_with("\xfe\xff")) {
    return refuse(path, "in UTF-16, as PowerShell and some editors write", "in UTF-8: save it with that encoding");
  }
  return text;
}

/// Some editors put a byte order mark before a text. It is not part of a password, nor of JSON.
SecretText without_mark(SecretText text) {
  if (!text.view().starts_with(kByteOrderMark)) return text;
  return SecretText(text.view().substr(kByteOrderMark.size()));
}

}  // namespace

Parsed<SecretText> read_secret_file(const std::filesystem::path& path) {
  auto guarded = read_guarded_file(path);
  if (!guarded) return std::unexpected(std::move(guarded.error()));
  if (guarded->readable_by_others) return std::unexpected(std::move(*guarded->readable_by_others));
  return std::move(guarded->text);
}

Parsed<SecretText> read_secret_file_or_pipe(const std::filesystem::path& path) {
  OpenedFile opened{Descriptor(open_number(path))};
  if (auto refused = open_file(path, opened)) return std::unexpected(std::move(*refused));
  if (!opened.is_pipe()) return read_secret_file(path);
  // The writer of a pipe may be slow.
  fcntl(opened.file.number(), F_SETFL, 0);
  auto text = read_all(path, opened.file.number());
  if (!text) return text;
  return without_mark(std::move(*text));
}

Parsed<GuardedText> read_guarded_file(const std::filesystem::path& path) {
  OpenedFile opened{Descriptor(open_number(path))};
  if (auto refused = open_file(path, opened)) return std::unexpected(std::move(*refused));
  if (auto refused = refuse_kind_and_owner(path, opened.status)) return std::unexpected(std::move(*refused));
  if (auto refused = refuse_mode(path, opened.status, kOthersRead)) return std::unexpected(std::move(*refused));
  auto text = read_all(path, opened.file.number());
  if (!text) return std::unexpected(std::move(text.error()));
  const bool has_mark = text->view().starts_with(kByteOrderMark);
  return GuardedText{without_mark(std::move(*text)), has_mark, refuse_mode(path, opened.status, 0)};
}

namespace {

/// A user who can write in the directory can add keys and take some away. In a mount that can only be read no user
/// can, whatever its mode says: so orchestrators give secrets.
std::optional<InvalidInput> refuse_directory_mode(const std::filesystem::path& directory, const std::string& field) {
  struct stat status {};
  struct statvfs mount {};
  if (stat(directory.c_str(), &status) != 0) return InvalidInput{field, error_text(errno), "one that can be read"};
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return std::nullopt;
  if (statvfs(directory.c_str(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) return std::nullopt;
  return InvalidInput{field, "open to the writes of other users (mode " + octal(status.st_mode) + ")",
                      "closed to them: chmod go-w " + quoted(printable(directory.string(), 300))};
}

bool is_json(const std::filesystem::path& path) {
  auto extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return extension == ".json";
}

}  // namespace

Parsed<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  auto entry = std::filesystem::directory_iterator(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (is_json(entry->path())) files.push_back(entry->path());
  }
  const auto field = "the key directory " + printable(directory.string(), 300);
  if (error) return std::unexpected(InvalidInput{field, error.message(), "a directory that can be read"});
  if (auto refused = refuse_directory_mode(directory, field)) return std::unexpected(std::move(*refused));
  if (files.empty())
    return std::unexpected(InvalidInput{field, "without .json files", "a directory with at least one"});
  std::ranges::sort(files);
  return files;
}

}  // namespace hasigner::keys
