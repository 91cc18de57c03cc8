#include "hasigner/keys/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <cstring>
#include <vector>

#include "hasigner/duty/utf8.hpp"
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
using Library = std::unique_ptr<OSSL_LIB_CTX, Free<OSSL_LIB_CTX_free>>;
using Provider = std::unique_ptr<OSSL_PROVIDER, Free<OSSL_PROVIDER_unload>>;

struct DeleteStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};

/// A client certificate, its chain, and its key.
struct Identity {
  Certificate certificate;
  PrivateKey key;
  std::vector<Certificate> chain;
};

/// What OpenSSL said of a file.
struct Complaint {
  std::string reason = "unknown error";
  bool is_of_encryption = false;  ///< this OpenSSL does not know how the file is encrypted
};

Complaint complaint_of_openssl() {
  Complaint complaint;
  while (const auto error = ERR_get_error()) {
    if (const char* const reason = ERR_reason_error_string(error)) complaint.reason = reason;
    // The decoders say "unsupported", too: of what a wrong password has decrypted.
    complaint.is_of_encryption =
        complaint.is_of_encryption || (ERR_GET_LIB(error) == ERR_LIB_EVP && ERR_GET_REASON(error) == ERR_R_UNSUPPORTED);
  }
  return complaint;
}

/// What is wrong with an identity that lacks a part.
Complaint complaint_of(const Identity& identity, const SecretText& text) {
  auto complaint = complaint_of_openssl();
  const bool is_pem = text.view().contains("-----BEGIN ");
  if (text.empty()) {
    complaint.reason = "it is empty";
  } else if (identity.key) {
    complaint.reason = "it has no certificate";
  } else if (identity.certificate || (is_pem && !text.view().contains("PRIVATE KEY-----"))) {
    complaint.reason = "it has no private key";
  }
  return complaint;
}

/// OpenSSL with the ciphers of old files (RC2, DES), apart from the one that connections use.
struct LegacyLibrary {
  Library library{OSSL_LIB_CTX_new()};
  Provider base{OSSL_PROVIDER_load(library.get(), "default")};
  Provider legacy{OSSL_PROVIDER_load(library.get(), "legacy")};
};

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

/// With `library`, or with the usual one where it is null.
Identity read_pem(const SecretText& text, const SecretText* password, OSSL_LIB_CTX* library) {
  auto* const secret = const_cast<SecretText*>(password);  // for OpenSSL's void*, which only give_password() sees
  Identity identity;
  identity.key.reset(
      PEM_read_bio_PrivateKey_ex(reader_of(text).get(), nullptr, give_password, secret, library, nullptr));
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

/// As read_pem().
Identity read_pkcs12(const SecretText& text, const SecretText* password, OSSL_LIB_CTX* library) {
  Identity identity;
  PKCS12* read = PKCS12_init_ex(NID_pkcs7_data, library, nullptr);
  const bool is_read = d2i_PKCS12_bio(reader_of(text).get(), &read) != nullptr;
  const Pkcs12 bundle(read);
  if (!is_read) return identity;
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

/// The object without its tie to another library, through its encoding.
template <auto encode, auto decode, class Owner>
Owner in_usual_library(const Owner& object) {
  unsigned char* encoded = nullptr;
  const int size = object ? encode(object.get(), &encoded) : 0;
  if (size <= 0) return nullptr;
  const unsigned char* begin = encoded;
  Owner decoded(decode(nullptr, &begin, size));
  OPENSSL_clear_free(encoded, static_cast<std::size_t>(size));
  return decoded;
}

Identity in_usual_library(const Identity& identity) {
  const auto certificate = [](const Certificate& each) { return in_usual_library<i2d_X509, d2i_X509>(each); };
  Identity usual{.certificate = certificate(identity.certificate),
                 .key = in_usual_library<i2d_PrivateKey, d2i_AutoPrivateKey>(identity.key),
                 .chain = {}};
  std::ranges::transform(identity.chain, std::back_inserter(usual.chain), certificate);
  return usual;
}

std::expected<Identity, Complaint> read_identity(const SecretText& text, const SecretText* password) {
  const auto read = text.view().contains("-----BEGIN ") ? read_pem : read_pkcs12;
  const auto is_complete = [](const Identity& identity) { return identity.key && identity.certificate; };
  ERR_clear_error();
  auto identity = read(text, password, nullptr);
  if (is_complete(identity)) return identity;
  auto complaint = complaint_of(identity, text);
  const LegacyLibrary old;
  identity = in_usual_library(read(text, password, old.library.get()));
  ERR_clear_error();
  if (is_complete(identity)) return identity;
  // The other library knows the old ciphers, so it is not they that keep the file shut.
  if (complaint.is_of_encryption && old.legacy) complaint = {.reason = "wrong password", .is_of_encryption = false};
  return std::unexpected(std::move(complaint));
}

InvalidInput unusable(std::string name, const Complaint& complaint, const SecretText* password) {
  if (complaint.is_of_encryption) {
    return {std::move(name), "encrypted in an old way that this OpenSSL does not know (" + complaint.reason + ")",
            "encrypted with AES: convert it with openssl pkcs12 -legacy -in OLD -nodes | openssl pkcs12 -export -out "
            "NEW, or openssl pkcs8 -topk8 for a PEM key"};
  }
  const bool has_space = password && trimmed(password->view()).size() != password->size();
  return {std::move(name), "unusable (" + complaint.reason + ")",
          std::string("a PEM or PKCS#12 file with a certificate and its key, that certPass opens") +
              (has_space ? " (certPass has white space at its edges)" : "")};
}

std::optional<InvalidInput> use_identity(SSL_CTX* context, const RemoteSigner& remote, std::string_view field) {
  const auto text = read_secret_file(*remote.cert_path);
  const auto name = std::string(field) + ": the client certificate " + printable(*remote.cert_path, 300);
  if (!text) return InvalidInput{name, text.error().value, text.error().allowed};
  const auto identity = read_identity(*text, remote.cert_password.get());
  if (!identity) return unusable(name, identity.error(), remote.cert_password.get());
  bool is_used = SSL_CTX_use_certificate(context, identity->certificate.get()) == 1 &&
                 SSL_CTX_use_PrivateKey(context, identity->key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
  for (const auto& certificate : identity->chain) {
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

Parsed<HttpEndpoint> http_endpoint_of(const RemoteSigner& remote, const std::optional<std::filesystem::path>& ca_file,
                                      std::string_view field) {
  auto url = RemoteUrl::parse(remote.url, field);
  if (!url) return std::unexpected(url.error());
  HttpEndpoint endpoint{std::move(*url), nullptr};
  if (!endpoint.url.is_tls) return endpoint;
  auto tls = make_tls_context(remote, ca_file, field);
  if (!tls) return std::unexpected(tls.error());
  endpoint.tls = std::move(*tls);
  return endpoint;
}

}  // namespace hasigner::keys
