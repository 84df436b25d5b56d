// What comes from stores and their tools as texts: listings, credentials, MLmodel, digests.

#include <gtest/gtest.h>

#include <fstream>

#include "base/digest.h"
#include "sources/aws_credentials.h"
#include "sources/listing_xml.h"
#include "sources/mlflow_api.h"
#include "sources/mlmodel.h"
#include "sources/object_digest.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(ListingXml, KeysAreDecodedAndPagesGoOn) {
  const auto page = read_listing(R"(<?xml version="1.0"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextContinuationToken>next=</NextContinuationToken>
<Contents><Key>a%2Bb+c/%C3%BC.onnx</Key><Size>12</Size><ETag>&quot;abc&quot;</ETag></Contents>
<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>y/</Prefix></CommonPrefixes>
<Contents><Key>d</Key><Size>0</Size><ETag>raw</ETag></Contents></ListBucketResult>)");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->objects.size(), 2U);
  EXPECT_EQ(page->objects[0].key, "a+b c/ü.onnx");
  EXPECT_EQ(page->objects[0].size, 12U);
  EXPECT_EQ(page->objects[0].etag, "\"abc\"");
  EXPECT_EQ(page->objects[1].etag, "\"raw\"");
  EXPECT_EQ(page->folders, 2U);
  EXPECT_EQ(page->next, "next=");
}

TEST(ListingXml, WhatIsNoListingIsNoEmptyBucket) {
  for (const char* text : {"", "<html><body>Login</body></html>", "{}", "<ListBucketResult>",
                           "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
                           "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>"
                           "</ListBucketResult>"}) {
    const auto page = read_listing(text);
    ASSERT_FALSE(page) << text;
    EXPECT_EQ(page.error().code, Code::kUnavailable) << text;
  }
  const auto empty = read_listing("<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->objects.empty());
}

TEST(UploadXml, NamesAndEnds) {
  EXPECT_EQ(read_upload_id("<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>a&amp;b"
                           "</UploadId></InitiateMultipartUploadResult>")
                .value_or(""),
            "a&b");
  EXPECT_FALSE(read_upload_id("<html/>"));
  EXPECT_EQ(write_completion({{1, "\"a\""}, {2, "\"b\""}}),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>"
            "<PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part><Part><PartNumber>2</PartNumber>"
            "<ETag>\"b\"</ETag></Part></CompleteMultipartUpload>");
  EXPECT_EQ(read_completion("<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag>"
                            "</CompleteMultipartUploadResult>")
                .value_or(""),
            "\"x-2\"");
}

// Amazon begins its answer with 200 before it knows.
TEST(UploadXml, AFailureUnderASuccess) {
  const auto failed = read_completion("\n <Error><Code>InternalError</Code></Error>");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason, "store_busy");
  EXPECT_EQ(read_completion("").error().reason, "not_a_store");
  EXPECT_EQ(error_word("<Error><Code>BadDigest</Code></Error>"), "BadDigest");
  EXPECT_EQ(error_word("busy"), "");
  EXPECT_EQ(error_region("<Error><Code>A</Code><Region>garage</Region></Error>"), "garage");
  EXPECT_EQ(error_region("<Region>garage</Region>"), "");
}

TEST(Keys, OnlyThoseThatAreFilesBelowADirectory) {
  for (const char* good : {"a", "a/b.onnx", "a b/ü"}) EXPECT_TRUE(is_safe_key(good)) << good;
  for (const char* bad : {"", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a/."}) {
    EXPECT_FALSE(is_safe_key(bad)) << bad;
  }
  EXPECT_FALSE(is_safe_key(std::string(300, 'x')));
  EXPECT_FALSE(is_safe_key(std::string_view("a\0b", 3)));
}

TEST(Keys, AFileAndWhatLiesBelowItAreNotBothTaken) {
  std::vector<Object> objects;
  for (const char* key : {"a", "a/b", "a-c", "d/e", "f//g"})
    objects.push_back({key, 1, {}, {}, {}});
  objects.push_back({"d", 0, {}, {}, {}});
  EXPECT_EQ(take_unsafe(objects), (std::vector<std::string>{"a/b", "f//g", "d"}));
  EXPECT_EQ(objects.size(), 3U);
}

TEST(AwsCredentials, EnvironmentBeforeFiles) {
  AwsCredentialChain chain(environment({{"AWS_ACCESS_KEY_ID", "id"},
                                        {"AWS_SECRET_ACCESS_KEY", "secret"},
                                        {"AWS_SESSION_TOKEN", "token"},
                                        {"AWS_DEFAULT_REGION", "eu-west-1"},
                                        {"AWS_ENDPOINT_URL", "http://a"},
                                        {"AWS_ENDPOINT_URL_S3", "http://b"}}));
  const auto found = chain.get();
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->access_key, "id");
  EXPECT_EQ((*found)->session_token, "token");
  EXPECT_EQ(chain.region(), "eu-west-1");
  EXPECT_EQ(chain.endpoint(), "http://b");
}

