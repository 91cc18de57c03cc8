#include "bench/bench_service.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "bench/bench_duties.hpp"
#include "hasigner/crypto/eip712.hpp"
#include "hasigner/keys/open_key_store.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/signing_service.hpp"

namespace hasigner::bench {

namespace {

using Json = nlohmann::ordered_json;
using SteadyClock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;
namespace tcp = boost::asio::ip;

constexpr std::size_t kWarmUp = 200;
constexpr std::size_t kPerRequest = 1'000;
constexpr std::size_t kConnections = 4;
constexpr std::size_t kRequestsInTurn = 2 * kConnections;

/// A folder with a keystore file of the bench's keys; removed with its object.
class KeyFolder {
 public:
  KeyFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ha-signer-bench-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make a folder for keys");
    path_ = name;
    auto validators = Json::array();
    for (std::size_t i = 0; i < kValidators; ++i) {
      std::array<char, 67> key{};
      std::snprintf(key.data(), key.size(), "0x%064zx", i + 1);
      validators.push_back({{"attester", key.data()}, {"feeRecipient", "0x" + std::string(64, '1')}});
    }
    const auto file = path_ / "keys.json";
    std::ofstream(file) << Json{{"schemaVersion", 1}, {"validators", std::move(validators)}};
    ::chmod(file.c_str(), S_IRUSR | S_IWUSR);
  }
  ~KeyFolder() { std::filesystem::remove_all(path_); }
  KeyFolder(const KeyFolder&) = delete;
  KeyFolder& operator=(const KeyFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

HaSignerConfig signer_config(const Options& options, const std::string& node_id) {
  HaSignerConfig config{.signer = {.node_id = *NodeId::parse(node_id), .rollup = bench_rollup()},
                        .database_url = options.database_url,
                        .pool = {},
                        .allow_ephemeral = true};
  config.pool.max = options.pool;
  return config;
}

std::unique_ptr<service::SigningService> open_service(
    const Options& options, const KeyFolder& keys,
    const std::optional<std::filesystem::path>& clients_file = std::nullopt) {
  service::ServiceConfig config{.signer = signer_config(options, options.node_id + "-service")};
  config.clients_file = clients_file;
  config.keys.paths = {keys.path()};
  config.chain_id = 1;
  config.listen = {service::TcpAddress{"127.0.0.1", 0}};
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto log = std::make_shared<service::Log>(null, service::LogFormat::kJson);
  return std::make_unique<service::SigningService>(std::move(config), log);
}

std::string address_of_key(std::size_t validator) {
  static const BenchKeys keys;
  return keys.address(validator).to_string();
}

/// A message of its own for each duty, so that no signature is like another.
std::string message_of(std::uint64_t number) {
  std::array<char, 35> text{};
  std::snprintf(text.data(), text.size(), "0x%032llx", static_cast<unsigned long long>(number));
  return text.data();
}

std::string sign_request(std::size_t validator, std::uint64_t slot) {
  return R"({"validator":")" + address_of_key(validator) + R"(","context":{"dutyType":"ATTESTATION","slot":)" +
         std::to_string(slot) + R"(},"message":")" + message_of(slot * kValidators + validator) + R"("})";
}

std::string request_text(const std::string& body, const std::string& token = "") {
  return "POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") +
         "\r\n" + body;
}

/// A client that waits for each answer.
class Client {
 public:
  explicit Client(const service::SigningService& service) : socket_(context_) {
    const auto& address = std::get<service::TcpAddress>(service.addresses().front());
    socket_.connect({tcp::make_address(address.host), address.port});
    socket_.set_option(tcp::tcp::no_delay(true));
  }

  /// The body of the answer; throws for one that is not 200.
  std::string ask(const std::string& request) {
    asio::write(socket_, asio::buffer(request));
    std::string text;
    std::size_t header_end = std::string::npos;
    while (header_end == std::string::npos) {
      receive(text);
      header_end = text.find("\r\n\r\n");
    }
    if (!text.starts_with("HTTP/1.1 200 ")) throw std::runtime_error("the service answered: " + text.substr(0, 400));
    const auto length_at = text.find("Content-Length: ") + 16;
    const auto size = header_end + 4 + std::stoul(text.substr(length_at));
    while (text.size() < size) receive(text);
    return text.substr(header_end + 4);
  }

