#pragma once

#include <memory>

#include "hasigner/protection/history.hpp"
#include "hasigner/protection/journaled_store.hpp"

namespace hasigner {

/// Adds to a node's journal the latest of its own *signed* rows, those that the journal does not have. A store that
/// does not answer in time is not an error: what it has refuses other data as before.
[[nodiscard]] asio::awaitable<void> take_up_signed(std::shared_ptr<JournaledStore> journaled,
                                                   std::shared_ptr<History> history, NodeId node_id, EthAddress rollup);

}  // namespace hasigner
