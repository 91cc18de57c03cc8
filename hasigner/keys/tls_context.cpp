#include "hasigner/keys/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <cstring>
#include <vector>

#include "hasigner/keys/secret_file.hpp"

namespace hasigner::keys {

namespace {

namespace ssl = boost::asio::ssl;

template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Input = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Pkcs12 = std::unique_ptr<PKCS12, Free<PKCS12_free>>;

struct DeleteStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};

/// A client certificate, its chain, and its key.
struct Identity {
  Certificate certificate;
  PrivateKey key;
  std::vector<Certificate> chain;
};

std::string openssl_reason() {
  const auto error = ERR_peek_last_error();
  const char* const reason = error != 0 ? ERR_reason_error_string(error) : nullptr;
  ERR_clear_error();
  return reason ? reason : "unknown error";
}

Input reader_of(const SecretText& text) {
  return Input(BIO_new_mem_buf(text.view().data(), static_cast<int>(text.size())));
}

/// OpenSSL's callback for an encrypted PEM key. Without a password it must not ask on the terminal.
int give_password(char* buffer, int size, int /*writing*/, void* password) {
  const auto* const text = static_cast<const SecretText*>(password);
  if (!text || text->size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, text->view().data(), text->size());
  return static_cast<int>(text->size());
}

Identity read_pem(const SecretText& text, const SecretText* password) {
  auto* const secret = const_cast<SecretText*>(password);  // for OpenSSL's void*, which only give_password() sees
  Identity identity;
  identity.key.reset(PEM_read_bio_PrivateKey(reader_of(text).get(), nullptr, give_password, secret));
  if (!identity.key) return identity;
  const auto input = reader_of(text);
  identity.certificate.reset(PEM_read_bio_X509(input.get(), nullptr, give_password, secret));
  while (identity.certificate) {
    Certificate next(PEM_read_bio_X509(input.get(), nullptr, give_password, secret));
    if (!next) break;
    identity.chain.push_back(std::move(next));
  }
  return identity;
}

Identity read_pkcs12(const SecretText& text, const SecretText* password) {
  Identity identity;
  const Pkcs12 bundle(d2i_PKCS12_bio(reader_of(text).get(), nullptr));
  if (!bundle) return identity;
  // OpenSSL takes a C string.
  SecretText terminated = password ? *password : SecretText();
  terminated.push_back('\0');
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  if (PKCS12_parse(bundle.get(), terminated.view().data(), &key, &certificate, &others) != 1) return identity;
  identity.key.reset(key);
  identity.certificate.reset(certificate);
  const std::unique_ptr<STACK_OF(X509), DeleteStack> stack(others);
  while (others && sk_X509_num(others) > 0) identity.chain.emplace_back(sk_X509_shift(others));
  return identity;
}

std::optional<InvalidInput> use_identity(SSL_CTX* context, const RemoteSigner& remote, std::string_view field) {
  const auto text = read_secret_file(*remote.cert_path);
  const auto name = std::string(field) + ": the client certificate " + printable(*remote.cert_path, 300);
  if (!text) return InvalidInput{name, text.error().value, text.error().allowed};
  ERR_clear_error();
  const bool is_pem = text->view().contains("-----BEGIN ");
  const auto* const password = remote.cert_password.get();
  const auto identity = is_pem ? read_pem(*text, password) : read_pkcs12(*text, password);
  if (!identity.key || !identity.certificate) {
    return InvalidInput{name, "unusable (" + openssl_reason() + ")",
                        "a PEM or PKCS#12 file with a certificate and its key, that certPass opens"};
  }
  bool is_used = SSL_CTX_use_certificate(context, identity.certificate.get()) == 1 &&
                 SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
  for (const auto& certificate : identity.chain) {
    is_used = is_used && SSL_CTX_add1_chain_cert(context, certificate.get()) == 1;
  }
  ERR_clear_error();
  if (is_used) return std::nullopt;
  return InvalidInput{name, "a certificate and a key that do not belong together", "a certificate with its own key"};
}

}  // namespace

Parsed<std::shared_ptr<ssl::context>> make_tls_context(const RemoteSigner& remote,
                                                       const std::optional<std::filesystem::path>& ca_file,
                                                       std::string_view field) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->set_verify_mode(ssl::verify_peer);
  boost::system::error_code error;
  if (ca_file) {
    context->load_verify_file(ca_file->string(), error);
    if (error) {
      return std::unexpected(InvalidInput{std::string(field) + ": the file of authorities",
                                          printable(ca_file->string(), 300) + " (" + error.message() + ")",
                                          "a PEM file of certificates that can be read"});
    }
  } else {
    context->set_default_verify_paths(error);
  }
  if (remote.cert_path) {
    if (auto refused = use_identity(context->native_handle(), remote, field)) {
      return std::unexpected(std::move(*refused));
    }
  }
  return context;
}

}  // namespace hasigner::keys
