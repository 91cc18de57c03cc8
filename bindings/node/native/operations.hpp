#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "answers.hpp"
#include "callers_store.hpp"
#include "environment.hpp"
#include "hasigner/factory/open_store.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "pool_executor.hpp"
#include "signature_texts.hpp"

namespace hasigner::node {

/// What the operations of one attachment share on the protocol's thread.
///
/// Thread safety: the protocol's executor. The pointers themselves never change.
struct AddonContext {
  explicit AddonContext(std::shared_ptr<Environment> environment_in)
      : environment(std::move(environment_in)), texts(std::make_shared<SignatureTexts>(environment->random())) {}

  std::shared_ptr<Environment> environment;
  std::shared_ptr<Answers<postgres::SqlReply>> queries = std::make_shared<Answers<postgres::SqlReply>>();
  std::shared_ptr<Answers<CallReply>> calls = std::make_shared<Answers<CallReply>>();
  std::shared_ptr<Answers<SignOutcome>> signatures = std::make_shared<Answers<SignOutcome>>();
  std::shared_ptr<SignatureTexts> texts;
};

/// A pool of libpq connections, and how stores share it.
struct OpenedPool {
  std::shared_ptr<postgres::SqlExecutor> executor;
  std::shared_ptr<SharedSqlPool> shared;
};

/// A store that signers may be made on.
struct NodeStore {
  std::shared_ptr<Store> store;
  std::shared_ptr<History> history;  ///< null for a caller's database
  bool keeps_texts = true;           ///< see SignatureTexts
};

struct NodeSigner {
  std::shared_ptr<HaSigner> signer;
  SignEffects effects = SignEffects::kOutside;  ///< of its sign functions
  bool keeps_texts = false;                     ///< whether its store takes a signature of any text
};

using AddonContextPtr = std::shared_ptr<AddonContext>;
template <class T>
using Opened = std::shared_ptr<std::optional<T>>;  ///< filled when the operation has resolved

/// Errors: events `configuration`, `unavailable`, `incompatible`.
asio::awaitable<Event> open_pool(AddonContextPtr context, postgres::PoolConfig config, milliseconds open_timeout,
                                 Opened<OpenedPool> opened);
/// Runs one statement. Resolves to `{rows, rowCount}`, rows as arrays of text.
asio::awaitable<Event> query_pool(std::shared_ptr<postgres::SqlExecutor> executor, MonotonicTime deadline,
                                  std::shared_ptr<const std::string> text,
                                  std::vector<std::optional<std::string>> values);
asio::awaitable<Event> close_pool(std::shared_ptr<postgres::SqlExecutor> executor);

/// Resolves to what was imported from another node's history, if anything was.
asio::awaitable<Event> open_store_for_node(AddonContextPtr context, StoreSettings settings, Opened<NodeStore> opened);
asio::awaitable<Event> close_store(std::shared_ptr<Store> store);

asio::awaitable<Event> start_signer(std::shared_ptr<HaSigner> signer);
asio::awaitable<Event> stop_signer(std::shared_ptr<HaSigner> signer);
/// Resolves when the signature that JavaScript made has been confirmed.
asio::awaitable<Event> sign(AddonContextPtr context, NodeSigner signer, CallId id, SignRequest request);
/// Resolves to the lock token.
asio::awaitable<Event> check_and_record(std::shared_ptr<HaSigner> signer, SignRequest request);
/// Resolves to whether it was recorded.
asio::awaitable<Event> record_success(AddonContextPtr context, std::shared_ptr<HaSigner> signer, HeldDuty held,
                                      std::string text);
/// Resolves to whether it was deleted.
asio::awaitable<Event> delete_duty(std::shared_ptr<HaSigner> signer, HeldDuty held);

// The methods of a database object on one of our stores. Each resolves to what the method of the published class
// returns, with rows as text.
asio::awaitable<Event> try_insert(AddonContextPtr context, NodeStore store, NodeId node_id, Duty duty);
asio::awaitable<Event> update_signed(AddonContextPtr context, NodeStore store, DutyKey key, LockToken token,
                                     std::string text);
asio::awaitable<Event> release_duty(AddonContextPtr context, NodeStore store, DutyKey key, LockToken token);
asio::awaitable<Event> remove_duties(AddonContextPtr context, NodeStore store, RemovalRequest request);

}  // namespace hasigner::node
