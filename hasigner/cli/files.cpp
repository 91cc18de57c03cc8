#include "hasigner/cli/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "hasigner/cli/exit_code.hpp"

namespace hasigner::cli {

namespace {

[[noreturn]] void fail(const std::string& verb, const std::string& path, int error) {
  throw CommandError(ExitCode::kUsage, "cannot " + verb + " " + printable(path, 200) + ": " + std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }
  /// Closes the file and returns whether that worked: a full disk may become known only here.
  [[nodiscard]] bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

void write_all(int descriptor, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// The name of the file is on disk only when its folder is.
void sync_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::fsync(opened.get()) != 0) fail("write", path, errno);
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& beside)
      : name_(beside + ".XXXXXX"), descriptor_(::mkostemp(name_.data(), O_CLOEXEC)) {
    if (descriptor_.get() < 0) fail("write", beside, errno);
  }
  ~TemporaryFile() {
    if (!placed_) ::unlink(name_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void rename_to(const std::string& path) {
    if (::fsync(descriptor_.get()) != 0 || !descriptor_.close()) fail("write", path, errno);
    if (::rename(name_.c_str(), path.c_str()) != 0) fail("write", path, errno);
    placed_ = true;
    sync_folder_of(path);
  }
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }

 private:
  std::string name_;
  Descriptor descriptor_;
  bool placed_ = false;
};

}  // namespace

std::string read_file(const std::string& path, std::size_t limit) {
  const Descriptor file(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail("read", path, errno);
  std::string content;
  std::size_t filled = 0;
  while (true) {
    content.resize(std::min(limit + 1, filled + 65536));
    const ssize_t got = ::read(file.get(), content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > limit) {
      throw CommandError(ExitCode::kUsage, "cannot read " + printable(path, 200) + ": it is larger than " +
                                               std::to_string(limit) + " bytes");
    }
  }
  content.resize(filled);
  return content;
}

bool others_can_read(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

void write_private_file(const std::string& path, std::string_view content) {
  TemporaryFile file(path);  // mkostemp makes it for its owner only
  write_all(file.descriptor(), content, path);
  file.rename_to(path);
}

namespace {

void write_exclusively(const std::string& path, std::string_view content, mode_t mode) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (file.get() < 0) fail("write", path, errno);
  write_all(file.get(), content, path);
  if (::fsync(file.get()) != 0 || !file.close()) fail("write", path, errno);
  sync_folder_of(path);
}

}  // namespace

void write_new_file(const std::string& path, std::string_view content) {
  write_exclusively(path, content, 0666);
}

void write_new_private_file(const std::string& path, std::string_view content) {
  write_exclusively(path, content, 0600);
}

}  // namespace hasigner::cli
