// Certificates for tests: an authority of its own, and what it signs.
//
// Thread-safety: one owner.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

struct evp_pkey_st;
struct x509_st;

namespace sluice::testing {

// In a directory that goes with this object.
class Certificates {
 public:
  // PEM files.
  struct Pair {
    std::string certificate;
    std::string key;
  };

  Certificates();
  ~Certificates();
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  // The file with the certificate of the authority.
  std::string authority() const { return (directory_ / "authority.pem").string(); }
  // For a server of these names, such as "DNS:redis.example,IP:127.0.0.1"; valid from and until so
  // much later than now.
  Pair issue(const std::string& names, std::chrono::seconds from = std::chrono::hours(-1),
             std::chrono::seconds until = std::chrono::hours(1));

 private:
  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  struct FreeCertificate {
    void operator()(x509_st* certificate) const;
  };
  using Key = std::unique_ptr<evp_pkey_st, FreeKey>;
  using Certificate = std::unique_ptr<x509_st, FreeCertificate>;

  Certificate sign(evp_pkey_st* key, const std::string& name, std::chrono::seconds from,
                   std::chrono::seconds until, int extension, const std::string& value);

  std::filesystem::path directory_;
  Key key_;
  Certificate certificate_;
  int issued_ = 0;
};

}  // namespace sluice::testing