// Secrets of Kubernetes end in a line break; one within would begin another header.
TEST(AwsCredentials, WhatGoesIntoTheHeadOfRequests) {
  AwsCredentialChain good(environment({{"AWS_ACCESS_KEY_ID", "id\n"},
                                       {"AWS_SECRET_ACCESS_KEY", "secret\r\n"},
                                       {"AWS_REGION", "eu-west-1\n"},
                                       {"AWS_SESSION_TOKEN", "\n"}}));
  const auto found = good.get();
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->access_key + " " + (*found)->secret_key, "id secret");
  EXPECT_EQ((*found)->session_token, "");
  EXPECT_EQ(good.region(), "eu-west-1");
  for (const auto& [value, words] : std::vector<std::pair<std::string, std::string>>{
           {"id\nX-Injected: 1", "AWS_ACCESS_KEY_ID has a line break in it"},
           {"id\x01", "AWS_ACCESS_KEY_ID has a control character in it"}}) {
    AwsCredentialChain bad(
        environment({{"AWS_ACCESS_KEY_ID", value}, {"AWS_SECRET_ACCESS_KEY", "secret"}}));
    const auto refused = bad.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, words);
  }
}

TEST(AwsCredentials, HalfAKeyAndAMissingProfileAreMistakes) {
  AwsCredentialChain half(environment({{"AWS_ACCESS_KEY_ID", "id"}}));
  EXPECT_FALSE(half.get());
  AwsCredentialChain profile(environment({{"AWS_PROFILE", "nobody"}}));
  EXPECT_FALSE(profile.get());
  AwsCredentialChain none(environment({{"AWS_EC2_METADATA_DISABLED", "true"}}));
  const auto found = none.get();
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found) << "anonymous";
}

