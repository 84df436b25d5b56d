#include "features/stores.h"

#include <gtest/gtest.h>

namespace sluice::features {
namespace {

// "name url" of each, or what is wrong.
std::vector<std::string> read(const std::string& text) {
  Stores stores;
  Problems problems;
  OptionType<Stores>::read(Node::text(text), stores, problems);
  std::vector<std::string> out;
  for (const auto& store : stores.list) out.push_back(store.name + " " + store.url);
  if (!problems.empty()) out.emplace_back("a problem");
  return out;
}

using Texts = std::vector<std::string>;

TEST(StoresText, AreNamesAndUrls) {
  EXPECT_EQ(read("a=redis://h:1/0, b=sqlite:/x=y.db,"),
            (Texts{"a redis://h:1/0", "b sqlite:/x=y.db"}));
  EXPECT_EQ(read("a=rediss://h?cacert=/f.pem,b=redis://i"),
            (Texts{"a rediss://h?cacert=/f.pem", "b redis://i"}));
  EXPECT_EQ(read("a=redis://h,i").back(), "a problem");
}

TEST(StoresText, SentinelsHaveCommasBetweenThem) {
  EXPECT_EQ(read("a=redis+sentinel://:p@h:1,i:2,j/m/0,b=redis://k"),
            (Texts{"a redis+sentinel://:p@h:1,i:2,j/m/0", "b redis://k"}));
  EXPECT_EQ(read("a=feast+redis+sentinel://h,i/m"), (Texts{"a feast+redis+sentinel://h,i/m"}));
  EXPECT_EQ(read("a=redis+sentinel://h/m,i").back(), "a problem") << "there all is said";
}

}  // namespace
}  // namespace sluice::features
