#include "hasigner/keys/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hasigner::keys {

namespace {

constexpr mode_t kOfOthers = S_IRWXG | S_IRWXO;

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

/// In quotes for a shell.
std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string octal(mode_t mode) {
  std::string digits;
  for (const int shift : {6, 3, 0}) digits.push_back(static_cast<char>('0' + (mode >> shift & 7)));
  return digits;
}

/// Judges the file that was opened, so that it cannot be exchanged in between.
Parsed<std::size_t> size_of_safe_file(const std::filesystem::path& path, int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return refuse(path, error_text(errno), "readable");
  if (!S_ISREG(status.st_mode)) return refuse(path, "not a regular file", "a regular file");
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return refuse(path, "the file of user " + std::to_string(status.st_uid),
                  "a file of the user who runs this program: chown " + std::to_string(geteuid()) + " " +
                      quoted(printable(path.string(), 300)));
  }
  if ((status.st_mode & kOfOthers) != 0) {
    return refuse(path, "open to other users (mode " + octal(status.st_mode) + ")",
                  "closed to them: chmod 600 " + quoted(printable(path.string(), 300)));
  }
  if (status.st_size > static_cast<off_t>(kMaxKeyFileBytes)) {
    return refuse(path, std::to_string(status.st_size) + " bytes",
                  "at most " + std::to_string(kMaxKeyFileBytes) + " bytes");
  }
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace

Parsed<SecretText> read_secret_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK a named pipe in its place would hold the program for ever.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.number() < 0) return refuse(path, error_text(errno), "a file that can be read");
  const auto size = size_of_safe_file(path, file.number());
  if (!size) return std::unexpected(size.error());
  SecretText text;
  text.resize(*size);
  std::size_t filled = 0;
  while (filled < *size) {
    const auto count = read(file.number(), text.writable() + filled, *size - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(path, error_text(errno), "a file that can be read");
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  text.resize(filled);
  return text;
}

Parsed<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  auto entry = std::filesystem::directory_iterator(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == ".json") files.push_back(entry->path());
  }
  const auto field = "the key directory " + printable(directory.string(), 300);
  if (error) return std::unexpected(InvalidInput{field, error.message(), "a directory that can be read"});
  if (files.empty())
    return std::unexpected(InvalidInput{field, "without .json files", "a directory with at least one"});
  std::ranges::sort(files);
  return files;
}

}  // namespace hasigner::keys
