#include "base/tls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include "base/testing/certificates.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::Certificates;
using Kind = TlsFault::Kind;
using Need = TlsClient::Need;

// The other end of a pair of sockets, on a thread of its own, which blocks.
class Peer {
 public:
  explicit Peer(std::function<void(int socket)> talk) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_) != 0) throw "no sockets";
    ::fcntl(sockets_[0], F_SETFL, O_NONBLOCK);
    thread_ = std::thread([this, talk = std::move(talk)] {
      // Here OpenSSL writes as it likes to.
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &set, nullptr);
      talk(sockets_[1]);
      ::shutdown(sockets_[1], SHUT_RDWR);
    });
  }
  ~Peer() {
    ::shutdown(sockets_[0], SHUT_RDWR);
    thread_.join();
    for (const int socket : sockets_) ::close(socket);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int client() const { return sockets_[0]; }

 private:
  int sockets_[2] = {-1, -1};
  std::thread thread_;
};

struct Server {
  Certificates::Pair pair;
  int newest = TLS1_3_VERSION;
  int oldest = TLS1_VERSION;
  int verify = SSL_VERIFY_NONE;
};

// A server that shakes hands and then talks; `named` gets what the client has called it.
std::function<void(int)> serving(
    const Server& server, std::function<void(SSL*)> talk = [](SSL*) {},
    std::string* named = nullptr) {
  return [=](int socket) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, server.oldest);
    SSL_CTX_set_max_proto_version(context, server.newest);
    SSL_CTX_use_certificate_file(context, server.pair.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, server.pair.key.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_set_verify(context, server.verify, nullptr);
    SSL* session = SSL_new(context);
    SSL_set_fd(session, socket);
    if (SSL_accept(session) == 1) {
      const char* name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
      if (named != nullptr && name != nullptr) *named = name;
      talk(session);
    }
    SSL_free(session);
    SSL_CTX_free(context);
  };
}

