// A part is finished or counts as never made, whatever happened to the folder in between.
#include "tools/batch/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/digest.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Journals : public testing::Test {
 protected:
  Journals() {
    std::string name = (fs::temp_directory_path() / "journal-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    folder_ = root_ / "out.csv.parts";
  }
  ~Journals() override { fs::remove_all(root_); }

  static void add(Journal& journal, std::size_t index, const std::string& rows,
                  const std::string& bad = "") {
    PartDone done;
    done.rows = 10;
    done.offset = static_cast<std::uint64_t>(::lseek(journal.rows().get(), 0, SEEK_CUR));
    done.bytes = rows.size();
    done.sha256 = sha256_hex(rows);
    ASSERT_TRUE(write_all(journal.rows(), rows));
    ASSERT_TRUE(journal.add(index, done, "footer", bad));
  }
  std::string parts_found() const {
    const auto journal = Journal::open(folder_);
    if (!journal) return std::string(journal.error().reason);
    std::string out;
    for (const auto& [index, done] : journal->done()) out += std::to_string(index) + " ";
    return out + "spoilt " + std::to_string(journal->spoilt());
  }
  void two_parts() const {
    auto journal = Journal::begin(folder_, {{"parts", 3}});
    ASSERT_TRUE(journal) << journal.error().message;
    add(*journal, 5, "five", "{\"row\":1}\n");
    add(*journal, 6, "and six");
  }
  void append(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::app) << text;
  }
  void spoil(const std::string& name, std::streamoff at) const {
    std::fstream(folder_ / name, std::ios::in | std::ios::out).seekp(at) << '!';
  }

  fs::path root_;
  fs::path folder_;
};

TEST_F(Journals, KeepsWhatIsFinished) {
  two_parts();
  EXPECT_EQ(parts_found(), "5 6 spoilt 0");
  EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all);
}

TEST_F(Journals, GoesOnBehindTheLastPart) {
  two_parts();
  append("rows", "of a part without a line");
  append("footers", "likewise");
  auto journal = Journal::open(folder_);
  ASSERT_TRUE(journal);
  add(*journal, 7, "seven");
  EXPECT_EQ(fs::file_size(folder_ / "rows"), std::string("fiveand sixseven").size());
  EXPECT_EQ(fs::file_size(folder_ / "footers"), 3 * std::string("footer").size());
  EXPECT_EQ(journal->done().at(7).footer_offset, 12U);
}

TEST_F(Journals, ForgetsALineThatWasCutOff) {
  two_parts();
  const auto size = fs::file_size(folder_ / "done.jsonl");
  append("done.jsonl", R"({"part":7,"rows":10,)");
  EXPECT_EQ(parts_found(), "5 6 spoilt 0");
  EXPECT_EQ(fs::file_size(folder_ / "done.jsonl"), size);
}

TEST_F(Journals, DoesNotBelieveAPartThatChanged) {
  two_parts();
  spoil("rows", 7);
  EXPECT_EQ(parts_found(), "5 spoilt 1");
  EXPECT_EQ(parts_found(), "5 spoilt 0") << "its line is gone";
  append("part-00000005.bad", "more");
  EXPECT_EQ(parts_found(), "spoilt 1");
}

TEST_F(Journals, DoesNotBelieveWhatFollowsSuchAPart) {
  two_parts();
  spoil("rows", 0);
  EXPECT_EQ(parts_found(), "spoilt 2");
  EXPECT_EQ(fs::file_size(folder_ / "rows"), 0U);
}

TEST_F(Journals, DoesNotBelieveRowsThatAreCutOff) {
  two_parts();
  fs::resize_file(folder_ / "rows", 6);
  EXPECT_EQ(parts_found(), "5 spoilt 1");
}

TEST_F(Journals, BeginsAnew) {
  two_parts();
  ASSERT_TRUE(Journal::begin(folder_, {{"parts", 4}}));
  EXPECT_EQ(parts_found(), "spoilt 0");
  EXPECT_EQ(fs::file_size(folder_ / "rows"), 0U);
  EXPECT_FALSE(fs::exists(folder_ / "part-00000005.bad"));
}

TEST_F(Journals, IsOneProcessAtATime) {
  const auto journal = Journal::begin(folder_, {{"parts", 3}});
  ASSERT_TRUE(journal);
  const auto other = Journal::begin(folder_, {{"parts", 3}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "busy");
}

TEST_F(Journals, SaysWhenThereIsNothing) {
  EXPECT_EQ(parts_found(), "nothing_to_resume");
  two_parts();
  std::ofstream(folder_ / "manifest.json") << "{";
  EXPECT_EQ(parts_found(), "bad_manifest");
}

TEST(ManifestDifference, NamesWhatIsNotTheSame) {
  const json before = json::parse(R"({"input":{"files":[{"name":"a","modified":1}]},"model":"m",
                                      "options":{"where":"","batch-size":10}})");
  EXPECT_EQ(difference(before, before, true), "");
  json now = before;
  now["input"]["files"][0]["modified"] = 2;
  EXPECT_NE(difference(before, now, true).find("the input"), std::string::npos);
  EXPECT_EQ(difference(before, now, false), "");  // a copy on another machine
  now = before;
  now["options"]["batch-size"] = 11;
  now["model"] = "n";
  EXPECT_EQ(difference(before, now, true), "the model and --batch-size");
}

}  // namespace
}  // namespace sluice::tools::batch
