// Two signers share one pool of PostgreSQL connections, which the program sets up and closes itself, on a thread of its
// own.
//
//   custom_pool postgresql://USER:PASSWORD@HOST/DATABASE    (after: ha-signer migrate up --database-url …)

#include <hasigner/hasigner.hpp>
#include <iostream>
#include <thread>

using namespace hasigner;

namespace {

/// One thread that runs all asynchronous work of the program, the signers' protocol included.
class EventLoop {
 public:
  EventLoop() : thread_([this] { context_.run(); }) {}
  ~EventLoop() {
    guard_.reset();
    thread_.join();
  }
  [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(context_);
  std::thread thread_;
};

/// The program's own connections; the signers leave them open when they stop.
class Pool {
 public:
  Pool(const std::string& database_url, asio::any_io_executor executor) : executor_(executor) {
    postgres::PoolConfig settings;
    settings.url = database_url;
    settings.max = 20;
    settings.idle_timeout = std::chrono::seconds(30);
    auto created = SharedSqlPool::create(executor, settings);
    if (!created) throw StartupError(StartupError::Kind::kConfiguration, created.error().message());
    shared_ = *created;
  }
  ~Pool() { asio::co_spawn(executor_, shared_->close(), asio::use_future).get(); }

  [[nodiscard]] const std::shared_ptr<SharedSqlPool>& shared() const { return shared_; }

 private:
  asio::any_io_executor executor_;
  std::shared_ptr<SharedSqlPool> shared_;
};

/// A signer for one of two rollups, over the same connections.
std::unique_ptr<HaNode> make_signer(const std::string& node_id, const std::string& rollup,
                                    const std::string& database_url, asio::any_io_executor executor,
                                    std::shared_ptr<SharedSqlPool> pool) {
  HaSignerConfig config{
      .signer = {.node_id = NodeId::parse(node_id).value(), .rollup = EthAddress::parse(rollup).value()},
      .database_url = database_url,
      .pool = {}};
  HaSignerParts parts;
  parts.executor = executor;
  parts.sql_pool = std::move(pool);
  return create_ha_signer(std::move(config), std::move(parts));
}

SignRequest attestation(const SecretKey& key) {
  SignRequest request{.validator = address_of(key), .message_hash = {}, .context = {}};
  request.message_hash =
      MessageHash::parse("0x9c22ff5f21f0b81b113e63f7db6da94fedef11b2119b4088b89664fb9a3cb658").value();
  request.context.duty_type = DutyType::kAttestation;
  request.context.slot = Slot::from(100).value();
  return request;
}

/// A sign function may be a coroutine too, for example one that asks a remote signer. It must not block the event loop.
asio::awaitable<SignOutcome> sign_remotely(std::shared_ptr<const SecretKey> key, SignRequest request) {
  co_return sign(*key, request.message_hash);
}

/// The same with coroutines from end to end.
asio::awaitable<void> use(HaSigner& signer, std::string name, std::shared_ptr<const SecretKey> key) {
  const auto started = co_await signer.start();
  if (!started) {
    std::cerr << name << ": " << message(started.error()) << '\n';
    co_return;
  }
  const SignRequest request = attestation(*key);
  const SignFunction sign_function = [key](SignRequest asked) { return sign_remotely(key, std::move(asked)); };
  const auto duty = co_await signer.sign_with_protection(request, sign_function);
  std::cout << name << ": " << (duty ? duty->signature.to_string() : message(duty.error())) << '\n';
  co_await signer.stop();
}

void run(const std::string& database_url) {
  EventLoop loop;
  const Pool pool(database_url, loop.executor());
  const auto key = std::make_shared<const SecretKey>(
      SecretKey::parse("0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").value());
  const auto first = make_signer("validator-node-1", "0x5FbDB2315678afecb367f032d93F642f64180aa3", database_url,
                                 loop.executor(), pool.shared());
  const auto second = make_signer("validator-node-2", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", database_url,
                                  loop.executor(), pool.shared());
  auto first_done = asio::co_spawn(loop.executor(), use(first->signer(), "first", key), asio::use_future);
  auto second_done = asio::co_spawn(loop.executor(), use(second->signer(), "second", key), asio::use_future);
  first_done.get();
  second_done.get();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " POSTGRESQL_URL\n";
    return 2;
  }
  run(argv[1]);
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
