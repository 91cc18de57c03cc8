#include "hasigner/service/signing_service.hpp"

#include <malloc.h>

#include <algorithm>

#include "hasigner/crypto/secret_pages.hpp"
#include "hasigner/keys/ha_key_store.hpp"
#include "hasigner/protection/journaled_store.hpp"
#include "hasigner/service/application.hpp"
#include "hasigner/service/http_server.hpp"

namespace hasigner::service {

namespace {

/// How long stop() waits for a reload: opening one key may take this long.
constexpr milliseconds kBetweenLooksAtReload{20};
constexpr milliseconds kReloadEndsWithin{10'000};
constexpr milliseconds kReloadLook{5};
/// How long a claim that its client has left counts among its open ones.
constexpr auto kClaimsRemembered = std::chrono::hours(1);
/// The C library keeps the memory of large bodies and answers; after so many bytes of them it is given back.
constexpr std::uint64_t kBytesUntilTrim = 16 * 1024 * 1024;
constexpr std::uint64_t kBytesUntilTrimAtRest = 64 * 1024;
constexpr std::size_t kHeldAtRest = 1024 * 1024;
constexpr milliseconds kBetweenTrims{5'000};
/// What each thread's arena may keep unused at its end, and from which size on memory is not taken from an arena.
/// malloc_trim() does not shrink an arena, and by default one may keep 64 MiB after it has freed something large.
constexpr int kKeptByArena = 4 * 1024 * 1024;
constexpr int kOutsideArenas = 1024 * 1024;

[[noreturn]] void refuse(const std::string& sentence) {
  throw StartupError(StartupError::Kind::kConfiguration, sentence);
}

[[noreturn]] void fail(const SigningError& error) {
  const bool may_get_better = std::holds_alternative<Unavailable>(error);
  throw StartupError(may_get_better ? StartupError::Kind::kUnavailable : StartupError::Kind::kConfiguration,
                     message(error));
}

void check_exposure(const ServiceConfig& config, const std::vector<Listener>& listeners) {
  const Exposure exposure{.has_tls = config.tls.has_value(),
                          .plain_http_allowed = config.allow_plain_http,
                          .knows_clients = config.clients_file.has_value()};
  for (const auto& listener : listeners) {
    if (const auto refusal = refuse_exposure(listener.address(), exposure)) refuse(*refusal);
  }
}

std::vector<Listener> open_listeners(const ServiceConfig& config) {
  std::vector<Listener> listeners;
  try {
    for (const int descriptor : config.inherited_sockets) listeners.push_back(Listener::adopt(descriptor));
    for (const auto& address : config.listen) listeners.push_back(Listener::open(address));
  } catch (const std::runtime_error& error) {
    refuse(error.what());
  }
  if (listeners.empty()) refuse("the service has no address to listen on: give --listen");
  check_exposure(config, listeners);
  return listeners;
}

std::shared_ptr<const Clients> load_clients(const std::optional<std::filesystem::path>& file) {
  if (!file) return std::make_shared<const Clients>(Clients::without_file());
  auto clients = Clients::load(*file);
  if (!clients) throw std::runtime_error(clients.error().message());
  return std::make_shared<const Clients>(std::move(*clients));
}

std::shared_ptr<const TlsContext> load_tls(const std::optional<TlsFiles>& files) {
  return files ? std::make_shared<const TlsContext>(*files) : nullptr;
}

template <class T>
T at_start(T (*load)(const std::optional<std::filesystem::path>&), const std::optional<std::filesystem::path>& file) {
  try {
    return load(file);
  } catch (const std::runtime_error& error) {
    refuse(error.what());
  }
}

std::shared_ptr<const TlsContext> tls_at_start(const std::optional<TlsFiles>& files) {
  try {
    return load_tls(files);
  } catch (const std::runtime_error& error) {
    refuse(error.what());
  }
}

std::shared_ptr<keys::BaseKeyStore> keys_at_start(HaNode& node, const keys::KeyStoreSettings& settings) {
  const keys::KeyStoreExecutors executors{node.executor(), node.work_executor()};
  auto opened = node.run(keys::open_key_store(settings, executors));
  if (opened) return *opened;
  const bool may_get_better = opened.error().kind == keys::KeyStoreError::Kind::kUnavailable;
  throw StartupError(may_get_better ? StartupError::Kind::kUnavailable : StartupError::Kind::kConfiguration,
                     opened.error().reason);
}

std::shared_ptr<AuditLog> audit_at_start(const ServiceConfig& config, const std::shared_ptr<Log>& log) {
  if (!config.audit_log) return nullptr;
  const std::vector<LogField> about = {{"node", config.signer.signer.node_id.str()}, {"version", config.version}};
  return std::make_shared<AuditLog>(*config.audit_log, about, log);
}

struct LoadedAnew {
  std::string what;
  ReloadChanges changes;
};

std::vector<std::string> without(const std::vector<EthAddress>& all, std::vector<EthAddress> others) {
  std::ranges::sort(others);
  std::vector<std::string> left;
  for (const auto& one : all) {
    if (!std::ranges::binary_search(others, one)) left.push_back(one.to_string());
  }
  return left;
}

void add_changes(const std::vector<EthAddress>& before, const std::vector<EthAddress>& after, ReloadChanges& changes) {
  changes.attesters_added = without(after, before);
  changes.attesters_removed = without(before, after);
}

std::string in_one_line(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::shared_ptr<ServiceMetrics> metrics_of(const ServiceConfig& config) {
  return std::make_shared<ServiceMetrics>(config.signer.signer.node_id, config.version);
}

}  // namespace

std::optional<std::string> refuse_exposure(const ListenAddress& address, const Exposure& exposure) {
  if (is_local(address)) return std::nullopt;
  const auto shown = to_string(address);
  if (!exposure.has_tls && !exposure.plain_http_allowed) {
    return shown +
           " can be reached from other machines, so it needs TLS: give --tls-certificate and --tls-key. Without TLS "
           "a reader of the traffic can take the clients' tokens and change what is signed; --allow-plain-http "
           "accepts that";
  }
  if (!exposure.knows_clients) {
    return shown + " can be reached from other machines, so it must know its clients: give --clients-file";
  }
  return std::nullopt;
}

/// The server and the application are used on the node's executor only.
struct SigningService::State : std::enable_shared_from_this<State> {
  State(ServiceConfig config_in, std::shared_ptr<Log> log_in)
      : config(std::move(config_in)),
        log(std::move(log_in)),
        metrics(metrics_of(config)),
        health(config.health ? std::make_shared<NodeHealth>(config.health->rules) : nullptr) {}

  [[nodiscard]] keys::KeyStoreSettings key_settings() const {
    auto settings = config.keys;
    settings.warn = [log = log](const std::string& what) {
      log->write(LogLevel::kWarning, "publishers_unavailable", {{"meaning", what}});
    };
    return settings;
  }

  void audit_action(std::string event, std::vector<LogField> fields) {
    if (audit) audit->note({std::move(event), std::move(fields)});
  }

  /// Loads everything before it replaces anything, so that an error changes nothing.
  static asio::awaitable<std::expected<std::string, std::string>> reload_all(std::shared_ptr<State> self,
                                                                             std::string by) {
    auto& administration = *self->administration;
    // Also while another one runs, which may have begun before the file was renamed.
    if (self->audit) self->audit->reopen();
    if (administration.reloading) co_return std::unexpected(std::string("another reload is running"));
    administration.reloading = true;
    self->log->write(LogLevel::kInfo, "reloading", {});
    ReloadReport report{.began_at = std::chrono::system_clock::now(), .by = std::move(by)};
    std::expected<LoadedAnew, std::string> loaded;
    try {
      loaded = co_await load_all(self);
    } catch (...) {
      loaded = std::unexpected(describe_current_exception("the reload"));
    }
    administration.reloading = false;
    report.ended_at = std::chrono::system_clock::now();
    report.succeeded = loaded.has_value();
    report.what = loaded ? loaded->what : loaded.error();
    if (loaded) report.changes = std::move(loaded->changes);
    self->tell(report);
    administration.last_reload = report;
    if (!report.succeeded) administration.last_failed_reload = report;
    if (!report.succeeded) co_return std::unexpected(std::move(report.what));
    co_return std::move(report.what);
  }

  void tell(const ReloadReport& report) {
    const std::string event = report.succeeded ? "reloaded" : "reload_failed";
    log->write(report.succeeded ? LogLevel::kInfo : LogLevel::kError, event, {{"what", report.what}});
    const auto& changes = report.changes;
    audit_action("reload", {{"by", report.by},
                            {"outcome", event},
                            {"what", report.what},
                            {"attestersAdded", in_one_line(changes.attesters_added)},
                            {"attestersRemoved", in_one_line(changes.attesters_removed)},
                            {"clientsAdded", in_one_line(changes.clients_added)},
                            {"clientsRemoved", in_one_line(changes.clients_removed)},
                            {"clientsChanged", in_one_line(changes.clients_changed)}});
  }

  /// Reloads again as long as a reload was requested meanwhile.
  static asio::awaitable<void> reload_until_current(std::shared_ptr<State> self) {
    asio::steady_timer timer(self->node->executor());
    while (!self->waiting_for_reload.empty() && !self->ending.stop_requested()) {
      // A client has begun it, perhaps before the files were changed of which the signal tells.
      while (self->administration->reloading && !self->ending.stop_requested()) {
        timer.expires_after(kBetweenLooksAtReload);
        co_await timer.async_wait(asio::use_awaitable);
      }
      const auto waiting = std::exchange(self->waiting_for_reload, {});
      auto reloading = reload_all(self, "a signal");
      [[maybe_unused]] const auto outcome = co_await std::move(reloading);
      for (const auto& ended : waiting) ended();
    }
    self->serves_reloads = false;
  }

  static void begin_reload(const std::shared_ptr<State>& self, std::function<void()> ended) {
    self->waiting_for_reload.push_back(std::move(ended));
    if (std::exchange(self->serves_reloads, true)) return;
    spawn_loop(
        self->node->executor(), "the reload", [self] { return reload_until_current(self); }, report_to(self->log));
  }

  static asio::awaitable<void> notify_service_manager(std::weak_ptr<State> weak, asio::any_io_executor executor,
                                                      milliseconds period, std::function<void()> alive) {
    asio::steady_timer timer(executor);
    while (!weak.expired()) {
      alive();
      timer.expires_after(period);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  static asio::awaitable<void> give_back_memory(std::weak_ptr<State> weak, asio::any_io_executor executor) {
    asio::steady_timer timer(executor);
    std::uint64_t seen = 0, trimmed_at = 0, rested_at = 0;
    for (;;) {
      timer.expires_after(kBetweenTrims);
      co_await timer.async_wait(asio::use_awaitable);
      const auto self = weak.lock();
      if (!self) co_return;
      const auto& server = *self->server;
      const auto handled = server.bytes_handled();
      // What is parsed takes many times its bytes, so the memory of a few is given back, too, once nothing moves.
      const bool rests = handled == std::exchange(seen, handled) && server.bytes_held() <= kHeldAtRest;
      const auto not_given_back = handled - (rests ? rested_at : trimmed_at);
      if (not_given_back < (rests ? kBytesUntilTrimAtRest : kBytesUntilTrim)) continue;
      trimmed_at = handled;
      if (rests) rested_at = handled;
      asio::post(self->node->work_executor(), [] { ::malloc_trim(0); });
    }
  }

  static asio::awaitable<std::expected<LoadedAnew, std::string>> load_all(std::shared_ptr<State> self) {
    std::shared_ptr<const Clients> clients;
    std::shared_ptr<const TlsContext> certificates;
    try {
      clients = load_clients(self->config.clients_file);
      certificates = load_tls(self->config.tls);
    } catch (const std::runtime_error& error) {
      co_return std::unexpected(std::string(error.what()));
    }
    // An encrypted key takes a second, and there may be hundreds. Duties must not wait for them.
    asio::thread_pool thread(1);
    const keys::KeyStoreExecutors executors{self->node->executor(), self->node->work_executor(),
                                            asio::any_io_executor(thread.get_executor())};
    auto settings = self->key_settings();
    settings.stop = self->ending.get_token();
    auto opened = co_await keys::open_key_store(std::move(settings), executors);
    if (!opened) co_return std::unexpected(opened.error().reason);
    if (auto refused = self->refuse_rights(*clients)) co_return std::unexpected(std::move(*refused));
    auto changes = self->application->changes_by(*clients);
    add_changes(self->keys->attester_addresses(), (*opened)->attester_addresses(), changes);
    self->keys->replace_base(*opened);
    self->warn_of_swapping();
    self->warn_of_doubts(**opened);
    self->application->replace_clients(clients);
    self->tls = certificates;
    co_return LoadedAnew{std::to_string((*opened)->attester_addresses().size()) + " attesters, " +
                             std::to_string(clients->size()) + " clients" + (certificates ? ", certificate" : ""),
                         std::move(changes)};
  }

  static asio::awaitable<void> listen(std::shared_ptr<State> self, std::vector<Listener> listeners) {
    const auto current = [state = self.get()] { return state->tls; };
    for (auto& listener : listeners) {
      const bool speaks_tls = self->tls && std::holds_alternative<TcpAddress>(listener.address());
      self->server->listen(std::move(listener), speaks_tls ? std::function(current) : nullptr);
    }
    co_return;
  }

  static asio::awaitable<void> drain(std::shared_ptr<State> self) {
    self->application->begin_to_drain();
    co_await self->server->drain(self->config.drain_grace);
    // A reload ends at the next key. Only a call to a remote signer may take longer.
    asio::steady_timer timer(self->node->executor());
    const auto give_up_at = std::chrono::steady_clock::now() + kReloadEndsWithin;
    while (self->administration->reloading && std::chrono::steady_clock::now() < give_up_at) {
      timer.expires_after(kReloadLook);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  /// Rights that this service cannot serve.
  [[nodiscard]] std::optional<std::string> refuse_rights(const Clients& clients) const {
    const auto name = clients.any_with({Right::kClaimed});
    if (!name || node->claimed_messages()) return std::nullopt;
    return "client " + *name +
           " has the right claimed, which signs what the client's node has claimed in a PostgreSQL database that it "
           "shares with this service; this service keeps its duties in " +
           node->shown_url() + ", which no such node can share: give --database-url, or remove the right";
  }

  /// Keys work without locked memory, but the operator must know.
  void warn_of_swapping() {
    const auto pages = SecretPages::of_keys()->count();
    if (pages.unlocked == 0 || std::exchange(warned_of_swapping, true)) return;
    log->write(
        LogLevel::kWarning, "keys_may_be_swapped",
        {{"meaning", std::to_string(pages.unlocked) + " of " + std::to_string(pages.all) +
                         " memory pages with keys could not be locked, so keys may be written to swap: raise the "
                         "limit of locked memory (LimitMEMLOCK=, ulimit -l; 128 keys take 4 KiB), allow mlock, "
                         "or run without swap"}});
  }

  void warn_of_doubts(const keys::BaseKeyStore& opened) {
    for (const auto& doubt : opened.doubts()) log->write(LogLevel::kWarning, "keystore_in_doubt", {{"what", doubt}});
  }

  /// On the node's executor.
  void note_health(NodeHealth::Outcome outcome) {
    if (!health->note(std::move(outcome))) return;
    const std::string shown = shown_url_of(*config.health);
    if (health->is_healthy()) return log->write(LogLevel::kInfo, "healthy", {{"health_url", shown}});
    const auto& rules = health->rules();
    const auto does = rules.action == NodeHealth::Action::kRefuse
                          ? std::string("refuses new duties")
                          : "holds new duties back for " + std::to_string(rules.delay.count()) + " ms more";
    log->write(LogLevel::kWarning, "unhealthy",
               {{"health_url", shown}, {"reason", health->failure()}, {"meaning", "this node " + does}});
  }

  void begin_to_watch_health() {
    if (!config.health) return;
    const std::weak_ptr<State> weak = shared_from_this();
    const auto hand_over = [weak, executor = node->executor()](NodeHealth::Outcome outcome) {
      asio::post(executor, [weak, outcome = std::move(outcome)]() mutable {
        if (const auto self = weak.lock()) self->note_health(std::move(outcome));
      });
    };
    watch_health(*config.health, config.keys.remote.ca_file, node->work_executor(), hand_over, report_to(log));
  }

  static asio::awaitable<void> listen_to_journal(std::shared_ptr<JournaledStore> journaled, std::shared_ptr<Log> log) {
    journaled->on_news([log](JournaledStore::News news, const std::string& text) {
      using enum JournaledStore::News;
      switch (news) {
        case kFails: return log->write(LogLevel::kError, "journal_fails", {{"reason", text}});
        case kWorks: return log->write(LogLevel::kInfo, "journal_works", {{"what", text}});
        case kTakenUp: return log->write(LogLevel::kWarning, "journal_lacked", {{"what", text}});
        case kWrittenBack: return log->write(LogLevel::kWarning, "written_back", {{"what", text}});
        case kContradicted: return log->write(LogLevel::kError, "database_contradicts", {{"duty", text}});
        case kForgot: return log->write(LogLevel::kError, "database_forgot", {{"duty", text}});
        case kHolds:
          return log->write(LogLevel::kWarning, "guard_holds",
                            {{"reason", text},
                             {"meaning",
                              "nothing is claimed or released until every node has compared its journal with "
                              "the database, and has written back what it has lost"}});
        case kWaits: return log->write(LogLevel::kWarning, "guard_waits", {{"nodes", text}});
        case kCleared: return log->write(LogLevel::kInfo, "guard_cleared", {{"what", text}});
        case kForbids: return log->write(LogLevel::kError, "guard_forbids", {{"what", text}});
        case kReleased: return log->write(LogLevel::kWarning, "guard_released", {{"by", text}});
        case kUnguarded:
          return log->write(LogLevel::kWarning, "guard_unsupported",
                            {{"meaning",
                              "after a failover this node does not wait until other nodes have written back "
                              "what the database has lost; " +
                                  text}});
      }
    });
    co_return;
  }

  [[nodiscard]] Gauges gauges() const {
    const auto journaled = node->journaled_store();
    return {.healthy = node->signer().healthy(),
            .attempts_in_flight = node->signer().attempts_in_flight(),
            .requests_queued = node->signer().requests_queued(),
            .connections = server->connections(),
            .requests_in_flight = server->requests_in_flight(),
            .connections_refused = server->connections_refused(),
            .store_connections = node->history().connections(),
            .journal = journaled ? std::optional(journaled->status()) : std::nullopt,
            .guard = journaled && journaled->guard() ? std::optional(journaled->guard()->status()) : std::nullopt,
            .keys_disabled = key_switches->disabled(),
            .key_switches_unreadable = !key_switches->failure().empty(),
            .audit = audit ? std::optional(audit->status()) : std::nullopt,
            .is_healthy_by_url = health ? std::optional(health->is_healthy()) : std::nullopt};
  }

  /// Once, before the service listens.
  void watch_key_switches() {
    const auto tell = [this](const EthAddress& key, const KeySwitch& changed) {
      const std::string event = changed.is_enabled ? "key_enabled" : "key_disabled";
      log->write(LogLevel::kWarning, event, {{"address", key.to_string()}, {"by", changed.changed_by}});
      audit_action(event, {{"signer", key.to_string()}, {"by", changed.changed_by}});
    };
    const auto fail = [this](const std::string& reason) {
      if (reason.empty()) return log->write(LogLevel::kInfo, "key_switches_readable", {});
      const bool signs = key_switches->were_read();
      log->write(signs ? LogLevel::kWarning : LogLevel::kError, "key_switches_unreadable",
                 {{"reason", reason},
                  {"meaning", signs ? "keys that operators disable or enable meanwhile are not seen; what was read "
                                      "before holds"
                                    : "nothing is claimed or signed until they have been read once, since an operator "
                                      "may have disabled any key. If the table is missing, or this role lacks a right "
                                      "on it, run ha-signer migrate up --grant ROLE"}});
    };
    key_switches = std::make_shared<KeySwitches>(*node, tell, fail);
    node->run(KeySwitches::read(key_switches));
    for (const auto& [key, one] : key_switches->all()) {
      if (!one.is_enabled) {
        log->write(LogLevel::kWarning, "key_disabled", {{"address", key.to_string()}, {"by", one.changed_by}});
      }
    }
    const auto executor = node->executor();
    const std::weak_ptr<KeySwitches> weak = key_switches;
    spawn_loop(
        executor, "the reading of key switches", [weak, executor] { return KeySwitches::watch(weak, executor); },
        report_to(log));
  }

  void make_application(std::shared_ptr<const Clients> clients, const std::vector<ListenAddress>& addresses) {
    std::shared_ptr<ClaimedSigning> claimed;
    if (node->claimed_messages()) {
      claimed = std::make_shared<ClaimedSigning>(*node, *keys, metrics, config.signer.signer.node_id,
                                                 config.signer.signer.signer_call_timeout);
    }
    work = std::make_shared<FairWork>(node->executor());
    watermark_turns = std::make_shared<WatermarkTurns>(node->executor());
    audited_refusals = std::make_shared<AuditedRefusals>(node->executor(), audit);
    application = std::make_shared<Application>(ApplicationParts{
        .node = *node,
        .keys = *keys,
        .domain = {std::to_string(config.chain_id), config.signer.signer.rollup, config.empire_slashing_proposer},
        .chain_id = config.chain_id,
        .clients = std::move(clients),
        .claimed = std::move(claimed),
        .work = work,
        .open_claims = std::make_shared<OpenClaims>(config.max_open_claims, kClaimsRemembered),
        .watermark_turns = watermark_turns,
        .metrics = metrics,
        .log = log,
        .audit = audit,
        .audited_refusals = audited_refusals,
        .administration = administration,
        .key_switches = key_switches,
        .about = {.node_id = config.signer.signer.node_id.str(),
                  .version = config.version,
                  .attempt_timeout = config.signer.signer.attempt_timeout,
                  .stuck_duty_age = config.signer.signer.max_stuck_duties_age},
        .max_duties = config.max_duties,
        .hosts = HostNames(addresses, config.allowed_hosts),
        .health = health,
        .gauges = [this] { return gauges(); },
        .reload = [this](std::string by) { return reload_all(shared_from_this(), std::move(by)); }});
    server = std::make_unique<HttpServer>(node->executor(), config.http, application, report_to(log));
  }

  const ServiceConfig config;
  std::shared_ptr<Log> log;
  std::shared_ptr<ServiceMetrics> metrics;
  std::shared_ptr<AuditLog> audit;  ///< null: none is kept
  const std::shared_ptr<Administration> administration = std::make_shared<Administration>();
  const std::shared_ptr<NodeHealth> health;  ///< null where no URL is asked
  std::unique_ptr<HaNode> node;
  std::unique_ptr<keys::HaKeyStore> keys;
  std::shared_ptr<KeySwitches> key_switches;
  std::shared_ptr<const TlsContext> tls;
  std::shared_ptr<FairWork> work;
  std::shared_ptr<WatermarkTurns> watermark_turns;
  std::shared_ptr<AuditedRefusals> audited_refusals;
  std::shared_ptr<Application> application;
  std::unique_ptr<HttpServer> server;
  std::stop_source ending;
  std::vector<std::function<void()>> waiting_for_reload;
  bool serves_reloads = false;
  bool warned_of_swapping = false;
  bool listening = false;
  bool stopped = false;
};

SigningService::SigningService(ServiceConfig config, std::shared_ptr<Log> log)
    : state_(std::make_shared<State>(std::move(config), std::move(log))) {
  auto& state = *state_;
  ::mallopt(M_TRIM_THRESHOLD, kKeptByArena);
  ::mallopt(M_MMAP_THRESHOLD, kOutsideArenas);
  auto listeners = open_listeners(state.config);
  for (const auto& listener : listeners) addresses_.push_back(listener.address());
  auto clients = at_start(load_clients, state.config.clients_file);
  state.tls = tls_at_start(state.config.tls);
  state.audit = audit_at_start(state.config, state.log);
  HaSignerParts parts;
  parts.metrics = state.metrics;
  parts.report_failure = report_to(state.log);
  parts.health = state.health;
  auto signer = state.config.signer;
  signer.signer.check_signatures = true;
  state.node = create_ha_signer(std::move(signer), std::move(parts));
  if (const auto journaled = state.node->journaled_store())
    state.node->run(State::listen_to_journal(journaled, state.log));
  const auto opened = keys_at_start(*state.node, state.key_settings());
  state.keys = std::make_unique<keys::HaKeyStore>(opened, state.node->signer(), state.config.keys.remote_signers);
  state.warn_of_swapping();
  state.warn_of_doubts(*opened);
  if (const auto refused = state.refuse_rights(*clients)) refuse(*refused);
  const auto started = state.node->signer().start_blocking(state.config.signer.open_timeout);
  if (!started) fail(started.error());
  state.watch_key_switches();
  state.begin_to_watch_health();
  state.make_application(std::move(clients), addresses_);
  state.node->run(State::listen(state_, std::move(listeners)));
  state.listening = true;
  const auto executor = state.node->executor();
  const std::weak_ptr<State> weak = state_;
  spawn_loop(
      executor, "the return of memory", [weak, executor] { return State::give_back_memory(weak, executor); },
      report_to(state.log));
}

SigningService::~SigningService() {
  stop();
}

const std::string& SigningService::shown_url() const {
  return state_->node->shown_url();
}

void SigningService::begin_reload(std::function<void()> ended) {
  asio::post(state_->node->executor(),
             [state = state_, ended = std::move(ended)]() mutable { State::begin_reload(state, std::move(ended)); });
}

void SigningService::notify_service_manager(milliseconds period, std::function<void()> alive) {
  const auto executor = state_->node->executor();
  const std::weak_ptr<State> weak = state_;
  spawn_loop(
      executor, "the watchdog",
      [weak, executor, period, alive = std::move(alive)] {
        return State::notify_service_manager(weak, executor, period, alive);
      },
      report_to(state_->log));
}

void SigningService::stop() {
  auto& state = *state_;
  if (std::exchange(state.stopped, true)) return;
  state.ending.request_stop();
  if (state.listening) state.node->run(State::drain(state_));
  if (state.node) state.node->stop();
  if (state.audited_refusals) state.audited_refusals->end_interval();
  state.audit_action("end", {});
  if (state.audit) state.audit->end();
  // Bodies that wait keep their coroutines, and these would keep the threads that read them.
  if (state.work) state.work->close();
  if (state.watermark_turns) state.watermark_turns->queue->close();
}

}  // namespace hasigner::service
