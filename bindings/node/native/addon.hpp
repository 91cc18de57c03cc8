#pragma once

#include <napi.h>

#include <memory>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "operations.hpp"

namespace hasigner::node {

using Arguments = const Napi::CallbackInfo&;

/// One attachment of JavaScript to the addon, with its own thread, pools, stores and signers.
///
/// Its methods are what lib/core.js calls. Each returns at once; the operation that it starts ends by an event. The
/// comment before a definition lists the arguments from JavaScript.
class Addon {
 public:
  /// (deliver) → the functions of a new attachment. One environment may have several attachments: test runners load
  /// modules again for each file.
  static Napi::Value attach(const Napi::CallbackInfo& arguments);
  ~Addon() { shut_down(); }
  Addon() = default;
  Addon(const Addon&) = delete;
  Addon& operator=(const Addon&) = delete;

 private:
  template <auto method>
  static Napi::Value call(Arguments arguments) {
    Addon& addon = *static_cast<Addon*>(arguments.Data());
    if (!addon.environment_) {
      throw Napi::Error::New(arguments.Env(), "ha-signer: this thread of Node.js is ending");
    }
    try {
      (addon.*method)(arguments);
    } catch (const std::out_of_range&) {
      throw Napi::Error::New(arguments.Env(), "ha-signer: the pool or store is closed");
    }
    return arguments.Env().Undefined();
  }
  void run(CallId id, std::move_only_function<asio::awaitable<Event>()> operation) {
    run_operation(environment_, id, std::move(operation));
  }
  void refuse(CallId id, const InvalidInput& input);
  NodeSigner node_signer(const Napi::Value& id) const;
  std::shared_ptr<HaSigner> signer(const Napi::Value& id) const { return node_signer(id).signer; }

  Napi::Object functions(Napi::Env env);
  static Napi::Value detach(Arguments arguments) {
    static_cast<Addon*>(arguments.Data())->shut_down();
    return arguments.Env().Undefined();
  }
  void shut_down();

  // addon_stores.cpp
  void open_pool(Arguments arguments);
  void query_pool(Arguments arguments);
  void close_pool(Arguments arguments);
  void open_store(Arguments arguments);
  void open_callers_store(Arguments arguments);
  void close_store(Arguments arguments);
  void drop_store(Arguments arguments);
  void try_insert(Arguments arguments);
  void update_signed(Arguments arguments);
  void release_duty(Arguments arguments);
  void remove_duties(Arguments arguments);

  // addon_signers.cpp
  void create_signer(Arguments arguments);
  void drop_signer(Arguments arguments);
  void start(Arguments arguments);
  void stop(Arguments arguments);
  void sign(Arguments arguments);
  void signed_by_function(Arguments arguments);
  void sign_function_failed(Arguments arguments);
  void check_and_record(Arguments arguments);
  void record_success(Arguments arguments);
  void delete_duty(Arguments arguments);

  // addon_answers.cpp
  void answer_query(Arguments arguments);
  void answer_call(Arguments arguments);

  std::shared_ptr<Environment> environment_;
  AddonContextPtr context_;
  // The operation that opens a pool or store fills its entry, under the id of that operation.
  std::unordered_map<CallId, Opened<OpenedPool>> pools_;
  std::unordered_map<CallId, Opened<NodeStore>> stores_;
  std::unordered_map<CallId, NodeSigner> signers_;
};

/// All attachments of one environment.
using Attachments = std::vector<std::unique_ptr<Addon>>;

}  // namespace hasigner::node
