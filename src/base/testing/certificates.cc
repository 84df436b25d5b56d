#include "base/testing/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <stdexcept>

namespace sluice::testing {
namespace {

void check(bool done) {
  if (!done) throw std::runtime_error("a certificate cannot be made");
}

void write(const std::string& file, const auto& write_pem) {
  std::FILE* out = std::fopen(file.c_str(), "w");
  check(out != nullptr);
  const bool written = write_pem(out) == 1;
  check(std::fclose(out) == 0 && written);
}

}  // namespace

void Certificates::FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void Certificates::FreeCertificate::operator()(x509_st* certificate) const {
  X509_free(certificate);
}

Certificates::Certificates() : key_(EVP_EC_gen("P-256")) {
  check(key_ != nullptr);
  auto name = (std::filesystem::temp_directory_path() / "certificates_XXXXXX").string();
  check(::mkdtemp(name.data()) != nullptr);
  directory_ = name;
  certificate_ = sign(key_.get(), "an authority", std::chrono::hours(-1), std::chrono::hours(1),
                      NID_basic_constraints, "critical,CA:TRUE");
  write(authority(), [&](std::FILE* file) { return PEM_write_X509(file, certificate_.get()); });
}

Certificates::~Certificates() { std::filesystem::remove_all(directory_); }

Certificates::Pair Certificates::issue(const std::string& names, std::chrono::seconds from,
                                       std::chrono::seconds until) {
  const Key key(EVP_EC_gen("P-256"));
  check(key != nullptr);
  const auto certificate = sign(key.get(), "a server", from, until, NID_subject_alt_name, names);
  const auto stem = (directory_ / std::to_string(issued_)).string();
  const Pair out{stem + ".pem", stem + ".key"};
  write(out.certificate, [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
  write(out.key, [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return out;
}

// Of the authority itself, where there is no certificate of it yet.
Certificates::Certificate Certificates::sign(evp_pkey_st* key, const std::string& name,
                                             std::chrono::seconds from, std::chrono::seconds until,
                                             int extension, const std::string& value) {
  Certificate out(X509_new());
  check(out != nullptr && X509_set_version(out.get(), X509_VERSION_3) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), ++issued_);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), from.count());
  X509_gmtime_adj(X509_getm_notAfter(out.get()), until.count());
  check(X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                   0) == 1);
  X509* issuer = certificate_ ? certificate_.get() : out.get();
  check(X509_set_issuer_name(out.get(), X509_get_subject_name(issuer)) == 1 &&
        X509_set_pubkey(out.get(), key) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, out.get(), nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str());
  check(made != nullptr && X509_add_ext(out.get(), made, -1) == 1);
  X509_EXTENSION_free(made);
  check(X509_sign(out.get(), key_.get(), EVP_sha256()) > 0);
  return out;
}

}  // namespace sluice::testing
