#include "sources/sigv4.h"

#include <gtest/gtest.h>

#include "base/digest.h"

namespace sluice::sources {
namespace {

// The examples of AWS's own documentation: "Authenticating Requests: Using the Authorization
// Header", of 24 May 2013.
const SigningKey kKey{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "",
                      "us-east-1", "s3"};
constexpr std::time_t kMay24 = 1369353600;
constexpr auto kHost = "examplebucket.s3.amazonaws.com";

std::string authorization(const ToSign& request, const SigningKey& key = kKey) {
  const auto headers = sign_v4(request, key, kMay24);
  const auto* found = clients::find_header(headers, "authorization");
  return found == nullptr ? "" : *found;
}

TEST(SigV4, GetObject) {
  EXPECT_EQ(authorization({"GET", kHost, "/test.txt", {}, {{"Range", "bytes=0-9"}}}),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, PutObject) {
  ToSign put{
      "PUT",
      kHost,
      "/test%24file.text",
      {},
      {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
      sha256_hex("Welcome to Amazon S3.")};
  EXPECT_EQ(authorization(put),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
            "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  put.payload = sha256_hex("Welcome to Amazon S4.");
  EXPECT_EQ(authorization(put).find("98ad721746da40c6"), std::string::npos);
}

TEST(SigV4, QueryWithoutAValue) {
  EXPECT_TRUE(authorization({"GET", kHost, "/", {{"lifecycle", ""}}, {}})
                  .ends_with("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(SigV4, ListObjectsInAnyOrderOfTheQuery) {
  const auto wanted = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
  EXPECT_TRUE(authorization({"GET", kHost, "/", {{"max-keys", "2"}, {"prefix", "J"}}, {}})
                  .ends_with(wanted));
  EXPECT_TRUE(authorization({"GET", kHost, "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}})
                  .ends_with(wanted));
}

TEST(SigV4, ASessionTokenIsSigned) {
  auto key = kKey;
  key.session_token = "token";
  const auto text = authorization({"GET", kHost, "/", {}, {}}, key);
  EXPECT_NE(text.find("x-amz-date;x-amz-security-token,"), std::string::npos);
  EXPECT_NE(text, authorization({"GET", kHost, "/", {}, {}}));
}

TEST(SigV4, QueriesAreEncodedBeforeTheyAreSorted) {
  EXPECT_EQ(canonical_query({{"b", "x/y z"}, {"a", "ü"}, {"a", ""}}), "a=&a=%C3%BC&b=x%2Fy%20z");
}

}  // namespace
}  // namespace sluice::sources
