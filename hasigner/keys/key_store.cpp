#include "hasigner/keys/key_store.hpp"

#include "hasigner/crypto/ethereum.hpp"

namespace hasigner::keys {

PersonalMessage::PersonalMessage(std::vector<std::uint8_t> message)
    : bytes(std::move(message)), digest(personal_message_digest(bytes)) {}

MessageHash digest_of(const Payload& payload) {
  return std::visit([](const auto& data) { return data.digest; }, payload);
}

Parsed<EthAddress> KeyStore::attester_address(std::size_t index) const {
  const auto addresses = attester_addresses();
  if (index < addresses.size()) return addresses[index];
  return std::unexpected(InvalidInput{"attester index", std::to_string(index),
                                      "below " + std::to_string(addresses.size()) + ", the number of attesters"});
}

asio::awaitable<SignResult<Signature>> KeyStore::sign_for(std::string, EthAddress attester,
                                                          std::shared_ptr<const Payload> payload,
                                                          SigningContext context) {
  return sign(attester, std::move(payload), context);
}

asio::awaitable<SignResult<Signature>> KeyStore::sign_transaction(EthAddress publisher, MessageHash) {
  co_return std::unexpected(SigningError(unknown_publisher(publisher)));
}

InvalidInput unknown_publisher(const EthAddress& address) {
  return {
      "publisher", to_checksum(address),
      "an address that a keystore file names under \"publisher\" (the key of an attester signs transactions only if "
      "it is named there, too)"};
}

InvalidInput unknown_attester(const EthAddress& address) {
  return {"attester", to_checksum(address), "the address of an attester in the keystore files"};
}

}  // namespace hasigner::keys
