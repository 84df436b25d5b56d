#include "base/digest.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <array>

#include "base/crc.h"

namespace sluice {

struct Digest::State {
  virtual ~State() = default;
  virtual void update(std::span<const std::byte> bytes) = 0;
  virtual std::string finish() = 0;
};

struct Digest::OpenSsl final : State {
  explicit OpenSsl(const EVP_MD* kind) : type(kind) { EVP_DigestInit_ex(context, type, nullptr); }
  ~OpenSsl() override { EVP_MD_CTX_free(context); }
  OpenSsl(const OpenSsl&) = delete;
  OpenSsl& operator=(const OpenSsl&) = delete;

  void update(std::span<const std::byte> bytes) override {
    EVP_DigestUpdate(context, bytes.data(), bytes.size());
  }
  std::string finish() override {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned length = 0;
    EVP_DigestFinal_ex(context, out.data(), &length);
    EVP_DigestInit_ex(context, type, nullptr);
    return {reinterpret_cast<const char*>(out.data()), length};
  }

  const EVP_MD* type;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

struct Digest::Cyclic final : State {
  explicit Cyclic(Crc::Kind kind) : crc(kind) {}
  void update(std::span<const std::byte> bytes) override { crc.update(bytes); }
  std::string finish() override { return crc.finish(); }

  Crc crc;
};

std::unique_ptr<Digest::State> Digest::begin(Kind kind) {
  switch (kind) {
    case Kind::kMd5: return std::make_unique<OpenSsl>(EVP_md5());
    case Kind::kSha1: return std::make_unique<OpenSsl>(EVP_sha1());
    case Kind::kSha256: break;
    case Kind::kCrc32: return std::make_unique<Cyclic>(Crc::Kind::kCrc32);
    case Kind::kCrc32c: return std::make_unique<Cyclic>(Crc::Kind::kCrc32c);
    case Kind::kCrc64Nvme: return std::make_unique<Cyclic>(Crc::Kind::kCrc64Nvme);
  }
  return std::make_unique<OpenSsl>(EVP_sha256());
}

Digest::Digest(Kind kind) : state_(begin(kind)) {}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::span<const std::byte> bytes) { state_->update(bytes); }

std::string Digest::finish() { return state_->finish(); }

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest(Digest::Kind::kSha256);
  digest.update(bytes);
  return to_hex(digest.finish());
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

std::string sha1_hex(std::string_view text) {
  Digest digest(Digest::Kind::kSha1);
  digest.update(std::as_bytes(std::span(text)));
  return to_hex(digest.finish());
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  return {reinterpret_cast<const char*>(out.data()), length};
}

std::optional<std::string> sign_rs256(std::string_view pem, std::string_view text) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!key || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) return std::nullopt;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t length = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, bytes, text.size()) != 1) {
    return std::nullopt;
  }
  std::string out(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, bytes,
                     text.size()) != 1) {
    return std::nullopt;
  }
  out.resize(length);
  return out;
}

}  // namespace sluice