 private:
  void receive(std::string& text) {
    const auto got = socket_.read_some(asio::buffer(piece_));
    text.append(piece_.data(), got);
  }

  asio::io_context context_;
  tcp::tcp::socket socket_;
  std::array<char, 65536> piece_{};
};

/// The nearest rank.
double percentile(std::vector<double> samples, std::size_t percent) {
  std::ranges::sort(samples);
  return samples.at((samples.size() * percent + 99) / 100 - 1);
}

double median(std::vector<double> samples) {
  return percentile(std::move(samples), 50);
}

double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

template <class Call>
double timed_ms(Call call) {
  const auto start = SteadyClock::now();
  call();
  return Milliseconds(SteadyClock::now() - start).count();
}

std::uint64_t slot_of_now() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

/// The same duty as sign_request() puts it to the service.
keys::KeyStoreRequest library_request(std::size_t validator, std::uint64_t slot) {
  std::vector<std::uint8_t> bytes(16);
  const auto text = message_of(slot * kValidators + validator);
  if (!from_hex(std::string_view(text).substr(2), bytes)) throw std::runtime_error("not a message");
  return {*EthAddress::parse(address_of_key(validator)),
          std::make_shared<const keys::Payload>(keys::PersonalMessage{std::move(bytes)}),
          SigningContext{.duty_type = DutyType::kAttestation, .slot = *Slot::from(slot)}};
}

/// What the service does, without HTTP: the same keys behind the same key store, called from another thread.
class Library {
 public:
  Library(const Options& options, const KeyFolder& keys)
      : node_(create_ha_signer(signer_config(options, options.node_id))) {
    const keys::KeyStoreExecutors executors{node_->executor(), node_->work_executor()};
    keys::KeyStoreSettings settings;
    settings.paths = {keys.path()};
    auto opened = node_->run(keys::open_key_store(settings, executors));
    if (!opened) throw std::runtime_error(opened.error().reason);
    store_ = std::make_unique<keys::HaKeyStore>(*opened, node_->signer());
    const auto started = node_->signer().start_blocking();
    if (!started) throw std::runtime_error(message(started.error()));
  }

  void sign(const keys::KeyStoreRequest& request) {
    const auto signature = node_->run(store_->sign(request.attester, request.payload, request.context));
    if (!signature) throw std::runtime_error(message(signature.error()));
  }

  void sign_many(const std::vector<keys::KeyStoreRequest>& requests) {
    for (const auto& signature : node_->run(store_->sign_many(requests))) {
      if (!signature) throw std::runtime_error(message(signature.error()));
    }
  }

 private:
  std::unique_ptr<HaNode> node_;
  std::unique_ptr<keys::HaKeyStore> store_;
};

}  // namespace

Json measure_service_one(const Options& options) {
  const KeyFolder keys;
  Library library(options, keys);
  const auto service = open_service(options, keys);
  Client client(*service);
  const auto slot = slot_of_now();
  std::vector<double> library_ms, service_ms;
  for (std::size_t i = 0; i < kWarmUp + *options.duties; ++i) {
    // In turns, so that other load of the machine affects both alike.
    const auto validator = i % kValidators;
    const auto request = request_text(sign_request(validator, slot + 2 * (i / kValidators) + 1));
    const auto duty = library_request(validator, slot + 2 * (i / kValidators));
    const auto direct = timed_ms([&] { library.sign(duty); });
    const auto by_http = timed_ms([&] { client.ask(request); });
    if (i < kWarmUp) continue;
    library_ms.push_back(direct);
    service_ms.push_back(by_http);
  }
  const auto library_p50 = median(std::move(library_ms)), service_p50 = median(std::move(service_ms));
  return {{"library_p50_ms", rounded(library_p50)},
          {"service_p50_ms", rounded(service_p50)},
          {"added_p50_ms", rounded(service_p50 - library_p50)}};
}

namespace {

/// Calls send(caller, number) for each number below `count` from as many threads as there are connections; returns how
/// long that took, in ms. An exception of a call is thrown here.
template <class Send>
double timed_in_parallel_ms(std::size_t count, Send send) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<void>> callers;
  return timed_ms([&] {
    for (std::size_t caller = 0; caller < kConnections; ++caller) {
      callers.push_back(std::async(std::launch::async, [&, caller] {
        for (auto number = next++; number < count; number = next++) send(caller, number);
      }));
    }
    for (auto& caller : callers) caller.get();
  });
}

void ask_for_all(Client& client, const std::string& request) {
  if (client.ask(request).contains("\"problem\"")) {
    throw std::runtime_error("the service refused duties that no node had signed");
  }
}

/// A duty of every validator for each slot from `slot` on.
std::vector<std::string> many_duties_requests(std::size_t count, std::uint64_t slot, const std::string& token = "") {
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < count; ++i) {
    std::string list;
    for (std::size_t j = 0; j < kPerRequest; ++j) list += (j > 0 ? "," : "") + sign_request(j, slot + i);
    requests.push_back(request_text(R"({"duties":[)" + list + "]}", token));
  }
  return requests;
}

