#include "hasigner/keys/open_key_store.hpp"

namespace hasigner::keys {

namespace {

using Opened = std::expected<std::shared_ptr<BaseKeyStore>, KeyStoreError>;

asio::awaitable<Parsed<std::vector<Validator>>> load_now(std::vector<std::filesystem::path> paths) {
  co_return load_keystores(std::move(paths));
}

}  // namespace

asio::awaitable<Opened> open_key_store(KeyStoreSettings settings, KeyStoreExecutors executors) {
  auto loading = load_now(std::move(settings.paths));
  auto validators = co_await asio::co_spawn(executors.work, std::move(loading), asio::use_awaitable);
  if (!validators) {
    KeyStoreError error{KeyStoreError::Kind::kInvalid, validators.error().message()};
    co_return std::unexpected(std::move(error));
  }
  auto store = std::make_shared<BaseKeyStore>(std::move(*validators), executors.work);
  co_return store;
}

asio::awaitable<Opened> reload_key_store(KeyStoreSettings settings, KeyStoreExecutors executors, HaKeyStore& store) {
  auto opening = open_key_store(std::move(settings), std::move(executors));
  auto opened = co_await std::move(opening);
  if (opened) store.replace_base(*opened);
  co_return opened;
}

}  // namespace hasigner::keys
