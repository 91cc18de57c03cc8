#include "tests/support/web3signer_server.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace hasigner::test {

namespace {

std::filesystem::path make_folder() {
  std::string path = (std::filesystem::temp_directory_path() / "hasigner-web3signer-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  return path;
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  return ends;
}

}  // namespace

Web3SignerServer::Web3SignerServer(const std::vector<std::string>& addresses) : folder_(make_folder()) {
  const std::string script = HASIGNER_TEST_SUPPORT "/web3signer_server.py";
  std::vector<std::string> words = {"python3", "-B", script, folder_, HASIGNER_VECTORS "/typed_data.json"};
  words.insert(words.end(), addresses.begin(), addresses.end());
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  const auto [child_in, in] = make_pipe();
  const auto [out, child_out] = make_pipe();
  process_ = fork();
  if (process_ == 0) {
    dup2(child_in, STDIN_FILENO);
    dup2(child_out, STDOUT_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(child_in);
  close(child_out);
  to_ = fdopen(in, "w");
  from_ = fdopen(out, "r");
  if (process_ < 0 || !to_ || !from_) throw std::runtime_error("cannot start " + script);
  const auto ready = nlohmann::json::parse(read_line());
  ports_ = ready.at("ports").get<std::map<std::string, int>>();
  client_password_ = ready.at("client_password");
}

Web3SignerServer::~Web3SignerServer() {
  if (to_) std::fclose(to_);
  if (from_) std::fclose(from_);
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Web3SignerServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port("http")) + "/" + path;
}

std::string Web3SignerServer::tls_url(const std::string& name, const std::string& path) const {
  return "https://localhost:" + std::to_string(port(name)) + "/" + path;
}

std::map<std::string, int> Web3SignerServer::counts() {
  std::fputs("counts\n", to_);
  std::fflush(to_);
  return nlohmann::json::parse(read_line()).get<std::map<std::string, int>>();
}

std::string Web3SignerServer::read_line() {
  std::string line;
  for (int c = std::fgetc(from_); c != '\n'; c = std::fgetc(from_)) {
    if (c == EOF) throw std::runtime_error("the remote signer of the test has ended");
    line.push_back(static_cast<char>(c));
  }
  return line;
}

}  // namespace hasigner::test