std::vector<std::vector<keys::KeyStoreRequest>> many_library_requests(std::size_t count, std::uint64_t slot) {
  std::vector<std::vector<keys::KeyStoreRequest>> requests(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < kPerRequest; ++j) requests[i].push_back(library_request(j, slot + i));
  }
  return requests;
}

}  // namespace

Json measure_service_many(const Options& options) {
  const KeyFolder keys;
  Library library(options, keys);
  const auto service = open_service(options, keys);
  std::deque<Client> clients;
  for (std::size_t i = 0; i < kConnections; ++i) clients.emplace_back(*service);
  const auto requests_of_each = std::max<std::size_t>(1, *options.duties / kPerRequest);
  auto slot = slot_of_now();
  double library_ms = 0, service_ms = 0;
  const auto take_turns = [&](std::size_t count) {
    const auto to_library = many_library_requests(count, slot);
    const auto to_service = many_duties_requests(count, slot + count);
    slot += 2 * count;
    library_ms += timed_in_parallel_ms(count, [&](auto, auto number) { library.sign_many(to_library[number]); });
    service_ms += timed_in_parallel_ms(
        count, [&](auto caller, auto number) { ask_for_all(clients[caller], to_service[number]); });
  };
  take_turns(kConnections);  // the warm-up
  library_ms = service_ms = 0;
  for (std::size_t done = 0; done < requests_of_each; done += kRequestsInTurn) {
    // In turns, so that other load of the machine affects both alike.
    take_turns(std::min(kRequestsInTurn, requests_of_each - done));
  }
  const auto per_s = [&](double ms) {
    return rounded(static_cast<double>(requests_of_each * kPerRequest) * 1000 / ms);
  };
  return {{"per_request", kPerRequest},
          {"connections", kConnections},
          {"library_per_s", per_s(library_ms)},
          {"duties_per_s", per_s(service_ms)},
          {"of_library", rounded(library_ms / service_ms)}};
}

namespace {

/// Two clients of the service, in a clients file.
struct TwoClients {
  explicit TwoClients(const KeyFolder& folder) : file(folder.path() / "clients") {
    std::ofstream(file) << "honest " << honest.credential << " sign\ngreedy " << greedy.credential << " sign\n";
    ::chmod(file.c_str(), S_IRUSR | S_IWUSR);
  }

  service::NewToken honest = service::make_token();
  service::NewToken greedy = service::make_token();
  std::filesystem::path file;
};

/// Asks for a thousand duties at a time over several connections until it is destroyed.
class GreedyClient {
 public:
  GreedyClient(const service::SigningService& service, const std::string& token, std::uint64_t slot) {
    for (std::size_t i = 0; i < kConnections; ++i) {
      threads_.emplace_back([this, &service, token, slot, i](const std::stop_token& stop) {
        Client client(service);
        for (auto at = slot + i; !stop.stop_requested(); at += kConnections) {
          ask_for_all(client, many_duties_requests(1, at, token).front());
          signed_ += kPerRequest;
        }
      });
    }
  }
  ~GreedyClient() {
    for (auto& thread : threads_) thread.request_stop();
  }
  GreedyClient(const GreedyClient&) = delete;
  GreedyClient& operator=(const GreedyClient&) = delete;
  [[nodiscard]] std::size_t duties() const { return signed_; }