TEST(AwsCredentials, ContainersAreAskedOverTlsOrOnThisMachine) {
  AwsCredentialChain chain(
      environment({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/keys"}}));
  const auto found = chain.get();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "bad_credentials");
}

TEST(AwsCredentials, IniFiles) {
  const auto file = read_ini(
      "# comment\n[default]\nregion = us-east-2\r\n[profile mine]\naws_access_key_id=A=B\n"
      "s3 =\n  addressing_style = path\n; another\n[ other ]\nregion=x\n");
  EXPECT_EQ(file.at("default").at("region"), "us-east-2");
  EXPECT_EQ(file.at("mine").at("aws_access_key_id"), "A=B");
  EXPECT_FALSE(file.at("mine").contains("addressing_style"));
  EXPECT_EQ(file.at("other").at("region"), "x");
  const auto time = parse_utc("1970-01-02T00:00:01Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(std::chrono::system_clock::to_time_t(*time), 86401);
  EXPECT_GT(parse_utc("9999-12-31T23:59:59Z"), std::chrono::system_clock::now()) << "never";
  EXPECT_EQ(parse_utc("0001-01-01T00:00:00Z"), std::chrono::system_clock::time_point());
  EXPECT_EQ(parse_utc("1700-01-01T00:00:00Z"), std::chrono::system_clock::time_point());
  EXPECT_FALSE(parse_utc("soon"));
}

TEST(MlModel, TheFlavorsFile) {
  const auto onnx = file_of_mlmodel(
      "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\n    onnx_version: 1.15.0\n"
      "  python_function:\n    data: model.onnx\n    loader_module: mlflow.onnx\n");
  ASSERT_TRUE(onnx) << onnx.error().message;
  EXPECT_EQ(*onnx, "model.onnx");
  EXPECT_EQ(file_of_mlmodel("flavors:\n  xgboost: {data: model.xgb}\n").value_or(""), "model.xgb");
  EXPECT_EQ(file_of_mlmodel("flavors: {sklearn: {pickled_model: model.pkl}}").value_or(""),
            "model.pkl");
  const auto other = file_of_mlmodel("flavors: {pytorch: {model_data: data}}");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("pytorch"), std::string::npos);
  for (const char* bad : {"", "flavors: {onnx: {data: ../../etc/passwd}}", "- a", "flavors: [a]"}) {
    EXPECT_FALSE(file_of_mlmodel(bad)) << bad;
  }
  const auto nameless = file_of_mlmodel("flavors: {onnx: {code: null}}");
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().message,
            "MLmodel has the flavor onnx, whose data names no file below it");
}

TEST(Mlflow, Urls) {
  EXPECT_EQ(parse_mlflow("fraud")->kind, MlflowModel::Kind::kNewest);
  EXPECT_EQ(parse_mlflow("fraud/12")->kind, MlflowModel::Kind::kVersion);
  EXPECT_EQ(parse_mlflow("fraud/Production")->kind, MlflowModel::Kind::kStage);
  EXPECT_EQ(parse_mlflow("fraud/latest")->kind, MlflowModel::Kind::kNewest) << "as MLflow says it";
  EXPECT_EQ(parse_mlflow("My%20Model")->name, "My Model");
  const auto alias = parse_mlflow("fraud@champion");
  ASSERT_TRUE(alias);
  EXPECT_EQ(alias->kind, MlflowModel::Kind::kAlias);
  EXPECT_EQ(alias->name + " " + alias->choice, "fraud champion");
  for (const char* bad : {"", "fraud/", "fraud@", "/1", "fraud/1/2", "fraud@a/b"}) {
    EXPECT_FALSE(parse_mlflow(bad)) << bad;
  }
}

std::string md5(std::string_view text) {
  Digest digest(Digest::Kind::kMd5);
  digest.update(std::as_bytes(std::span(text)));
  return digest.finish();
}

ObjectDigest::Verdict judge(const Object& object, std::string_view content, std::uint64_t part = 0,
                            bool etag_counts = true) {
  ObjectDigest digest(object, Details{part, std::nullopt});
  // In pieces that fit nothing.
  for (std::size_t size = 0; size < content.size(); size += 70'001) {
    digest.arrived(std::as_bytes(std::span(content.substr(0, size))));
  }
  digest.arrived(std::as_bytes(std::span(content)));
  return digest.finish(etag_counts);
}

TEST(ObjectDigest, PlainETagsAreMd5) {
  const std::string content(100'000, 'x');
  const Object object{"a", content.size(), '"' + to_hex(md5(content)) + '"', {}, {}};
  const auto right = judge(object, content);
  EXPECT_TRUE(right.right && right.checked);
  EXPECT_FALSE(judge(object, content.substr(1) + "y").right);
  // Encrypted with a key of the store's own, where the ETag says nothing.
  const auto encrypted = judge(object, content.substr(1) + "y", 0, false);
  EXPECT_TRUE(encrypted.right);
  EXPECT_FALSE(encrypted.checked);
}

TEST(ObjectDigest, ASha256IsWorthMore) {
  const Object object{
      "a", 3, "\"00000000000000000000000000000000\"", sha256_hex(std::string_view("abc")), {}};
  EXPECT_TRUE(judge(object, "abc").checked);
  EXPECT_FALSE(judge(object, "abd").right);
}

TEST(ObjectDigest, ETagsOfPartsByTheirSize) {
  const std::string content = std::string(9 << 20, 'a') + std::string(4 << 20, 'b');
  const std::string_view all = content;
  const auto etag_of = [&](std::size_t part) {
    std::string digests;
    std::size_t count = 0;
    for (std::size_t at = 0; at < all.size(); at += part, ++count) {
      digests += md5(all.substr(at, part));
    }
    return '"' + to_hex(md5(digests)) + "-" + std::to_string(count) + '"';
  };
  const Object common{"a", content.size(), etag_of(8 << 20), {}, {}};
  const auto right = judge(common, content);
  EXPECT_TRUE(right.right && right.checked);
  EXPECT_TRUE(right.record.starts_with("parts-8388608:"));
  auto again = ObjectDigest::of_record(right.record, content.size());
  again.arrived(std::as_bytes(std::span(all)));
  EXPECT_TRUE(again.finish(true).checked);
  auto damaged = ObjectDigest::of_record(right.record, content.size());
  damaged.arrived(std::as_bytes(std::span(all.substr(1))));
  EXPECT_FALSE(damaged.finish(true).right);
  // A size that only the store knows.
  const Object odd{"a", content.size(), etag_of(7'000'001), {}, {}};
  EXPECT_TRUE(judge(odd, content, 7'000'001).checked);
  EXPECT_FALSE(judge(odd, content.substr(1) + "c", 7'000'001).right);
  const auto unknown = judge(odd, content);
  EXPECT_TRUE(unknown.right && unknown.strange_parts) << "nobody knows: not believed, not refused";
  EXPECT_FALSE(unknown.checked);
  EXPECT_FALSE(judge(odd, content, 0, false).strange_parts) << "encrypted: its ETag says nothing";
  // What no tool does by itself, but is a whole number of mebibytes.
  const Object eleven{"a", content.size(), etag_of(11 << 20), {}, {}};
  EXPECT_EQ(judge(eleven, content).record.substr(0, 15), "parts-11534336:");
  EXPECT_TRUE(judge(eleven, content).checked);
  EXPECT_TRUE(judge(eleven, content.substr(1) + "c").strange_parts);
  const Object tiny{"a", 1, "\"" + std::string(32, 'a') + "-1\"", {}, {}};
  EXPECT_TRUE(judge(tiny, "c").strange_parts) << "and not after a thousand million digests";
}

// More parts than are digested at once, and every number of them that can be left over.
TEST(ObjectDigest, ManyParts) {
  constexpr std::size_t kPart = 1000;
  std::string content;
  for (std::size_t i = 0; i < 40 * kPart; ++i) content += static_cast<char>(i * i / 977);
  for (std::size_t size = kPart + 1; size <= content.size(); size += kPart / 2) {
    const auto all = std::string_view(content).substr(0, size);
    std::string digests;
    for (std::size_t at = 0; at < size; at += kPart) digests += md5(all.substr(at, kPart));
    const auto count = std::to_string(digests.size() / 16);
    const Object object{"a", size, '"' + to_hex(md5(digests)) + "-" + count + '"', {}, {}};
    const auto verdict = judge(object, all, kPart);
    EXPECT_TRUE(verdict.right && verdict.checked) << size;
  }
}

// All of "123456789", whose CRCs the catalogues print; in base64 as AWS and Google write them.
TEST(Checksum, ByHeaders) {
  const auto found = [](const clients::HttpHeaders& headers) {
    const auto checksum = checksum_of(headers);
    return checksum ? std::string(word_of(checksum->kind)) + ":" + checksum->hex : "";
  };
  EXPECT_EQ(found({{"x-amz-checksum-crc64nvme", "rosUhgp5mIg="}}), "crc64nvme:ae8b14860a799888");
  EXPECT_EQ(found({{"X-Amz-Checksum-Crc32", "y/Q5Jg=="}, {"x-amz-checksum-type", "FULL_OBJECT"}}),
            "crc32:cbf43926");
  EXPECT_EQ(found({{"x-amz-checksum-crc32c", "4waSgw=="}, {"x-amz-checksum-type", "COMPOSITE"}}),
            "")
      << "of its parts";
  EXPECT_EQ(found({{"x-amz-checksum-crc32c", "4waSgw==-3"}}), "") << "of its parts";
  EXPECT_EQ(found({{"x-amz-checksum-crc32c", "4waS"}}), "") << "cut";
  EXPECT_EQ(found({{"x-goog-hash", "crc32c=4waSgw=="}}), "crc32c:e3069283");
  EXPECT_EQ(
      found({{"x-goog-hash", "crc32c=4waSgw=="}, {"x-goog-hash", "md5=JfnnlDI7RTiF9RgfGK2JNQ=="}}),
      "md5:25f9e794323b453885f5181f18ad8935");
  EXPECT_EQ(found({{"x-goog-hash", "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfGK2JNQ=="}}),
            "md5:25f9e794323b453885f5181f18ad8935");
  EXPECT_EQ(found({{"ETag", "\"x\""}}), "");
}

TEST(ObjectDigest, AChecksumOfTheStoresOwn) {
  const std::string content = "123456789";
  const auto judged = [&](const Object& object, const Checksum& checksum, std::string_view bytes) {
    ObjectDigest digest(object, Details{0, checksum});
    digest.arrived(std::as_bytes(std::span(bytes)));
    return digest.finish(false);  // encrypted: the ETag says nothing
  };
  const Object object{"a", 9, "\"00000000000000000000000000000000\"", {}, {}};
  const Checksum strong{Digest::Kind::kCrc64Nvme, "ae8b14860a799888"};
  const auto right = judged(object, strong, content);
  EXPECT_TRUE(right.right && right.checked);
  EXPECT_EQ(right.record, "crc64nvme:ae8b14860a799888");
  EXPECT_FALSE(judged(object, strong, "123456780").right);
  auto again = ObjectDigest::of_record(right.record, 9);
  again.arrived(std::as_bytes(std::span(content)));
  EXPECT_TRUE(again.finish(true).checked);
  // Of 32 bits: where there is nothing better.
  const Checksum weak{Digest::Kind::kCrc32c, "e3069283"};
  const Object unknown{"a", 9, "", {}, {}};
  EXPECT_TRUE(judged(unknown, weak, content).checked);
  EXPECT_FALSE(judged(unknown, weak, "123456780").right);
  EXPECT_TRUE(judged(object, weak, content).record.starts_with("md5:"));
}

TEST(ObjectDigest, WithoutAnythingTheContentIsRecorded) {
  const Object object{"a", 3, "", {}, {}};
  const auto verdict = judge(object, "abc");
  EXPECT_TRUE(verdict.right);
  EXPECT_FALSE(verdict.checked);
  EXPECT_EQ(verdict.record, "sha256:" + sha256_hex(std::string_view("abc")));
}

}  // namespace
}  // namespace sluice::sources
