// Digests and signatures, by OpenSSL; cyclic redundancy checks (base/crc.h) as digests.
//
// Thread-safety: functions without state; a Digest is one thread's at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// A digest of bytes that come in pieces.
class Digest {
 public:
  enum class Kind { kMd5, kSha1, kSha256, kCrc32, kCrc32c, kCrc64Nvme };
  explicit Digest(Kind kind);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // The digest's own bytes; a cyclic check's with the most significant first. Afterwards it begins
  // anew.
  std::string finish();

 private:
  struct State;
  struct OpenSsl;
  struct Cyclic;
  static std::unique_ptr<State> begin(Kind kind);

  std::unique_ptr<State> state_;
};

// Lower-case hexadecimal digits.
std::string to_hex(std::string_view bytes);

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

// 40 of them. Not against anybody who means harm: Redis names scripts so.
std::string sha1_hex(std::string_view text);

// 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view text);

// RSASSA-PKCS1-v1_5 with SHA-256 (the RS256 of JSON Web Tokens), with a private key in PEM form.
// Nothing where that is no such key.
std::optional<std::string> sign_rs256(std::string_view pem, std::string_view text);

}  // namespace sluice
