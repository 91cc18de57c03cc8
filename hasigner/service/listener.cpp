#include "hasigner/service/listener.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "hasigner/async/asio.hpp"

namespace hasigner::service {

namespace {

constexpr int kBacklog = 4'096;
/// Others hold the lock of a socket for a few system calls.
constexpr std::chrono::seconds kLockWait{2};
constexpr std::chrono::milliseconds kLockPause{1};

[[noreturn]] void fail(const std::string& address, const std::string& why) {
  throw std::runtime_error("cannot listen on " + printable(address, 200) + ": " + why);
}

std::string error_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// Closes what a failed attempt leaves.
Descriptor make_socket(int family) {
  return Descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/// Holds off others who make or remove the socket, so that the file that was found abandoned is the one that is
/// removed.
///
/// By a file beside the socket, which only this user can open: a lock of the folder could be held by everyone who can
/// read the folder. The file is there as long as it is locked.
class SocketLock {
 public:
  explicit SocketLock(const std::string& path) : path_(path + ".lock") {
    const auto end = std::chrono::steady_clock::now() + kLockWait;
    while (!(is_held_ = try_lock()) && error_ == EWOULDBLOCK && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kLockPause);
    }
  }
  ~SocketLock() {
    if (is_held_) ::unlink(path_.c_str());
  }
  SocketLock(const SocketLock&) = delete;
  SocketLock& operator=(const SocketLock&) = delete;

  [[nodiscard]] bool is_held() const { return is_held_; }
  [[nodiscard]] std::string why_not() const {
    if (error_ == EWOULDBLOCK) return "another program holds " + printable(path_, 200);
    if (error_ == EEXIST) return printable(path_, 200) + " is not a file of this user; remove it";
    return printable(path_, 200) + " cannot be made: " + error_text(error_);
  }

 private:
  bool try_lock() {
    file_.emplace(::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    struct stat opened {};
    struct stat named {};
    if (file_->get() < 0 || ::fstat(file_->get(), &opened) != 0) return fails_with(errno);
    if (!S_ISREG(opened.st_mode) || opened.st_uid != ::geteuid()) return fails_with(EEXIST);
    if (::flock(file_->get(), LOCK_EX | LOCK_NB) != 0) return fails_with(errno);
    // Its last holder may have removed it meanwhile.
    const bool is_there = ::lstat(path_.c_str(), &named) == 0 && named.st_ino == opened.st_ino;
    return is_there || fails_with(EWOULDBLOCK);
  }
  bool fails_with(int error) {
    error_ = error;
    return false;
  }

  std::string path_;
  std::optional<Descriptor> file_;
  bool is_held_ = false;
  int error_ = 0;
};

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Whether no process listens on the file of a socket any more.
bool is_abandoned(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  // A server with a full backlog would make a blocking probe wait.
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto address = unix_address(path);
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

/// Without the lock the file stays, and the next one to listen replaces it.
void remove_if_abandoned(const std::string& path) {
  const SocketLock lock(path);
  if (lock.is_held() && is_abandoned(path)) ::unlink(path.c_str());
}

int listen_on_path(const std::string& path) {
  const auto shown = "unix:" + path;
  const SocketLock lock(path);
  if (!lock.is_held()) fail(shown, lock.why_not());
  Descriptor socket = make_socket(AF_UNIX);
  if (socket.get() < 0) fail(shown, error_text(errno));
  if (is_abandoned(path)) ::unlink(path.c_str());
  const auto address = unix_address(path);
  // On Linux bind() gives the file the mode that the socket has at this moment.
  ::fchmod(socket.get(), S_IRUSR | S_IWUSR);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail(shown, errno == EADDRINUSE ? "the path is in use" : error_text(errno));
  }
  if (::listen(socket.get(), kBacklog) != 0) fail(shown, error_text(errno));
  return socket.release();
}

TcpAddress tcp_address_of(const asio::ip::tcp::endpoint& endpoint) {
  return {endpoint.address().to_string(), endpoint.port()};
}

std::optional<ListenAddress> bound_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  if (storage.ss_family == AF_UNIX) {
    const auto* const address = reinterpret_cast<const sockaddr_un*>(&storage);
    return UnixAddress{address->sun_path};
  }
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return std::nullopt;
  asio::ip::tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), &storage, size);
  endpoint.resize(size);
  return tcp_address_of(endpoint);
}

int listen_on_tcp(const TcpAddress& address) {
  const auto shown = to_string(address);
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(address.host), address.port);
  Descriptor socket = make_socket(endpoint.protocol().family());
  if (socket.get() < 0) fail(shown, error_text(errno));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    fail(shown, errno == EADDRINUSE ? "another program listens there" : error_text(errno));
  }
  if (::listen(socket.get(), kBacklog) != 0) fail(shown, error_text(errno));
  return socket.release();
}

}  // namespace

Listener::Listener(int descriptor, ListenAddress address, std::string made_file)
    : descriptor_(descriptor), address_(std::move(address)), made_file_(std::move(made_file)) {}

Listener Listener::open(const ListenAddress& address) {
  if (const auto* const path = std::get_if<UnixAddress>(&address)) {
    return {listen_on_path(path->path), address, path->path};
  }
  const int descriptor = listen_on_tcp(std::get<TcpAddress>(address));
  return {descriptor, bound_address(descriptor).value_or(address), ""};
}

Listener Listener::adopt(int descriptor) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  const bool is_socket = ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0;
  const auto address = bound_address(descriptor);
  if (!is_socket || listens == 0 || !address) {
    fail("descriptor " + std::to_string(descriptor), "it is not a listening TCP or Unix stream socket");
  }
  return {descriptor, *address, ""};
}

Listener::~Listener() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!made_file_.empty()) remove_if_abandoned(made_file_);
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      address_(std::move(other.address_)),
      made_file_(std::exchange(other.made_file_, "")) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(address_, other.address_);
  std::swap(made_file_, other.made_file_);
  return *this;
}

int Listener::release() {
  return std::exchange(descriptor_, -1);
}

}  // namespace hasigner::service