 private:
  std::atomic<std::size_t> signed_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

Json measure_service_fair(const Options& options) {
  constexpr std::size_t kTurns = 4;
  const KeyFolder keys;
  const KeyFolder other;  // the clients file must not stand among keystore files
  const TwoClients clients(other);
  const auto service = open_service(options, keys, clients.file);
  Client honest(*service);
  auto slot = slot_of_now();
  std::size_t asked = 0, greedy_duties = 0;
  double greedy_ms = 0;
  const auto sign_some = [&](std::size_t count, std::vector<double>& into) {
    for (std::size_t i = 0; i < count; ++i, ++asked) {
      const auto request =
          request_text(sign_request(asked % kValidators, slot + asked / kValidators), clients.honest.token);
      into.push_back(timed_ms([&] { honest.ask(request); }));
    }
  };
  std::vector<double> warm_up, alone_ms, beside_ms;
  sign_some(kWarmUp, warm_up);
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    // In turns, so that other load of the machine affects both alike.
    sign_some(*options.duties / kTurns, alone_ms);
    const GreedyClient greedy(*service, clients.greedy.token, slot + (turn + 1) * 1'000'000);
    sign_some(kWarmUp, warm_up);
    const auto before = greedy.duties();
    greedy_ms += timed_ms([&] { sign_some(*options.duties / kTurns, beside_ms); });
    greedy_duties += greedy.duties() - before;
  }
  const auto alone = percentile(alone_ms, 95), beside = percentile(beside_ms, 95);
  return {{"alone_p50_ms", rounded(median(alone_ms))},
          {"alone_p95_ms", rounded(alone)},
          {"beside_p50_ms", rounded(median(beside_ms))},
          {"beside_p95_ms", rounded(beside)},
          {"times_alone", rounded(beside / alone)},
          {"greedy_per_s", rounded(static_cast<double>(greedy_duties) * 1000 / greedy_ms)}};
}

namespace {

/// Typed data of one field whose items are all this value.
std::string typed_data(const std::string& types, const std::string& type, const std::string& item, std::size_t count) {
  std::string items;
  for (std::size_t i = 0; i < count; ++i) items += (i > 0 ? "," : "") + item;
  return R"({"types":{"One":[{"name":"it","type":")" + type + R"("}])" + types +
         R"(},"primaryType":"One","domain":{},"message":{"it":[)" + items + "]}}";
}

struct Document {
  const char* name;
  std::string types, type, item;
};

std::vector<Document> documents() {
  std::string fields, values;
  for (int i = 0; i < 100; ++i) {
    const auto name = R"("f)" + std::to_string(i) + R"(")";
    fields += (i > 0 ? "," : "") + (R"({"name":)" + name + R"(,"type":"uint256"})");
    values += (i > 0 ? "," : "") + name + ":1";
  }
  const std::string name(200, 'A');
  return {{"numbers", "", "uint256[]", "1234567890"},
          {"structs_of_100", R"(,"Many":[)" + fields + "]", "Many[]", "{" + values + "}"},
          {"long_names", R"(,")" + name + R"(":[])", name + "[]", "{}"},
          {"texts", "", "string[]", R"(")" + std::string(1'000, 'a') + R"(")"}};
}

double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// CPU time, the least of several: other load of the machine only adds.
double reading_ms(const Document& document, std::size_t bytes) {
  const auto text = typed_data(document.types, document.type, document.item, bytes / (document.item.size() + 1));
  double least = 1e9;
  for (int i = 0; i < 9; ++i) {
    const auto start = thread_ms();
    if (const auto read = parse_typed_data(text); !read) throw std::runtime_error(read.error().message());
    least = std::min(least, thread_ms() - start);
  }
  return least;
}

}  // namespace

Json measure_service_hashing(const Options&) {
  constexpr std::size_t kBytes = 100'000;
  Json figures;
  double highest = 0;
  for (const auto& document : documents()) {
    const auto once = reading_ms(document, kBytes), twice = reading_ms(document, 2 * kBytes);
    figures[std::string(document.name) + "_ms"] = rounded(once);
    figures[std::string(document.name) + "_twice"] = rounded(twice / once);
    highest = std::max(highest, twice / once);
  }
  figures["twice_the_size"] = rounded(highest);
  return figures;
}

}  // namespace hasigner::bench
