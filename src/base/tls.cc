#include "base/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace sluice {
namespace {

using Kind = TlsFault::Kind;

// --- a socket, for OpenSSL
// ------------------------------------------------------------------------
// Its own write()s to one whose other end has gone, which ends a program that does not ignore the
// signal.

bool can_later(int code) { return code == EAGAIN || code == EWOULDBLOCK || code == EINTR; }

int socket_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

int write_socket(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto sent = ::send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && can_later(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int read_socket(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto got = ::recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
  if (got < 0 && can_later(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

// Nothing is held back, so that flushing is always done.
long control_socket(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* socket_method() {
  static BIO_METHOD* const kMethod = [] {
    auto* out = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (out == nullptr) return out;
    BIO_meth_set_write(out, write_socket);
    BIO_meth_set_read(out, read_socket);
    BIO_meth_set_ctrl(out, control_socket);
    return out;
  }();
  return kMethod;
}

// --- faults
// ---------------------------------------------------------------------------------------

TlsFault certificate_fault(long result) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return {Kind::kExpired, ""};
    case X509_V_ERR_CERT_NOT_YET_VALID: return {Kind::kNotYetValid, ""};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return {Kind::kOtherName, ""};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:  // one of the same name is known
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return {Kind::kUnknownAuthority, ""};
    default: return {Kind::kUntrusted, X509_verify_cert_error_string(result)};
  }
}

std::string words_of(unsigned long error) {
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "an error without a name";
}

// Of a call that has failed for good. `system` is its errno.
TlsFault fault_of(const SSL* session, int kind, int system) {
  const auto error = ERR_peek_error();
  if (kind == SSL_ERROR_ZERO_RETURN) return {Kind::kClosed, "the other end closed it"};
  if (kind == SSL_ERROR_SYSCALL || error == 0) {
    return {Kind::kClosed, system != 0 ? std::generic_category().message(system)
                                       : std::string("the other end closed it")};
  }
  // The first of the errors may be one of the arithmetic.
  const auto verified = SSL_get_verify_result(session);
  if (verified != X509_V_OK) return certificate_fault(verified);
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return {Kind::kOther, words_of(error)};
  switch (ERR_GET_REASON(error)) {
    case SSL_R_WRONG_VERSION_NUMBER: return {Kind::kNoTls, ""};
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return {Kind::kWantsCertificate, ""};
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return {Kind::kClosed, "the other end closed it"};
    default: return {Kind::kOther, words_of(error)};
  }
}

// What a call that has moved nothing needs.
std::expected<TlsClient::Need, TlsFault> need_of(const SSL* session, int returned, int system) {
  const int kind = SSL_get_error(session, returned);
  if (kind == SSL_ERROR_WANT_READ) return TlsClient::Need::kToRead;
  if (kind == SSL_ERROR_WANT_WRITE) return TlsClient::Need::kToWrite;
  return std::unexpected(fault_of(session, kind, system));
}

// OpenSSL's errors are a thread's, and looked at only when these are those of this call.
void begin() {
  ERR_clear_error();
  errno = 0;
}

// --- making
// ---------------------------------------------------------------------------------------

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

std::unexpected<TlsFault> cannot_make() {
  return std::unexpected(TlsFault{Kind::kOther, words_of(ERR_peek_error())});
}

// One for each connection: connections are few, and authorities may change while the server runs.
std::expected<Context, TlsFault> make_context(const std::string& authorities) {
  Context out(SSL_CTX_new(TLS_client_method()));
  if (!out || SSL_CTX_set_min_proto_version(out.get(), TLS1_2_VERSION) != 1) return cannot_make();
  SSL_CTX_set_verify(out.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(out.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(out.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
  const int loaded = authorities.empty() ? SSL_CTX_set_default_verify_paths(out.get())
                                         : SSL_CTX_load_verify_file(out.get(), authorities.c_str());
  if (loaded != 1) return std::unexpected(TlsFault{Kind::kAuthorities, ""});
  return out;
}

// What the certificate must be for. A name is also said to the other end, which may have several.
bool set_host(SSL* session, const std::string& host) {
  auto* wanted = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1) return true;
  return X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(session, host.c_str()) == 1;
}

}  // namespace

void TlsClient::Free::operator()(ssl_st* session) const { SSL_free(session); }

std::expected<TlsClient, TlsFault> TlsClient::make(int socket, const std::string& host,
                                                   const std::string& authorities) {
  begin();
  auto context = make_context(authorities);
  if (!context) return std::unexpected(std::move(context).error());
  TlsClient out(SSL_new(context->get()));
  BIO* bio = out.session_ && socket_method() != nullptr ? BIO_new(socket_method()) : nullptr;
  if (bio == nullptr) return cannot_make();
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  BIO_set_init(bio, 1);
  SSL_set_bio(out.session_.get(), bio, bio);
  if (!set_host(out.session_.get(), host)) return cannot_make();
  SSL_set_connect_state(out.session_.get());
  return out;
}

std::expected<TlsClient::Need, TlsFault> TlsClient::shake_hands() {
  begin();
  const int done = SSL_do_handshake(session_.get());
  if (done == 1) return Need::kNothing;
  return need_of(session_.get(), done, errno);
}

std::expected<TlsClient::Moved, TlsFault> TlsClient::send(std::string_view bytes) {
  begin();
  Moved out;
  const int done = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &out.bytes);
  if (done == 1) return out;
  const auto need = need_of(session_.get(), done, errno);
  if (!need) return std::unexpected(need.error());
  return Moved{0, *need};
}

std::expected<TlsClient::Moved, TlsFault> TlsClient::receive(std::span<char> into) {
  begin();
  Moved out;
  const int done = SSL_read_ex(session_.get(), into.data(), into.size(), &out.bytes);
  if (done == 1) return out;
  const auto need = need_of(session_.get(), done, errno);
  if (!need) return std::unexpected(need.error());
  return Moved{0, *need};
}

bool TlsClient::quiet() {
  begin();
  char byte = 0;
  std::size_t got = 0;
  const int done = SSL_peek_ex(session_.get(), &byte, 1, &got);
  return done != 1 && need_of(session_.get(), done, errno).has_value();
}

}  // namespace sluice
