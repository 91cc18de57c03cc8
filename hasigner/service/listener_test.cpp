#include "hasigner/service/listener.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <barrier>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

namespace hasigner::service {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;

struct ListenerTest : testing::Test {
  ListenerTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-listener-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    path = folder / "socket";
  }
  ~ListenerTest() override { fs::remove_all(folder); }

  [[nodiscard]] Listener open() const { return Listener::open(UnixAddress{path.string()}); }
  /// Leaves the file as a process does that is killed.
  void leave_an_abandoned_socket() const {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un address = address_of_path();
    ASSERT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ::close(descriptor);
  }
  [[nodiscard]] bool answers() const {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un address = address_of_path();
    const int failed = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    ::close(descriptor);
    return failed == 0;
  }

  fs::path folder, path;

 private:
  [[nodiscard]] sockaddr_un address_of_path() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    return address;
  }
};

TEST_F(ListenerTest, of_several_that_find_an_abandoned_socket_one_takes_its_place) {
  constexpr int kOpeners = 4;
  constexpr int kRounds = 500;
  std::array<std::optional<Listener>, kOpeners> opened;
  std::array<std::string, kOpeners> refusals;
  const auto judge = [&]() noexcept {
    EXPECT_EQ(std::ranges::count_if(opened, [](const auto& one) { return one.has_value(); }), 1);
    EXPECT_TRUE(answers());
    for (auto& one : opened) one.reset();
    EXPECT_FALSE(fs::exists(path));
    leave_an_abandoned_socket();
  };
  leave_an_abandoned_socket();
  std::barrier together(kOpeners);
  std::barrier judged(kOpeners, judge);
  std::vector<std::jthread> openers;
  for (std::size_t i = 0; i < kOpeners; ++i) {
    openers.emplace_back([&, i] {
      for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        together.arrive_and_wait();
        try {
          opened[i].emplace(open());
        } catch (const std::runtime_error& error) {
          refusals[i] = error.what();
        }
        judged.arrive_and_wait();
      }
    });
  }
  openers.clear();
  for (const auto& refusal : refusals) {
    EXPECT_THAT(refusal, AnyOf("", HasSubstr("the path is in use")));
  }
}

TEST_F(ListenerTest, that_goes_late_leaves_the_file_of_its_successor) {
  std::optional<Listener> first(open());
  ::close(first->release());
  const Listener second = open();
  first.reset();
  EXPECT_TRUE(answers());
}

TEST_F(ListenerTest, removes_its_file_when_it_goes) {
  { const Listener listener = open(); }
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(ListenerTest, does_not_wait_for_others_who_can_read_its_folder) {
  const int held = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX | LOCK_NB), 0);
  { const Listener listener = open(); }
  EXPECT_TRUE(fs::is_empty(folder));
  ::close(held);
}

}  // namespace
}  // namespace hasigner::service