void wait(int socket, Need need) {
  pollfd waited{socket, static_cast<short>(need == Need::kToWrite ? POLLOUT : POLLIN), 0};
  ::poll(&waited, 1, 10'000);
}

std::expected<TlsClient, TlsFault> connect(const Peer& peer, const std::string& host,
                                           const std::string& authorities) {
  auto out = TlsClient::make(peer.client(), host, authorities);
  while (out) {
    const auto need = out->shake_hands();
    if (!need) return std::unexpected(need.error());
    if (*need == Need::kNothing) break;
    wait(peer.client(), *need);
  }
  return out;
}

// How many bytes have gone out before the other end went, or all.
std::size_t send_all(TlsClient& client, int socket, std::string_view bytes) {
  std::size_t out = 0;
  while (out < bytes.size()) {
    const auto sent = client.send(bytes.substr(out));
    if (!sent) break;
    out += sent->bytes;
    if (sent->bytes == 0) wait(socket, sent->need);
  }
  return out;
}

// What comes until so many bytes are there, or the fault that is before.
std::expected<std::string, TlsFault> receive(TlsClient& client, int socket, std::size_t bytes) {
  std::string out;
  std::string buffer(100'000, '\0');
  while (out.size() < bytes) {
    const auto got = client.receive(buffer);
    if (!got) return std::unexpected(got.error());
    out.append(buffer, 0, got->bytes);
    if (got->bytes == 0) wait(socket, got->need);
  }
  return out;
}

void echo(SSL* session) {
  char buffer[4096];
  for (int got = 0; (got = SSL_read(session, buffer, sizeof(buffer))) > 0;) {
    SSL_write(session, buffer, got);
  }
}

class Tls : public ::testing::Test {
 protected:
  // The fault of shaking hands with a server that has this.
  Kind fault(const Server& server, const std::string& host, const std::string& authorities) {
    const Peer peer(serving(server));
    const auto client = connect(peer, host, authorities);
    EXPECT_FALSE(client);
    return client ? Kind::kOther : client.error().kind;
  }

  Certificates certificates_;
};

TEST_F(Tls, WhatIsSaidComesBack) {
  std::string named;
  {
    const Peer peer(serving({certificates_.issue("DNS:redis.example")}, echo, &named));
    auto client = connect(peer, "redis.example", certificates_.authority());
    ASSERT_TRUE(client) << client.error().text;
    EXPECT_TRUE(client->quiet());
    EXPECT_EQ(send_all(*client, peer.client(), "hello"), 5U);
    EXPECT_EQ(receive(*client, peer.client(), 5).value(), "hello");
    EXPECT_TRUE(client->quiet()) << "its tickets are no bytes of ours";
    EXPECT_EQ(send_all(*client, peer.client(), "more"), 4U);
    wait(peer.client(), Need::kToRead);
    EXPECT_FALSE(client->quiet());
  }
  EXPECT_EQ(named, "redis.example");
}

TEST_F(Tls, AnAddressIsNoName) {
  std::string named;
  {
    const Peer peer(serving({certificates_.issue("IP:127.0.0.1,IP:::1")}, echo, &named));
    EXPECT_TRUE(connect(peer, "127.0.0.1", certificates_.authority()));
  }
  EXPECT_EQ(named, "");
  EXPECT_EQ(fault({certificates_.issue("DNS:127.0.0.1")}, "127.0.0.1", certificates_.authority()),
            Kind::kOtherName);
}

TEST_F(Tls, TheOlderOneThatIsGood) {
  Server server{certificates_.issue("DNS:*.redis.example")};
  server.newest = TLS1_2_VERSION;
  const Peer peer(serving(server, echo));
  auto client = connect(peer, "one.redis.example", certificates_.authority());
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_EQ(send_all(*client, peer.client(), "hello"), 5U);
  EXPECT_EQ(receive(*client, peer.client(), 5).value(), "hello");
}

TEST_F(Tls, MoreThanTheSocketsHoldBothWays) {
  const Peer peer(serving({certificates_.issue("DNS:a")}, echo));
  auto client = connect(peer, "a", certificates_.authority());
  ASSERT_TRUE(client);
  std::string sent(8 << 20, 'x');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 >> 3);
  std::string back;
  std::string buffer(100'000, '\0');
  std::size_t out = 0;
  while (back.size() < sent.size()) {
    const auto went = client->send(std::string_view(sent).substr(out));
    ASSERT_TRUE(went || out == sent.size());
    out += went ? went->bytes : 0;
    const auto came = client->receive(buffer);
    ASSERT_TRUE(came) << came.error().text;
    back.append(buffer, 0, came->bytes);
    if (came->bytes > 0 || went->bytes > 0) continue;
    pollfd waited{peer.client(), POLLIN | POLLOUT, 0};
    if (out == sent.size()) waited.events = POLLIN;
    ::poll(&waited, 1, 10'000);
  }
  EXPECT_TRUE(back == sent);
}

TEST_F(Tls, CertificatesThatCannotBeTrusted) {
  const auto authority = certificates_.authority();
  Certificates others;
  const auto good = certificates_.issue("DNS:a");
  EXPECT_EQ(fault({certificates_.issue("DNS:a", -2h, -1h)}, "a", authority), Kind::kExpired);
  EXPECT_EQ(fault({certificates_.issue("DNS:a", 1h, 2h)}, "a", authority), Kind::kNotYetValid);
  EXPECT_EQ(fault({good}, "b", authority), Kind::kOtherName);
  EXPECT_EQ(fault({good}, "a server", authority), Kind::kOtherName) << "it is only called so";
  EXPECT_EQ(fault({good}, "127.0.0.1", authority), Kind::kOtherName);
  EXPECT_EQ(fault({good}, "a", others.authority()), Kind::kUnknownAuthority);
  EXPECT_EQ(fault({good}, "a", ""), Kind::kUnknownAuthority) << "the system does not know it";
  EXPECT_EQ(fault({good}, "a", good.key), Kind::kAuthorities) << "a file without any";
  EXPECT_EQ(fault({good}, "a", authority + ".not"), Kind::kAuthorities);
}

TEST_F(Tls, AnOldVersionIsRefused) {
  Server server{certificates_.issue("DNS:a")};
  server.newest = TLS1_1_VERSION;
  const auto kind = fault(server, "a", certificates_.authority());
  EXPECT_TRUE(kind == Kind::kOther || kind == Kind::kClosed);
}

TEST_F(Tls, WhoDoesNotSpeakIt) {
  for (const std::string answer : {"-ERR unknown command\r\n", "HTTP/1.1 400 Bad Request\r\n"}) {
    const Peer peer([&](int socket) {
      char buffer[4096];
      if (::read(socket, buffer, sizeof(buffer)) <= 0) return;
      EXPECT_EQ(::write(socket, answer.data(), answer.size()), std::ssize(answer));
      while (::read(socket, buffer, sizeof(buffer)) > 0) {
      }
    });
    const auto client = connect(peer, "a", certificates_.authority());
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, Kind::kNoTls) << answer;
  }
  const Peer peer([](int) {});
  const auto client = connect(peer, "a", certificates_.authority());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, Kind::kClosed);
}

// Over TLS 1.3 the client has already shaken hands when it is told.
TEST_F(Tls, AServerThatWantsACertificate) {
  Server server{certificates_.issue("DNS:a")};
  server.verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  const Peer peer(serving(server));
  auto client = connect(peer, "a", certificates_.authority());
  ASSERT_TRUE(client);
  const auto got = receive(*client, peer.client(), 1);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, Kind::kWantsCertificate) << got.error().text;
}

TEST_F(Tls, TheOtherEndGoes) {
  for (const bool politely : {true, false}) {
    const Peer peer(serving({certificates_.issue("DNS:a")}, [&](SSL* session) {
      char byte = 0;
      SSL_read(session, &byte, 1);
      if (politely) SSL_shutdown(session);
    }));
    auto client = connect(peer, "a", certificates_.authority());
    ASSERT_TRUE(client);
    EXPECT_EQ(send_all(*client, peer.client(), "x"), 1U);
    const auto got = receive(*client, peer.client(), 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, Kind::kClosed) << got.error().text;
    EXPECT_FALSE(client->quiet());
    // No signal ends the program.
    EXPECT_LT(send_all(*client, peer.client(), std::string(4 << 20, 'x')), std::size_t{4} << 20);
  }
}

}  // namespace
}  // namespace sluice
