// Uploads to a store in this process.

#include "sources/upload.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/digest.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1 << 20;

class TempDirectory {
 public:
  TempDirectory() {
    std::string path = (fs::temp_directory_path() / "sluice-upload-XXXXXX").string();
    path_ = ::mkdtemp(path.data());
  }
  ~TempDirectory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string md5_of(std::string_view text) {
  Digest digest(Digest::Kind::kMd5);
  digest.update(std::as_bytes(std::span(text)));
  return digest.finish();
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

// Objects in memory, with S3's ETags.
class MemoryStore final : public WritableStore {
 public:
  std::string_view name() const override { return "the store"; }
  Result<std::vector<Object>> list(const std::atomic<bool>&) override {
    return std::vector<Object>();
  }
  Result<Fetched> fetch(const Object&, Range, const ByteSink&, const std::atomic<bool>&) override {
    return Fetched{};
  }
  Result<std::vector<Object>> list_below(const std::string&,
                                         const std::atomic<bool>& stop) override {
    return list(stop);
  }

  Result<std::optional<Object>> look(const std::string& key) override {
    const std::lock_guard lock(mutex);
    const auto found = objects.find(key);
    if (found == objects.end()) return std::optional<Object>();
    const auto& etag = other.empty() ? etags[key] : other;
    return std::optional(Object{key, found->second.size(), etag, {}, {}});
  }

  Result<Stored> put(const std::string& key, const Payload& payload,
                     const std::atomic<bool>&) override {
    SLUICE_TRY(const auto bytes, take(payload));
    const std::lock_guard lock(mutex);
    objects[key] = bytes;
    etags[key] = quoted(to_hex(md5_of(bytes)));
    return Stored{etags[key], true};
  }

  Result<void> remove(const std::string& key) override {
    return objects.erase(key), Result<void>();
  }

  Result<std::string> begin_parts(const std::string&) override {
    ++begun;
    const auto id = "upload/" + std::to_string(begun);
    uploads[id];
    return id;
  }

  Result<Stored> put_part(const std::string&, const std::string& upload, int number,
                          const Payload& payload, const std::atomic<bool>&) override {
    if (number == refused) return fail(Code::kPermissionDenied, "refused", "no");
    SLUICE_TRY(const auto bytes, take(payload));
    const std::lock_guard lock(mutex);
    if (!uploads.contains(upload)) return not_found("no_such_object", "no such upload");
    uploads[upload][number] = bytes;
    return Stored{quoted(to_hex(md5_of(bytes))), true};
  }

  Result<Stored> end_parts(const std::string& key, const std::string& upload,
                           const std::vector<UploadedPart>& parts) override {
    const auto found = uploads.find(upload);
    if (found == uploads.end()) return not_found("no_such_object", "no such upload");
    std::string all;
    std::string digests;
    for (const auto& part : parts) {
      const auto& bytes = found->second.at(part.number);
      EXPECT_EQ(part.etag, quoted(to_hex(md5_of(bytes))));
      all += bytes;
      digests += md5_of(bytes);
    }
    uploads.erase(found);
    objects[key] = all;
    etags[key] = quoted(to_hex(md5_of(digests)) + "-" + std::to_string(parts.size()));
    if (lost-- > 0) return unavailable("cut", "the answer was lost");
    return Stored{etags[key], true};
  }

  Result<void> drop_parts(const std::string&, const std::string& upload) override {
    uploads.erase(upload);
    return {};
  }

  std::mutex mutex;
  std::map<std::string, std::string> objects;
  std::map<std::string, std::string> etags;
  std::map<std::string, std::map<int, std::string>> uploads;
  std::string other;  // the ETag of what lies there when it is looked at
  int begun = 0;
  int refused = 0;             // this part is
  int lost = 0;                // answers to the end of an upload
  std::atomic<int> flips{0};   // payloads of which a byte is changed on the way
  std::atomic<int> breaks{0};  // payloads that do not arrive
  std::atomic<int> payloads{0};

 private:
  Result<std::string> take(const Payload& payload) {
    ++payloads;
    if (breaks-- > 0) return unavailable("cut", "the connection was cut");
    std::string out(payload.length, '\0');
    EXPECT_EQ(
        ::pread(payload.fd->get(), out.data(), out.size(), static_cast<off_t>(payload.offset)),
        static_cast<ssize_t>(out.size()));
    EXPECT_EQ(payload.sha256, sha256_hex(std::string_view(out)));
    EXPECT_EQ(payload.md5, md5_of(out));
    if (flips-- > 0) out[out.size() / 2] ^= 1;
    return out;
  }
};

class UploadTest : public testing::Test {
 protected:
  std::string write(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i % 251);
    std::ofstream(temp.path() / "file", std::ios::binary) << text;
    return text;
  }
  Result<Uploaded> upload() {
    sent = 0;
    UploadPlan plan{temp.path() / "file", "a/key", temp.path() / "notes", known, 3, 1000};
    return Upload(store, plan, sent, stop).run();
  }
  bool noted() const { return fs::exists(temp.path() / "notes"); }

  const TempDirectory temp;
  MemoryStore store;
  std::optional<Object> known;
  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> stop{false};
};

TEST(UploadParts, GrowWhereThereWouldBeTooMany) {
  constexpr std::uint64_t kLeast = 16 * kMiB;
  EXPECT_EQ(part_size_for(0, kLeast), kLeast);
  EXPECT_EQ(part_size_for(kLeast * kMostParts, kLeast), kLeast);
  EXPECT_EQ(part_size_for(kLeast * kMostParts + 1, kLeast), 17 * kMiB);
  const auto largest = part_size_for(kLargestObject, kLeast);
  EXPECT_LE((kLargestObject + largest - 1) / largest, kMostParts);
  EXPECT_LE(largest, std::uint64_t{5} << 30) << "S3's own limit of a part";
}

TEST_F(UploadTest, ASmallFileIsSentAtOnce) {
  for (const std::size_t size : {0UL, 1UL, 1000UL}) {
    const auto text = write(size);
    const auto done = upload();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(store.objects["a/key"], text);
    EXPECT_EQ(done->size, size);
    EXPECT_EQ(sent, size);
  }
  EXPECT_EQ(store.begun, 0);
}

TEST_F(UploadTest, ALargeOneInParts) {
  const auto text = write(10'500);
  store.breaks = 2;
  store.flips = 1;
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
  EXPECT_EQ(done->etag, store.etags["a/key"]);
  EXPECT_TRUE(done->etag.ends_with("-11\"")) << done->etag;
  EXPECT_EQ(store.payloads, 14) << "what was cut or damaged is sent again, and nothing else";
  EXPECT_EQ(sent, 10'500U);
  EXPECT_FALSE(noted());
}

TEST_F(UploadTest, WhatIsThereIsNotSentAgain) {
  for (const std::size_t size : {0UL, 700UL, 2500UL}) {
    write(size);
    ASSERT_TRUE(upload());
    known = Object{"a/key", size, store.etags["a/key"], {}, {}};
    store.payloads = 0;
    ASSERT_TRUE(upload());
    EXPECT_EQ(store.payloads, 0);
    EXPECT_EQ(sent, size);
    known->etag.replace(1, 1, known->etag[1] == 'a' ? "b" : "a");
    ASSERT_TRUE(upload());
    EXPECT_GT(store.payloads, 0) << "it is another";
    known.reset();
  }
}

TEST_F(UploadTest, AnotherObjectAfterwardsIsTold) {
  write(500);
  store.other = quoted(std::string(32, 'a'));
  const auto done = upload();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "changing");
  store.other = quoted("CJ+kx5qP=");  // no digest: it says nothing
  EXPECT_TRUE(upload());
}

TEST_F(UploadTest, NothingIsLeftOfOneThatFails) {
  write(5000);
  store.refused = 3;
  const auto done = upload();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "refused");
  EXPECT_TRUE(store.uploads.empty());
  EXPECT_TRUE(store.objects.empty());
  EXPECT_FALSE(noted());
}

TEST_F(UploadTest, NorOfOneThatIsStopped) {
  write(5000);
  stop = true;
  const auto done = upload();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
  EXPECT_TRUE(store.uploads.empty());
  EXPECT_FALSE(noted());
}

TEST_F(UploadTest, ALostAnswerToTheEndIsNoFailure) {
  const auto text = write(5000);
  store.lost = 1;
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
}

// As a process leaves it that was killed after two parts.
class KilledUpload : public UploadTest {
 protected:
  void SetUp() override {
    text = write(5000);
    store.uploads["upload/0"] = {{1, text.substr(0, 1000)}, {4, text.substr(3000, 1000)}};
    std::ofstream note(temp.path() / "notes");
    note << "a%2Fkey upload%2F0 5000 1000\n";
    for (const auto& [number, bytes] : store.uploads["upload/0"]) {
      const auto md5 = to_hex(md5_of(bytes));
      note << number << ' ' << md5 << ' ' << quoted(md5) << '\n';
    }
  }
  std::string text;
};

TEST_F(KilledUpload, GoesOn) {
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
  EXPECT_EQ(store.begun, 0);
  EXPECT_EQ(store.payloads, 3);
  EXPECT_FALSE(noted());
}

TEST_F(KilledUpload, BeginsAnewWhereTheStoreHasGivenItUp) {
  store.uploads.clear();
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
  EXPECT_EQ(store.begun, 1);
}

TEST_F(KilledUpload, SendsAgainWhatHasChanged) {
  text[3500] ^= 1;
  std::ofstream(temp.path() / "file", std::ios::binary) << text;
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
  EXPECT_EQ(store.payloads, 4);
}

TEST_F(KilledUpload, OfAnotherFileIsGivenUp) {
  text = write(6000);
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(store.objects["a/key"], text);
  EXPECT_TRUE(store.uploads.empty());
}

TEST_F(KilledUpload, CanBeDropped) {
  ASSERT_TRUE(drop_upload(store, temp.path() / "notes"));
  EXPECT_TRUE(store.uploads.empty());
  EXPECT_FALSE(noted());
}

}  // namespace
}  // namespace sluice::sources
