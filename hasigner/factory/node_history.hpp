#pragma once

#include <expected>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/store/sqlite/sqlite_store.hpp"

namespace hasigner {

/// Imports the history that a published node has in `folder`, watermarks at its highest signed slots included, unless
/// it was imported in the state that it has. All or nothing.
///
/// A node that has written to its folder since (its operator went back to it for a while) gives it another state, so
/// what it signed then is imported as well.
/// Gives what was imported, as a sentence for a person; empty: nothing.
/// Errors: what cannot be read, a node that works on the folder, a duty that the store has with other data.
[[nodiscard]] asio::awaitable<std::expected<std::string, StartupError>> import_node_history(
    std::shared_ptr<sqlite::SqliteStore> store, std::string folder, std::shared_ptr<Clock> clock);

}  // namespace hasigner
